"""Rootcoord's records in etcd, put together to a catalog. No I/O.

Keys, below `<root>/<meta>/root-coord/`: `database/db-info/<db>`, `database/collection-info/<db>/<collection>` or, from
before there were databases, `collection/<collection>`, then `fields/<collection>/<field>`,
`partitions/<collection>/<partition>` and `database/aliases/<db>/<alias>`.
(github.com/milvus-io/milvus, internal/metastore/kv/rootcoord.)
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from cdc_core.codec.etcd_records_pb2 import AliasInfo, CollectionInfo, DatabaseInfo, PartitionInfo
from cdc_core.codec.protobuf import schema_pb2
from cdc_core.model.catalog import DEFAULT_DATABASE, Catalog, Collection, Database, ObjectState, Partition
from cdc_core.model.channel import VChannel
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso

logger = logging.getLogger(__name__)

_TOMBSTONE = b"\xe2\x9b\xbc"
"""What a key of a deleted object may hold."""
_FIRST_USER_FIELD = 100
_DEFAULT_DATABASE_ID = 1
_NO_DATABASE_ID = 0
_DATABASE_EXISTS = (0, 1)
_K = TypeVar("_K")
_V = TypeVar("_V")


class CatalogRecords:
    """All keys of one range. A change marks the collections it touches; only these are built again."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()
        self._databases: dict[int, bytes] = {}
        self._infos: dict[int, dict[str, bytes]] = defaultdict(dict)
        """By collection and database id, which is '' in the old form."""
        self._parts: dict[tuple[str, int], dict[int, bytes]] = defaultdict(dict)
        self._aliases: dict[tuple[str, str], AliasInfo] = {}
        """By database id and name."""
        self._stale: set[int] = set()
        self._collections: dict[int, Collection] = {}

    def __len__(self) -> int:
        """How many keys there are, those that mean nothing here included."""
        return len(self._keys)

    def put(self, key: bytes, value: bytes) -> None:
        """`key` as it stands below the prefix."""
        self._keys.add(key)
        self._store(key, None if value == _TOMBSTONE else value)

    def delete(self, key: bytes) -> None:
        self._keys.discard(key)
        self._store(key, None)

    def would_add(self, keys: Iterable[bytes]) -> int:
        """How many of them are new."""
        return len(set(keys) - self._keys)

    def catalog(self, revision: int) -> Catalog:
        """The catalog of what was put; costs what has changed since the last call."""
        databases = self._build_databases()
        for collection_id in self._stale:
            built = self._build(collection_id, databases)
            if built is None:
                self._collections.pop(collection_id, None)
            else:
                self._collections[collection_id] = built
        self._stale.clear()
        return Catalog(revision, databases, dict(self._collections))

    def _store(self, key: bytes, value: bytes | None) -> None:
        match key.decode(errors="replace").split("/"):
            case ["database", "db-info", database] if database.isdigit():
                _set(self._databases, int(database), value)
                self._stale.update(self._infos)
            case ["database", "collection-info", database, collection] if collection.isdigit():
                _set(self._infos[int(collection)], database, value)
                self._stale.add(int(collection))
            case ["collection", collection] if collection.isdigit():
                _set(self._infos[int(collection)], "", value)
                self._stale.add(int(collection))
            case ["database", "aliases", database, alias]:
                self._store_alias((database, alias), value)
            case [("fields" | "partitions") as kind, collection, part] if collection.isdigit() and part.isdigit():
                _set(self._parts[kind, int(collection)], int(part), value)
                self._stale.add(int(collection))

    def _store_alias(self, key: tuple[str, str], value: bytes | None) -> None:
        """Both the collection that had it and the one that has it now are built again."""
        info = _alias(value) if value is not None else None
        self._stale.update(each.collection_id for each in (self._aliases.get(key), info) if each)
        _set(self._aliases, key, info)

    def _build_databases(self) -> dict[int, Database]:
        databases = {_DEFAULT_DATABASE_ID: Database(_DEFAULT_DATABASE_ID, DEFAULT_DATABASE, {})}
        for database_id, value in self._databases.items():
            try:
                info = DatabaseInfo.FromString(value)
            except DecodeError:
                logger.exception("database %s of the source cannot be understood; it is left out", database_id)
                continue
            if info.state in _DATABASE_EXISTS:
                properties = {pair.key: pair.value for pair in info.properties}
                databases[database_id] = Database(database_id, info.name, properties)
        return databases

    def _build(self, collection_id: int, databases: dict[int, Database]) -> Collection | None:
        """None when there is none, when it belongs to no database or cannot be understood."""
        records = self._infos.get(collection_id)
        if not records:
            self._infos.pop(collection_id, None)
            return None
        database_id = max(records)  # '' is the least: the new form wins
        database = databases.get(int(database_id or _NO_DATABASE_ID) or _DEFAULT_DATABASE_ID)
        if database is None:
            return None
        try:
            return self._assemble(CollectionInfo.FromString(records[database_id]), database)
        except (DecodeError, ValueError):
            logger.exception("collection %s of the source cannot be understood; it is left out", collection_id)
            return None

    def _assemble(self, info: CollectionInfo, database: Database) -> Collection:
        schema = self._schema(info)
        state = ObjectState(info.state)
        if state == ObjectState.CREATED and not any(field.is_primary_key for field in schema.fields):
            state = ObjectState.CREATING  # its fields have yet to come
        starts = {pair.key: Position(pair.key, pair.data) for pair in info.start_positions}
        return Collection(
            id=info.id,
            database=database.name,
            name=schema.name,
            created=Tso(info.create_time),
            state=state,
            schema=schema.SerializeToString(deterministic=True),
            vchannels=tuple(VChannel.parse(name) for name in info.virtual_channel_names),
            start_positions=starts,
            consistency_level=info.consistency_level,
            properties={pair.key: pair.value for pair in info.properties},
            partitions=self._partitions(info),
            aliases=self._aliases_of(info.id),
        )

    def _aliases_of(self, collection_id: int) -> frozenset[str]:
        infos = [info for info in self._aliases.values() if info.collection_id == collection_id]
        return frozenset(info.alias_name for info in infos if info.state == ObjectState.CREATED)

    def _schema(self, info: CollectionInfo) -> Any:
        """The user's fields in the order of their ids; in very old records they are inside."""
        schema = schema_pb2.CollectionSchema.FromString(info.schema)
        records = self._parts.get(("fields", info.id))
        fields = map(schema_pb2.FieldSchema.FromString, records.values()) if records else list(schema.fields)
        user = sorted(
            (field for field in fields if field.fieldID >= _FIRST_USER_FIELD), key=lambda field: field.fieldID
        )
        del schema.fields[:]
        schema.fields.extend(user)
        return schema

    def _partitions(self, info: CollectionInfo) -> tuple[Partition, ...]:
        """In the order of their ids; in old records they are inside."""
        records = self._parts.get(("partitions", info.id))
        if records:
            parts = [PartitionInfo.FromString(value) for value in records.values()]
            found = [
                Partition(p.partition_id, p.partition_name, Tso(p.partition_created_timestamp), ObjectState(p.state))
                for p in parts
            ]
        else:
            old = zip(info.partition_ids, info.partition_names, info.partition_created_timestamps, strict=False)
            found = [Partition(id_, name, Tso(created), ObjectState.CREATED) for id_, name, created in old]
        return tuple(sorted(found, key=lambda partition: partition.id))


def _alias(value: bytes) -> AliasInfo | None:
    try:
        return AliasInfo.FromString(value)
    except DecodeError:
        logger.exception("an alias of the source cannot be understood; it is left out")
        return None


def _set(records: dict[_K, _V], key: _K, value: _V | None) -> None:
    if value is None:
        records.pop(key, None)
    else:
        records[key] = value
