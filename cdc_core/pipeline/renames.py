"""Collections that are called otherwise at the source than when they were planned."""

from __future__ import annotations

from dataclasses import replace

import structlog

from cdc_core.coordination.leases import ChannelKey
from cdc_core.errors import Refused
from cdc_core.model.catalog import Catalog, Collection, ObjectState
from cdc_core.pipeline.collections import Collections, Known
from cdc_core.pipeline.task_context import TaskContext

_OUT = "renamed to "

log = structlog.get_logger(__name__)


class Renames:
    """Renames the target's likewise; one that has left the selection stands still until it is back.

    Only etcd tells of a rename: rows do not wait for it, nor it for them.
    """

    def __init__(self, context: TaskContext, collections: Collections) -> None:
        self._context = context
        self._collections = collections
        self.waiting: dict[int, str] = {}
        """By collection: why the target's still has the old name."""
        self._stopped = {
            state.plan.collection_id
            for state in context.channels.of_task(context.id)
            if state.plan and state.stopped.startswith(_OUT)
        }

    def sweep(self, catalog: Catalog) -> None:
        """Every step is idempotent. :raises Retryable: call it again."""
        self.waiting.clear()
        for number, known in tuple(self._collections.known.items()):
            source = catalog.collections.get(number)
            if source is None or source.state is not ObjectState.CREATED:
                continue
            if self._context.selection.match(source.database, source.name) is None:
                self._stop(source, known)
            elif (source.database, source.name) == (known.plan.database, known.plan.collection):
                self._go_on(known)
            else:
                self._follow(source, known)

    def _stop(self, source: Collection, known: Known) -> None:
        reason = f"{_OUT}{source.database}.{source.name}, which is not among the task's collections"
        self.waiting[source.id] = f"{known.plan.database}.{known.plan.collection}: {reason}"
        if source.id not in self._stopped:
            self._context.channels.stop(self._keys(known), reason)
            self._stopped.add(source.id)

    def _go_on(self, known: Known) -> None:
        """It is among the task's collections, perhaps again."""
        number = known.plan.collection_id
        if number in self._stopped:
            self._context.channels.go_on(self._keys(known))
            self._stopped.discard(number)

    def _follow(self, source: Collection, known: Known) -> None:
        plan, twin = known.plan, self._context.names.of(source)
        there = (plan.target_database, plan.target_collection)
        if (twin.database, twin.name) != there:
            target = self._context.target.catalog
            found = target.describe(twin.database, twin.name)
            if found is not None and found.id != plan.target_collection_id:
                self.waiting[source.id] = f"{'.'.join(there)} waits for the name {twin.database}.{twin.name} to be free"
                return
            if found is None and not self._renamed(source.id, there, (twin.database, twin.name)):
                return
        plans = tuple(
            replace(
                each,
                database=source.database,
                collection=source.name,
                target_database=twin.database,
                target_collection=twin.name,
            )
            for each in known.plans
        )
        self._collections.rename(source.id, plans)
        self._go_on(self._collections.known[source.id])
        log.info("collection_renamed", before=plan.collection, collection=source.name)

    def _renamed(self, number: int, before: tuple[str, str], after: tuple[str, str]) -> bool:
        self._context.lease.check()
        try:
            self._context.target.catalog.rename_collection(*before, *after)
        except Refused as error:
            self.waiting[number] = str(error)
            return False
        return True

    def _keys(self, known: Known) -> list[ChannelKey]:
        return [ChannelKey(self._context.id, plan.vchannel.name) for plan in known.plans]
