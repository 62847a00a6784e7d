"""The memory target's objects."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from cdc_core.codec.operation import Operation
from cdc_core.codec.protobuf import schema_pb2
from cdc_core.errors import Refused
from cdc_core.model.catalog import Collection, ObjectState
from cdc_core.model.channel import VChannel
from cdc_core.model.timestamp import Tso
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.compare import is_dynamic, user_fields
from cdc_core.sink.memory_channel import StoredRows
from cdc_core.sink.notes import MemoryNotes
from cdc_core.sink.object_book import ObjectBook
from cdc_core.sink.object_change import ObjectChange

DEFAULT_PARTITION = "_default"


class MemoryCatalog(ObjectBook):
    """`TargetCatalog` without a server. Ids are never used twice; shards go round the topics in turn."""

    def __init__(self, topics: Sequence[str]) -> None:
        super().__init__(MemoryNotes())
        self.topics = tuple(topics)
        self.applied: list[Operation] = []
        self.unwatched: list[int] = []
        """Collection ids of drop messages that were read, one per channel."""
        self._rows: dict[int, StoredRows] = {}
        self._channels_of: dict[int, tuple[VChannel, ...]] = {}
        self._ids = itertools.count(900_000_001)
        self._places = itertools.cycle(topics)

    def pchannels(self) -> frozenset[str]:
        with self._changing:
            return frozenset(channel.pchannel for channels in self._channels_of.values() for channel in channels)

    def drop_collection(self, database: str, name: str, at: Tso) -> None:
        with self._changing:
            described = self.describe(database, name)
            super().drop_collection(database, name, at)
            if described:
                del self._rows[described.id], self._channels_of[described.id]

    def drop_partition(self, database: str, collection: str, name: str, at: Tso) -> None:
        with self._changing:
            described = self.describe(database, collection)
            super().drop_partition(database, collection, name, at)
            if described and name in described.partitions:
                rows, dropped = self._rows[described.id], described.partitions[name]
                rows.rows = [row for row in rows.rows if row.partition_id != dropped]

    def apply(self, operation: Operation) -> None:
        with self._changing:
            super().apply(operation)
            self.applied.append(operation)

    def close(self) -> None:
        """Nothing to close."""

    def is_loaded(self, database: str, collection: str) -> bool:
        return self.serving(database, collection).replicas > 0

    def indexes(self, database: str, collection: str) -> Mapping[str, str]:
        """Index name to field name."""
        return {index.name: index.field for index in self.serving(database, collection).indexes}

    def stored(self, database: str, collection: str) -> StoredRows:
        """:raises Refused: no such collection."""
        described = self.describe(database, collection)
        if described is None:
            raise Refused(f"the target has no collection {database}.{collection}")
        return self._rows[described.id]

    def rows_of_vchannel(self, collection_id: int, vchannel: str) -> StoredRows | None:
        """Where a message belongs; None when nobody reads that channel."""
        known = {channel.name for channel in self._channels_of.get(collection_id, ())}
        return self._rows[collection_id] if vchannel in known else None

    def _made(self, collection: Collection) -> TargetCollection:
        number = next(self._ids)
        schema = schema_pb2.CollectionSchema.FromString(collection.schema)
        names = [DEFAULT_PARTITION]
        if any(each.is_partition_key for each in schema.fields):
            created = [each for each in collection.partitions if each.state is ObjectState.CREATED]
            names = [f"{DEFAULT_PARTITION}_{place}" for place in range(len(created))]
        channels = tuple(VChannel(next(self._places), number, shard) for shard in range(collection.shards))
        self._channels_of[number] = channels
        self._rows[number] = StoredRows(next(each.name for each in schema.fields if each.is_primary_key))
        return TargetCollection(
            id=number,
            database=collection.database,
            name=collection.name,
            schema=_as_created(schema, collection.name),
            vchannels=channels,
            partitions={name: next(self._ids) for name in names},
            consistency_level=collection.consistency_level,
            properties=dict(collection.properties),
        )

    def _new_partition(self, described: TargetCollection, at: Tso) -> int:  # noqa: ARG002 # it counts
        return next(self._ids)

    def _tell(self, change: ObjectChange) -> None:
        """Nobody follows."""


def _as_created(schema: schema_pb2.CollectionSchema, name: str) -> bytes:
    """With new field ids, as a server gives them."""
    created = schema_pb2.CollectionSchema(name=name, autoID=schema.autoID, enable_dynamic_field=is_dynamic(schema))
    created.fields.extend(user_fields(schema))
    for number, each in enumerate(created.fields, start=100):
        each.fieldID = number
    return bytes(created.SerializeToString())
