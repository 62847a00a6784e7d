"""The memory target's objects."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cdc_core.codec.operation import Operation, OperationKind
from cdc_core.codec.protobuf import schema_pb2
from cdc_core.errors import Refused
from cdc_core.model.catalog import DEFAULT_DATABASE, Collection, Index, ObjectState, Serving
from cdc_core.model.channel import VChannel
from cdc_core.model.timestamp import Tso
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.compare import is_dynamic, user_fields
from cdc_core.sink.memory_channel import StoredRows

DEFAULT_PARTITION = "_default"


@dataclass(slots=True)
class _Stored:
    """A collection and what belongs to it."""

    described: TargetCollection
    rows: StoredRows
    indexes: dict[str, Index] = field(default_factory=dict)
    loaded: bool = False


class MemoryCatalog:
    """`TargetCatalog` without a server. Ids are never used twice; shards go round the topics in turn."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.topics = tuple(topics)
        self.applied: list[Operation] = []
        self.unwatched: list[int] = []
        """Collection ids of drop messages that were read, one per channel."""
        self._databases: dict[str, dict[str, _Stored]] = {DEFAULT_DATABASE: {}}
        self._ids = itertools.count(900_000_001)
        self._places = itertools.cycle(topics)
        self._changing = threading.RLock()

    def pchannels(self) -> frozenset[str]:
        with self._changing:
            return frozenset(
                channel.pchannel
                for collections in self._databases.values()
                for stored in collections.values()
                for channel in stored.described.vchannels
            )

    def databases(self) -> frozenset[str]:
        return frozenset(self._databases)

    def create_database(self, name: str, properties: Mapping[str, str]) -> None:  # noqa: ARG002 # not kept
        self._databases.setdefault(name, {})

    def drop_database(self, name: str) -> None:
        if self._databases.get(name):
            raise Refused(f"drop database {name!r}: it is not empty")
        self._databases.pop(name, None)

    def collections(self, database: str) -> frozenset[str]:
        return frozenset(self._databases.get(database, ()))

    def describe(self, database: str, name: str) -> TargetCollection | None:
        stored = self._databases.get(database, {}).get(name)
        return stored.described if stored else None

    def create_collection(self, collection: Collection) -> None:
        with self._changing:
            if collection.database not in self._databases:
                raise Refused(f"create collection {collection.name!r}: no database {collection.database!r}")
            if collection.name not in self._databases[collection.database]:
                self._databases[collection.database][collection.name] = self._stored(collection)

    def drop_collection(self, database: str, name: str, at: Tso) -> None:  # noqa: ARG002 # not kept
        with self._changing:
            self._databases.get(database, {}).pop(name, None)

    def create_partition(self, database: str, collection: str, name: str, at: Tso) -> None:  # noqa: ARG002 # not kept
        with self._changing:
            stored = self._wanted(database, collection)
            partitions = dict(stored.described.partitions)
            partitions.setdefault(name, next(self._ids))
            stored.described = replace(stored.described, partitions=partitions)

    def drop_partition(self, database: str, collection: str, name: str, at: Tso) -> None:  # noqa: ARG002 # not kept
        with self._changing:
            stored = self._databases.get(database, {}).get(collection)
            if stored is None or name not in stored.described.partitions:
                return
            partitions = dict(stored.described.partitions)
            dropped = partitions.pop(name)
            stored.described = replace(stored.described, partitions=partitions)
            stored.rows.rows = [row for row in stored.rows.rows if row.partition_id != dropped]

    def alter_collection(self, database: str, name: str, properties: Mapping[str, str]) -> None:
        with self._changing:
            stored = self._wanted(database, name)
            stored.described = replace(stored.described, properties={**stored.described.properties, **properties})

    def rename_collection(self, database: str, name: str, new_database: str, new_name: str) -> None:
        with self._changing:
            stored = self._wanted(database, name)
            if new_database not in self._databases or new_name in self._databases[new_database]:
                raise Refused(f"rename {database}.{name}: {new_database}.{new_name} cannot be")
            stored.described = replace(stored.described, database=new_database, name=new_name)
            self._databases[new_database][new_name] = self._databases[database].pop(name)

    def put_alias(self, database: str, name: str, alias: str) -> None:
        with self._changing:
            wanted = self._wanted(database, name)
            if alias in self._databases[database]:
                raise Refused(f"alias {alias!r}: a collection has that name")
            self.drop_alias(database, alias)
            wanted.described = replace(wanted.described, aliases=wanted.described.aliases | {alias})

    def drop_alias(self, database: str, alias: str) -> None:
        with self._changing:
            for stored in self._databases.get(database, {}).values():
                stored.described = replace(stored.described, aliases=stored.described.aliases - {alias})

    def serving(self, database: str, name: str) -> Serving:
        stored = self._wanted(database, name)
        return Serving(tuple(stored.indexes.values()), int(stored.loaded))

    def apply(self, operation: Operation) -> None:
        with self._changing:
            self._apply(operation)
            self.applied.append(operation)

    def close(self) -> None:
        """Nothing to close."""

    def is_loaded(self, database: str, collection: str) -> bool:
        return self._wanted(database, collection).loaded

    def indexes(self, database: str, collection: str) -> Mapping[str, str]:
        """Index name to field name."""
        return {name: index.field for name, index in self._wanted(database, collection).indexes.items()}

    def stored(self, database: str, collection: str) -> StoredRows:
        """:raises Refused: no such collection."""
        return self._wanted(database, collection).rows

    def rows_of_vchannel(self, collection_id: int, vchannel: str) -> StoredRows | None:
        """Where a message belongs; None when nobody reads that channel."""
        for collections in self._databases.values():
            for stored in collections.values():
                if stored.described.id == collection_id:
                    known = {channel.name for channel in stored.described.vchannels}
                    return stored.rows if vchannel in known else None
        return None

    def _apply(self, operation: Operation) -> None:
        stored = self._databases.get(operation.database, {}).get(operation.collection)
        request = operation.request
        match operation.kind:
            case OperationKind.CREATE_DATABASE:
                self.create_database(operation.database, {})
            case OperationKind.DROP_DATABASE:
                self.drop_database(operation.database)
            case OperationKind.CREATE_INDEX:
                wanted = self._wanted(operation.database, operation.collection)
                name, params = request.index_name or request.field_name, request.extra_params
                wanted.indexes[name] = Index(name, request.field_name, {pair.key: pair.value for pair in params})
            case OperationKind.LOAD_COLLECTION | OperationKind.LOAD_PARTITIONS:
                self._wanted(operation.database, operation.collection).loaded = True
            case OperationKind.DROP_INDEX if stored:
                stored.indexes.pop(request.index_name or request.field_name, None)
            case OperationKind.RELEASE_COLLECTION if stored:
                stored.loaded = False

    def _wanted(self, database: str, name: str) -> _Stored:
        stored = self._databases.get(database, {}).get(name)
        if stored is None:
            raise Refused(f"the target has no collection {database}.{name}")
        return stored

    def _stored(self, collection: Collection) -> _Stored:
        number = next(self._ids)
        schema = schema_pb2.CollectionSchema.FromString(collection.schema)
        names = [DEFAULT_PARTITION]
        if any(each.is_partition_key for each in schema.fields):
            created = [each for each in collection.partitions if each.state is ObjectState.CREATED]
            names = [f"{DEFAULT_PARTITION}_{place}" for place in range(len(created))]
        described = TargetCollection(
            id=number,
            database=collection.database,
            name=collection.name,
            schema=_as_created(schema, collection.name),
            vchannels=tuple(VChannel(next(self._places), number, shard) for shard in range(collection.shards)),
            partitions={name: next(self._ids) for name in names},
            consistency_level=collection.consistency_level,
            properties=dict(collection.properties),
        )
        return _Stored(described, StoredRows(next(each.name for each in schema.fields if each.is_primary_key)))


def _as_created(schema: schema_pb2.CollectionSchema, name: str) -> bytes:
    """With new field ids, as a server gives them."""
    created = schema_pb2.CollectionSchema(name=name, autoID=schema.autoID, enable_dynamic_field=is_dynamic(schema))
    created.fields.extend(user_fields(schema))
    for number, each in enumerate(created.fields, start=100):
        each.fieldID = number
    return bytes(created.SerializeToString())
