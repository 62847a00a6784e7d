"""Collections and partitions that somebody has dropped on the target, behind our back."""

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
MOST_PARTITIONED = 20
"""Collections whose partitions are looked at in one look, in turn: each is a call or two."""

_WHY = "was dropped on the target by hand; delete the task and create it anew, or drop it at the source as well"
_WHY_PARTITION = (
    "was dropped on the target by hand, with its rows; drop it at the source as well, or drop the collection on the "
    "target, too, delete the task and create it anew"
)

log = structlog.get_logger(__name__)


class Vanished:
    """Lets their channels stand still: a standby takes rows that go to no collection, or to no partition, without a
    word.

    What the source drops, too, goes on to that drop, and is forgotten there.
    """

    def __init__(self, context: TaskContext, collections: Collections, clock: Clock | None = None) -> None:
        self._context = context
        self._collections = collections
        self._clock = clock or SystemClock()
        self._due = 0.0
        self._looked_at = 0
        """The last collection whose partitions were."""
        self._whole: dict[int, str] = {}
        self._in_part: dict[int, str] = {}

    @property
    def stopped(self) -> dict[int, str]:
        """By collection: what has become of it."""
        return self._in_part | self._whole

    def sweep(self, catalog: Catalog) -> None:
        """Looks every few seconds; one call per database, and some for partitions. :raises Retryable: call it again."""
        if self._context.target.transport.repeatable or self._clock.monotonic() < self._due:
            return  # who takes rows by their keys refuses them by itself
        gone = list(self._gone())
        self._whole = {known.plan.collection_id: _told(known, _WHY) for known in gone}
        for known in gone:
            if _alive(catalog, known):
                self._stop(known, _WHY)
            else:
                self._go_on(known, _WHY)
        self._look_at_partitions(catalog)
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

    def _look_at_partitions(self, catalog: Catalog) -> None:
        known = self._collections.known
        self._in_part = {number: text for number, text in self._in_part.items() if number in known}
        for number in self._next_partitioned():
            if number not in self._whole:
                self._look_at_partitions_of(known[number], catalog)
            self._looked_at = number

    def _next_partitioned(self) -> list[int]:
        """Whom a look at their partitions is due, after those of the last one."""
        numbers = sorted(number for number in self._collections.known if self._collections.is_partitioned(number))
        later = [number for number in numbers if number > self._looked_at]
        return (later + numbers[: len(numbers) - len(later)])[:MOST_PARTITIONED]

    def _look_at_partitions_of(self, known: Known, catalog: Catalog) -> None:
        missing = self._missing(known)
        if missing is None:
            return
        names = [name for number, name in _partitions(catalog, known).items() if number in missing]
        self._in_part.pop(known.plan.collection_id, None)
        if names:
            why = f"partition {', '.join(sorted(names))} {_WHY_PARTITION}"
            self._in_part[known.plan.collection_id] = _told(known, why)
            self._stop(known, why)
        else:  # also when its drop has been run already: a channel stands still some seconds after it is told to
            self._go_on(known, _WHY_PARTITION)

    def _missing(self, known: Known) -> set[int] | None:
        """The source's ids of partitions that this task has on the target, and that are not there; None when that
        cannot be said.
        """
        plan = known.plan
        found = self._context.target.catalog.describe(plan.target_database, plan.target_collection)
        if found is None or found.id != plan.target_collection_id:
            return None  # renamed there, or dropped since the look at the collections
        missing = self._collections.partitions_not_among(plan.collection_id, frozenset(found.partitions.values()))
        return missing - self._context.objects.dropped(self._context.id, plan.collection_id) if missing else missing

    def _stop(self, known: Known, why: str) -> None:
        keys = self._keys(known)
        if not all(state.stopped for state in self._context.channels.read(keys)):
            log.error("dropped_by_hand", collection=known.plan.collection, database=known.plan.database, why=why)
            self._context.channels.stop(keys, why)

    def _go_on(self, known: Known, why: str) -> None:
        keys = self._keys(known)
        if any(state.stopped.endswith(why) for state in self._context.channels.read(keys)):
            self._context.channels.go_on(keys)

    def _keys(self, known: Known) -> list[ChannelKey]:
        return [ChannelKey(self._context.id, plan.vchannel.name) for plan in known.plans]


def _told(known: Known, why: str) -> str:
    return f"{known.plan.database}.{known.plan.collection}: {why}"


def _partitions(catalog: Catalog, known: Known) -> dict[int, str]:
    """Those that the source has, by id; none of a collection that it drops."""
    if not _alive(catalog, known):
        return {}
    found = catalog.collections[known.plan.collection_id].partitions
    return {each.id: each.name for each in found if each.state is ObjectState.CREATED}


def _alive(catalog: Catalog, known: Known) -> bool:
    source = catalog.collections.get(known.plan.collection_id)
    return source is not None and source.state is ObjectState.CREATED
