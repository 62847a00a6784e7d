"""The target's collections made to serve as the source's do: what no message tells, or told while nobody listened.

Aliases and properties are only in the source's etcd. Indexes and loads come over the op channel, but those from before
the task do not, and a target that is killed may forget one.
"""

from __future__ import annotations

import json
from collections.abc import Collection as Names
from collections.abc import Iterable, Iterator, Mapping

import structlog

from cdc_core.codec.operation import Operation, OperationKind
from cdc_core.codec.protobuf import common_pb2, milvus_pb2
from cdc_core.errors import CollectionStopped, Refused
from cdc_core.model.catalog import Catalog, Collection, Index, ObjectState, Serving
from cdc_core.model.plan import Plan
from cdc_core.model.task import ANY
from cdc_core.pipeline import difference
from cdc_core.pipeline.collections import Collections
from cdc_core.pipeline.databases import Databases
from cdc_core.pipeline.difference import Difference, Kind, State
from cdc_core.pipeline.task_context import TaskContext
from cdc_core.source.base import LiveCatalog

NOTHING = Serving()
_MENDED = {
    (Kind.INDEX, State.MISSING),
    (Kind.LOAD, State.MISSING),
    (Kind.ALIAS, State.MISSING),
    (Kind.ALIAS, State.SURPLUS),
    (Kind.PROPERTY, State.MISSING),
    (Kind.PROPERTY, State.DIFFERENT),
}
"""The rest is shown: a surplus index or load is somebody's wish, or the op channel's to end."""

log = structlog.get_logger(__name__)


class Reconcile:
    """All collections at the catalog's start and after an outage, one when its aliases or properties change, and all
    on demand. Doing it twice changes nothing.

    A collection with a pending operation is left for later: the operation is newer than what etcd says, or about to
    say it. What is done too early by this, an operation that comes later does again, in its order.
    """

    def __init__(self, context: TaskContext, collections: Collections, source: LiveCatalog) -> None:
        self._context = context
        self._collections = collections
        self._source = source
        self._names: dict[int, tuple[frozenset[str], Mapping[str, str]]] = {}
        """By collection: aliases and properties as the source had them when the target was made like them."""
        self.databases = Databases(context)
        self._served: set[int] = set()
        """Whose indexes and load were looked at since the start or the last outage."""
        self._outages = context.target.outages
        self.refused: dict[int, str] = {}
        """By collection: what the target does not take."""

    def again(self) -> None:
        """The target was away, and may have forgotten something."""
        self._served.clear()
        self.databases.again()

    def sweep(self, catalog: Catalog, busy: Names[tuple[str, str]]) -> None:
        """Look at what may differ and mend it. :raises Retryable: call it again."""
        if self._outages != self._context.target.outages:
            self._outages = self._context.target.outages
            self.again()
        self._forget_gone()
        self.databases.sweep(catalog, busy)
        due = [each for each in self._alive(catalog) if self._is_due(each) and not _is_busy(each, busy)]
        serving = self._source.serving({each.id for each in due}) if due else {}
        for collection in due:
            self._mend_all(collection, serving.get(collection.id, NOTHING))

    def answer(self, catalog: Catalog, busy: Names[tuple[str, str]]) -> None:
        """What users have asked for (coordination.requests): a list of differences, mended or not."""
        requests, task = self._context.requests, self._context.id
        for number, question in requests.open(task).items():
            found = self.differences(catalog)
            if not json.loads(question).get("dry_run"):
                self.again()
                self._names.clear()
                self.sweep(catalog, busy)
            requests.answer(task, number, json.dumps([each.to_dict() for each in found]))

    def differences(self, catalog: Catalog) -> list[Difference]:
        """Of all collections of the task, as they are now."""
        serving = self._source.serving(catalog.collections.keys())
        return [each for found in self._compared(catalog, serving) for each in found]

    def _compared(self, catalog: Catalog, serving: Mapping[int, Serving]) -> Iterator[Iterable[Difference]]:
        known = self._collections.known
        yield self.databases.differences(catalog)
        for number, collection in catalog.collections.items():
            if collection.state is not ObjectState.CREATED:
                continue
            if number in known:
                yield self._all_of(collection, known[number].plan, serving.get(number, NOTHING))
            elif self._context.selection.match(collection.database, collection.name):
                refused = self._collections.refused.get(number, "it is being made")
                yield [Difference(Kind.COLLECTION, State.MISSING, collection.database, collection.name, "", refused)]
        for number, each in known.items():
            source = catalog.collections.get(number)
            if source is None or source.state is not ObjectState.CREATED:
                about = (each.plan.database, each.plan.collection)
                yield [Difference(Kind.COLLECTION, State.SURPLUS, *about, "", "until its channels come to its drop")]

    def _all_of(self, collection: Collection, plan: Plan, serving: Serving) -> list[Difference]:
        try:
            return self._found(collection, plan, serving)
        except (Refused, CollectionStopped) as error:  # dropped while it was looked at
            return [Difference(Kind.COLLECTION, State.DIFFERENT, collection.database, collection.name, "", str(error))]

    def _found(self, collection: Collection, plan: Plan, serving: Serving) -> list[Difference]:
        target = self._context.target.catalog
        made = target.describe(plan.target_database, plan.target_collection)
        if made is None or made.id != plan.target_collection_id:
            about = (collection.database, collection.name)
            return [Difference(Kind.COLLECTION, State.MISSING, *about, "", "it was dropped on the target by hand")]
        own = self._context.objects.aliases(self._context.id, collection.id)
        mapped = frozenset(self._collections.target_partitions(collection.id))
        ignored = self._context.ignores_partitions
        return [
            *difference.of_names(collection, made, own),
            *(() if ignored else difference.of_partitions(collection, made, mapped)),
            *difference.of_serving(collection, serving, target.serving(made.database, made.name)),
        ]

    def _alive(self, catalog: Catalog) -> Iterator[Collection]:
        """Of the task and made on the target."""
        for number in self._collections.known.keys() & catalog.collections.keys():
            found = catalog.collections[number]
            selected = self._context.selection.match(found.database, found.name)
            if found.state is ObjectState.CREATED and selected:
                yield found

    def _is_due(self, collection: Collection) -> bool:
        return collection.id not in self._served or self._names.get(collection.id) != _names(collection)

    def _mend_all(self, collection: Collection, serving: Serving) -> None:
        plan = self._collections.known[collection.id].plan
        troubles = [
            self._try_to_mend(each, collection, plan, serving) for each in self._all_of(collection, plan, serving)
        ]
        self.refused.pop(collection.id, None)
        if text := "; ".join(filter(None, troubles)):
            self.refused[collection.id] = text
        self._names[collection.id] = _names(collection)
        self._served.add(collection.id)

    def _try_to_mend(self, found: Difference, collection: Collection, plan: Plan, serving: Serving) -> str:
        """'' or why not."""
        if (found.kind, found.state) not in _MENDED:
            log.info("difference", difference=str(found))
            return ""
        self._context.lease.check()
        try:
            self._mend(found, collection, plan, serving)
        except (Refused, CollectionStopped) as error:
            log.warning("difference_refused", difference=str(found), error=str(error))
            return f"{found}, and the target refuses to mend it: {error}"
        log.info("difference_mended", difference=str(found))
        return ""

    def _mend(self, found: Difference, collection: Collection, plan: Plan, serving: Serving) -> None:
        target, database, name = self._context.target.catalog, plan.target_database, plan.target_collection
        match found.kind, found.state:
            case Kind.INDEX, _:
                index = next(each for each in serving.indexes if each.name == found.name)
                target.apply(_create_index(database, name, index, collection))
            case Kind.LOAD, _:
                target.apply(_load(database, name, serving.replicas, collection))
            case Kind.ALIAS, State.MISSING:
                self._context.objects.put_alias(self._context.id, collection.id, found.name)
                target.put_alias(database, name, found.name)
            case Kind.ALIAS, _:
                target.drop_alias(database, found.name)
                self._context.objects.forget_alias(self._context.id, collection.id, found.name)
            case _:
                target.alter_collection(database, name, {found.name: collection.properties[found.name]})

    def _forget_gone(self) -> None:
        for number in self._names.keys() - self._collections.known.keys():
            del self._names[number]
            self._served.discard(number)
            self.refused.pop(number, None)


def _names(collection: Collection) -> tuple[frozenset[str], Mapping[str, str]]:
    return collection.aliases, collection.properties


def _is_busy(collection: Collection, busy: Names[tuple[str, str]]) -> bool:
    return (collection.database, collection.name) in busy or (collection.database, ANY) in busy


def _create_index(database: str, name: str, index: Index, collection: Collection) -> Operation:
    request = milvus_pb2.CreateIndexRequest(
        field_name=index.field,
        index_name=index.name,
        extra_params=[common_pb2.KeyValuePair(key=key, value=value) for key, value in sorted(index.params.items())],
    )
    return _operation(OperationKind.CREATE_INDEX, database, name, request, collection)


def _load(database: str, name: str, replicas: int, collection: Collection) -> Operation:
    request = milvus_pb2.LoadCollectionRequest(replica_number=replicas)
    return _operation(OperationKind.LOAD_COLLECTION, database, name, request, collection)


def _operation(kind: OperationKind, database: str, name: str, request: object, collection: Collection) -> Operation:
    """One that no message tells; its time is the collection's."""
    return Operation(kind, database, (name,), collection.created, 0, request, b"", 0)
