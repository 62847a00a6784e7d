"""The collections of a task: made on the target, planned, their partitions kept up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from cdc_core.coordination.objects import GONE, Wanted
from cdc_core.errors import CollectionStopped, Fatal, Retryable, SchemaMismatch, TargetUnavailable
from cdc_core.model.catalog import DEFAULT_DATABASE, Catalog, Collection, ObjectState, Partition
from cdc_core.model.plan import Plan
from cdc_core.model.position import Position
from cdc_core.model.task import CollectionSelector
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.intent import Intent
from cdc_core.pipeline.task_context import TaskContext
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.compare import difference

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """A collection that this task replicates: one plan per shard, in shard order."""

    plans: tuple[Plan, ...]
    created: Tso

    @property
    def plan(self) -> Plan:
        """Any of them: all but the channels is the same."""
        return self.plans[0]


class Collections:
    """Makes the target's collections and partitions what the source's etcd says. Every step is idempotent."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self.known: dict[int, Known] = {}
        self.refused: dict[int, str] = {}
        """Collections that cannot be replicated, and why; they are tried again when the task is resumed."""
        self._former: dict[int, frozenset[tuple[str, str]]] = {}
        self._partitions: dict[int, dict[int, str]] = {}
        self._load()

    def sweep(self, catalog: Catalog) -> None:
        """Adopt what is new. :raises Retryable: the target or the state does not answer; call it again."""
        for collection in sorted(catalog.collections.values(), key=lambda each: each.created):
            if collection.state is not ObjectState.CREATED or collection.id in self.refused:
                continue
            try:
                if collection.id in self.known:
                    self._follow_partitions(collection)
                elif selector := self._context.selection.match(collection.database, collection.name):
                    self._adopt(catalog, collection, selector)
            except Retryable:
                raise
            except Fatal as error:
                log.error("collection_refused", collection=collection.name, error=str(error))
                self.refused[collection.id] = f"{collection.database}.{collection.name}: {error}"

    def wanted(self) -> frozenset[Wanted]:
        """What rows wait for: to be asked for before the catalog is read that answers it."""
        return frozenset(self._context.objects.wanted(self._context.id))

    def answer_wanted(self, wanted: Iterable[Wanted], catalog: Catalog) -> None:
        """Rows waited for these partitions before `catalog` was read: those that it does not have are gone for good."""
        for want in wanted:
            if want.partition_id in self._partitions.get(want.collection_id, {}):
                self._put(
                    want.collection_id, {want.partition_id: self._partitions[want.collection_id][want.partition_id]}
                )
            elif self._context.ignores_partitions and want.collection_id in self.known:
                self._put(want.collection_id, {want.partition_id: self._default_partition(want.collection_id)})
            elif not _has(catalog, want):
                self._put(want.collection_id, {want.partition_id: GONE})

    def forget(self, collection_id: int) -> None:
        """It was dropped on the target; the next one of that name may be made."""
        known = self.known.pop(collection_id)
        self._partitions.pop(collection_id, None)
        self._former.pop(collection_id, None)
        self._context.objects.forget(self._context.id, collection_id)
        self._context.channels.forget(self._context.id, [plan.vchannel.name for plan in known.plans])

    def mapped(self, collection_id: int, partition_id: int) -> str:
        """The target's id of a partition as text; GONE when it has none."""
        return self._partitions.get(collection_id, {}).get(partition_id, GONE)

    def was_called(self, collection_id: int, database: str, name: str) -> bool:
        """Now, or before it was renamed."""
        plan = self.known[collection_id].plan
        return (plan.database, plan.collection) == (database, name) or (database, name) in self._former[collection_id]

    def rename(self, collection_id: int, plans: tuple[Plan, ...]) -> None:
        """It has other names from now on; operations that were asked for by the former one may still come."""
        known = self.known[collection_id]
        name = (known.plan.database, known.plan.collection)
        self._context.objects.put_name(self._context.id, collection_id, *name)
        self._former[collection_id] |= {name}
        self._context.channels.replan(self._context.id, plans)
        self.known[collection_id] = Known(plans, known.created)

    def has_partition(self, collection_id: int, partition_id: int) -> bool:
        """Whether it is on the target, or need not be."""
        return self._context.ignores_partitions or partition_id in self._partitions.get(collection_id, {})

    def target_partitions(self, collection_id: int) -> Iterable[int]:
        """The target's ids that the source's partitions have."""
        return (int(found) for found in self._partitions.get(collection_id, {}).values() if found != GONE)

    def is_partitioned(self, collection_id: int) -> bool:
        """Whether it has or had partitions beside the default one on the target, which nobody can drop there."""
        return not self._context.ignores_partitions and len(self._partitions.get(collection_id, {})) > 1

    def partitions_not_among(self, collection_id: int, there: frozenset[int]) -> set[int]:
        """The source's ids of those that were made on the target and are not one of these there."""
        mapped = self._partitions.get(collection_id, {}).items()
        return {source for source, target in mapped if target != GONE and int(target) not in there}

    def unrecorded(self, collection_id: int, name: str) -> str:
        """The target's id of the partition of that name, if none of the source's has it, else GONE: a catalog that was
        killed had made it and could not record it, and the source has dropped its own since.
        """
        there = str(self._target_partitions(self.known[collection_id].plan).get(name, GONE))
        return GONE if there in self._partitions.get(collection_id, {}).values() else there

    def _load(self) -> None:
        plans: dict[int, list[Plan]] = {}
        for state in self._context.channels.of_task(self._context.id):
            if plan := state.plan:
                plans.setdefault(plan.collection_id, []).append(plan)
        for collection_id, found in plans.items():
            found.sort(key=lambda plan: plan.vchannel.shard)
            self.known[collection_id] = Known(tuple(found), found[0].created)
            self._partitions[collection_id] = self._context.objects.partitions(self._context.id, collection_id)
            self._former[collection_id] = self._context.objects.names(self._context.id, collection_id)

    def _adopt(self, catalog: Catalog, collection: Collection, selector: CollectionSelector) -> None:
        twin = self._context.names.of(collection)
        if self._name_taken(collection, twin):
            return  # until the older one's drop has been applied
        target = self._context.target.catalog
        if twin.database != DEFAULT_DATABASE:
            target.create_database(twin.database, _properties(catalog, collection.database))
        if target.describe(twin.database, twin.name) is None:
            self._context.objects.intend(self._context.id, collection.id, Intent.of(twin).to_json())
        target.create_collection(twin)
        made = self._described(twin)
        if found := difference(twin, made):
            raise SchemaMismatch(f"the target's collection differs: {found}; drop or mend it there, then resume")
        self._map_partitions(twin, made)
        plans = tuple(self._plans(collection, made, selector))
        self._context.channels.put(self._context.id, plans)
        self._context.objects.intended(self._context.id, collection.id)
        self.known[collection.id] = Known(plans, collection.created)
        self._former[collection.id] = frozenset()
        log.info("collection_adopted", collection=collection.name, database=collection.database, shards=len(plans))

    def _name_taken(self, collection: Collection, twin: Collection) -> bool:
        """By an older one of its name. :raises CollectionStopped: by another one, that was mapped to it."""
        for plan in (known.plan for known in self.known.values()):
            if (plan.target_database, plan.target_collection) != (twin.database, twin.name):
                continue
            if (plan.database, plan.collection) != (collection.database, collection.name):
                other = f"{plan.database}.{plan.collection}"
                raise CollectionStopped(f"on the target {twin.database}.{twin.name} is {other}: map it to another name")
            return True
        return False

    def _described(self, collection: Collection) -> TargetCollection:
        made = self._context.target.catalog.describe(collection.database, collection.name)
        if made is None:
            raise TargetUnavailable(
                f"{collection.database}.{collection.name} was made on the target and is not there yet"
            )
        return made

    def _plans(self, collection: Collection, made: TargetCollection, selector: CollectionSelector) -> Iterable[Plan]:
        for vchannel, on_target in zip(collection.vchannels, made.vchannels or collection.vchannels, strict=True):
            yield Plan(
                vchannel=vchannel,
                database=collection.database,
                collection=collection.name,
                shards=collection.shards,
                created=collection.created,
                start=self._start(collection, selector, vchannel.name, vchannel.pchannel),
                target=self._context.target.identity,
                target_database=made.database,
                target_collection=made.name,
                target_collection_id=made.id,
                target_vchannel=on_target,
            )

    def _start(self, collection: Collection, selector: CollectionSelector, vchannel: str, pchannel: str) -> Position:
        """Given positions, else, when it is newer than the task or so wished, its own start, else the task's begin."""
        if vchannel in selector.positions:
            given = selector.positions[vchannel]
            return Position(vchannel, given.message_id, given.timestamp)
        beginning = self._context.task.beginning
        tail = beginning.tails.get(pchannel)
        if collection.id in beginning.existing and tail and not selector.use_start_position:
            return Position(vchannel, tail.message_id, tail.timestamp)
        own = collection.start_positions.get(pchannel)
        before_it = Tso(collection.created - 1)  # no row of it is older
        return Position(vchannel, own.message_id if own else b"", before_it)

    def _follow_partitions(self, collection: Collection) -> None:
        unknown = [p for p in _created(collection) if p.id not in self._partitions.get(collection.id, {})]
        if not unknown or self._context.ignores_partitions:
            return
        known = self.known[collection.id].plan
        catalog = self._context.target.catalog
        for partition in unknown:
            if self._waits_for_older(collection.id, partition):
                continue
            catalog.create_partition(known.target_database, known.target_collection, partition.name, partition.created)
            there = self._target_partitions(known)
            if partition.name not in there:
                raise TargetUnavailable(f"partition {partition.name} was made on the target and is not there yet")
            self._put(collection.id, {partition.id: there[partition.name]})

    def _target_partitions(self, plan: Plan) -> dict[str, int]:
        made = self._context.target.catalog.describe(plan.target_database, plan.target_collection)
        if made is None or made.id != plan.target_collection_id:
            raise SchemaMismatch("the collection was dropped on the target by hand; delete the task and create it anew")
        return dict(made.partitions)

    def _waits_for_older(self, collection_id: int, partition: Partition) -> bool:
        """Whether an older one of that name has to be dropped first; recorded, for the vchannels and until it is."""
        objects, task = self._context.objects, self._context.id
        dropped = objects.dropped(task, collection_id)
        if older := objects.behind(task, collection_id, partition.id):
            return older not in dropped
        there = str(self._target_partitions(self.known[collection_id].plan).get(partition.name))
        mapped = {target: source for source, target in self._partitions[collection_id].items()}
        if there not in mapped or mapped[there] in dropped:
            return False
        objects.put_behind(task, collection_id, partition.id, mapped[there])
        return True

    def _map_partitions(self, collection: Collection, made: TargetCollection) -> None:
        """Of a new collection: all that exist now."""
        catalog = self._context.target.catalog
        partitions = made.partitions
        wanted = [] if self._context.ignores_partitions else list(_created(collection))
        if missing := [p for p in wanted if p.name not in partitions]:
            for partition in missing:
                catalog.create_partition(collection.database, collection.name, partition.name, partition.created)
            partitions = self._described(collection).partitions
        ids = {p.id: partitions[p.name] for p in wanted if p.name in partitions}
        if self._context.ignores_partitions:
            default = partitions[self._context.default_partition]
            ids = {p.id: default for p in _created(collection)}
        self._put(collection.id, ids)

    def _default_partition(self, collection_id: int) -> int:
        return self._target_partitions(self.known[collection_id].plan)[self._context.default_partition]

    def _put(self, collection_id: int, ids: Mapping[int, int | str]) -> None:
        texts = {source: str(target) for source, target in ids.items()}
        self._partitions.setdefault(collection_id, {}).update(texts)
        self._context.objects.put(self._context.id, collection_id, texts)


def _created(collection: Collection) -> Iterable[Partition]:
    return (partition for partition in collection.partitions if partition.state is ObjectState.CREATED)


def _has(catalog: Catalog, want: Wanted) -> bool:
    """A dropped collection has none, whatever the states of its partitions: the source leaves them as they were."""
    collection = catalog.collections.get(want.collection_id)
    if collection is None or collection.state is not ObjectState.CREATED:
        return False
    return any(partition.id == want.partition_id for partition in _created(collection))


def _properties(catalog: Catalog, database: str) -> dict[str, str]:
    return next((dict(found.properties) for found in catalog.databases.values() if found.name == database), {})
