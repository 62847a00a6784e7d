"""Collections that somebody has dropped on the target, behind our back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import structlog

from cdc_core.clock import Clock, SystemClock
from cdc_core.coordination.leases import ChannelKey
from cdc_core.model.catalog import Catalog, ObjectState
from cdc_core.pipeline.collections import Collections, Known
from cdc_core.pipeline.task_context import TaskContext

LOOK_SECONDS = 5.0

_WHY = "was dropped on the target by hand; delete the task and create it anew, or drop it at the source as well"

log = structlog.get_logger(__name__)


class Vanished:
    """Lets their channels stand still: a standby takes rows that go to no collection without a word.

    One that the source drops, too, goes on to that drop, and is forgotten there.
    """

    def __init__(self, context: TaskContext, collections: Collections, clock: Clock | None = None) -> None:
        self._context = context
        self._collections = collections
        self._clock = clock or SystemClock()
        self._due = 0.0
        self.stopped: dict[int, str] = {}
        """By collection: what has become of it."""

    def sweep(self, catalog: Catalog) -> None:
        """Looks every few seconds; one call per database. :raises Retryable: call it again."""
        if self._context.target.transport.repeatable or self._clock.monotonic() < self._due:
            return  # who takes rows by their keys refuses them by itself
        gone = list(self._gone())
        self.stopped = {
            known.plan.collection_id: f"{known.plan.database}.{known.plan.collection}: {_WHY}" for known in gone
        }
        for known in gone:
            if _alive(catalog, known):
                self._stop(known)
            else:
                self._go_on(known)
        self._due = self._clock.monotonic() + LOOK_SECONDS

    def _gone(self) -> Iterable[Known]:
        """Looked at twice, by id and by name: nothing may be stopped for an answer of one kind only."""
        target = self._context.target.catalog
        databases: dict[str, list[Known]] = defaultdict(list)
        for known in self._collections.known.values():
            databases[known.plan.target_database].append(known)
        for database, all_known in databases.items():
            ids = target.ids(database)
            for known in all_known:
                plan = known.plan
                if plan.target_collection_id not in ids:
                    found = target.describe(database, plan.target_collection)
                    if found is None or found.id != plan.target_collection_id:
                        yield known

    def _stop(self, known: Known) -> None:
        keys = self._keys(known)
        if not all(state.stopped for state in self._context.channels.read(keys)):
            log.error("collection_vanished", collection=known.plan.collection, database=known.plan.database)
            self._context.channels.stop(keys, _WHY)

    def _go_on(self, known: Known) -> None:
        keys = self._keys(known)
        if any(state.stopped == _WHY for state in self._context.channels.read(keys)):
            self._context.channels.go_on(keys)

    def _keys(self, known: Known) -> list[ChannelKey]:
        return [ChannelKey(self._context.id, plan.vchannel.name) for plan in known.plans]


def _alive(catalog: Catalog, known: Known) -> bool:
    source = catalog.collections.get(known.plan.collection_id)
    return source is not None and source.state is ObjectState.CREATED
