"""The catalogs of the contract tests, each with the hands that change the source."""

from __future__ import annotations

import uuid
from typing import Protocol

import pyetcd

from cdc_core.codec.etcd_records_pb2 import (
    AliasInfo,
    CollectionInfo,
    CollectionLoadInfo,
    DatabaseInfo,
    FieldIndex,
    IndexInfo,
    KeyDataPair,
    KeyValuePair,
    PartitionInfo,
)
from cdc_core.codec.protobuf import schema_pb2
from cdc_core.model.catalog import Collection, Database, ObjectState, Partition, Serving
from cdc_core.model.channel import VChannel
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.source.base import LiveCatalog
from cdc_core.source.catalog import SourceCatalog
from cdc_core.source.memory_catalog import MemoryCatalog
from deploy.local import Etcd

CREATED = Tso.of(1_700_000_000_000)
TOMBSTONE = b"\xe2\x9b\xbc"


def a_collection(collection_id: int, name: str, database: str = "default", **changes: object) -> Collection:
    """A plausible one: two fields, one shard, one partition."""
    schema = schema_pb2.CollectionSchema(name=name, description="of a test", enable_dynamic_field=True)
    schema.fields.add(fieldID=100, name="id", is_primary_key=True, data_type=schema_pb2.Int64)
    schema.fields.add(fieldID=101, name="vector", data_type=schema_pb2.FloatVector)
    values: dict[str, object] = {
        "id": collection_id,
        "database": database,
        "name": name,
        "created": CREATED,
        "state": ObjectState.CREATED,
        "schema": schema.SerializeToString(deterministic=True),
        "vchannels": (VChannel("by-dev-rootcoord-dml_0", collection_id, 0),),
        "start_positions": {"by-dev-rootcoord-dml_0": Position("by-dev-rootcoord-dml_0", b"\x01" + bytes(7))},
        "consistency_level": 2,
        "properties": {"collection.ttl.seconds": "60"},
        "partitions": (Partition(collection_id + 1, "_default", CREATED, ObjectState.CREATED),),
    }
    return Collection(**{**values, **changes})  # type: ignore[arg-type]


class CatalogHands(Protocol):
    """A catalog and who changes what it shows."""

    catalog: LiveCatalog

    def put_collection(self, collection: Collection) -> None: ...

    def remove_collection(self, collection: Collection) -> None: ...

    def put_serving(self, collection: Collection, serving: Serving) -> None: ...

    def put_database(self, database: Database) -> None: ...

    def remove_database(self, database_id: int) -> None: ...

    def close(self) -> None: ...


class MemoryHands:
    def __init__(self) -> None:
        self.catalog = MemoryCatalog()
        self.put_collection = self.catalog.put_collection
        self.put_database = self.catalog.put_database
        self.remove_database = self.catalog.remove_database

    def remove_collection(self, collection: Collection) -> None:
        self.catalog.remove_collection(collection.id)

    def put_serving(self, collection: Collection, serving: Serving) -> None:
        self.catalog.put_serving(collection.id, serving)

    def close(self) -> None:
        self.catalog.close()


class EtcdHands:
    """Writes what rootcoord writes, under a root of its own."""

    def __init__(self, server: Etcd) -> None:
        self.root = uuid.uuid4().hex[:8]
        host, port = server.endpoint.split(":")
        self.etcd = pyetcd.client(host=host, port=int(port), timeout=10)
        self._databases = {"default": 1}
        self._aliases: dict[int, frozenset[str]] = {}
        self.catalog = SourceCatalog(server.endpoint, self.root, "meta")

    def put(self, key: str, value: bytes) -> None:
        """`key` is below root-coord."""
        self.etcd.put(self.key(key), value)

    def delete(self, key: str) -> None:
        self.etcd.delete(self.key(key))

    def key(self, key: str) -> str:
        return f"{self.root}/meta/root-coord/{key}"

    def put_database(self, database: Database) -> None:
        properties = [KeyValuePair(key=key, value=value) for key, value in database.properties.items()]
        info = DatabaseInfo(name=database.name, id=database.id, state=1, properties=properties)
        self._databases[database.name] = database.id
        self.put(f"database/db-info/{database.id}", info.SerializeToString())

    def remove_database(self, database_id: int) -> None:
        self.delete(f"database/db-info/{database_id}")

    def put_collection(self, collection: Collection) -> None:
        """The parts first, as rootcoord does."""
        for key, value in self.parts(collection).items():
            self.put(key, value)
        self.put(self.info_key(collection), self.info(collection).SerializeToString())
        self._put_aliases(collection)

    def _put_aliases(self, collection: Collection) -> None:
        """A dropped one leaves a tombstone."""
        database = self._databases[collection.database]
        for alias in self._aliases.get(collection.id, frozenset()) - collection.aliases:
            self.put(f"database/aliases/{database}/{alias}", TOMBSTONE)
        for alias in collection.aliases:
            info = AliasInfo(alias_name=alias, collection_id=collection.id, db_id=database)
            self.put(f"database/aliases/{database}/{alias}", info.SerializeToString())
        self._aliases[collection.id] = collection.aliases

    def put_serving(self, collection: Collection, serving: Serving) -> None:
        """As datacoord and querycoord write it; a dropped index is one that is marked so."""
        schema = schema_pb2.CollectionSchema.FromString(collection.schema)
        fields = {field.name: field.fieldID for field in schema.fields}
        for number, index in enumerate(serving.indexes):
            params = [KeyValuePair(key=key, value=value) for key, value in index.params.items()]
            info = IndexInfo(
                collection_id=collection.id,
                field_id=fields[index.field],
                index_name=index.name,
                index_id=number,
                user_index_params=params,
            )
            self._put_index(FieldIndex(index_info=info))
        gone = IndexInfo(collection_id=collection.id, field_id=101, index_name="gone", index_id=99)
        self._put_index(FieldIndex(index_info=gone, deleted=True))
        load = f"{self.root}/meta/querycoord-collection-loadinfo/{collection.id}"
        if serving.replicas:
            record = CollectionLoadInfo(collection_id=collection.id, replica_number=serving.replicas, status=2)
            self.etcd.put(load, record.SerializeToString())
        else:
            self.etcd.delete(load)

    def _put_index(self, record: FieldIndex) -> None:
        info = record.index_info
        key = f"{self.root}/meta/field-index/{info.collection_id}/{info.index_id}"
        self.etcd.put(key, record.SerializeToString())

    def remove_collection(self, collection: Collection) -> None:
        self.delete(self.info_key(collection))
        for key in self.parts(collection):
            self.delete(key)

    def info_key(self, collection: Collection) -> str:
        return f"database/collection-info/{self._databases[collection.database]}/{collection.id}"

    def parts(self, collection: Collection) -> dict[str, bytes]:
        """The records of the fields, those of the system included, and of the partitions."""
        schema = schema_pb2.CollectionSchema.FromString(collection.schema)
        system = [
            schema_pb2.FieldSchema(fieldID=number, name=name) for number, name in enumerate(("RowID", "Timestamp"))
        ]
        records = {
            f"fields/{collection.id}/{field.fieldID}": field.SerializeToString()
            for field in [*system, *reversed(schema.fields)]
        }
        for partition in collection.partitions:
            record = PartitionInfo(
                partition_id=partition.id,
                partition_name=partition.name,
                partition_created_timestamp=partition.created,
                collection_id=collection.id,
                state=partition.state,
            )
            records[f"partitions/{collection.id}/{partition.id}"] = record.SerializeToString()
        return records

    def info(self, collection: Collection) -> CollectionInfo:
        """Its own record: the schema without the fields."""
        schema = schema_pb2.CollectionSchema.FromString(collection.schema)
        del schema.fields[:]
        starts = collection.start_positions.items()
        return CollectionInfo(
            id=collection.id,
            schema=schema.SerializeToString(),
            create_time=collection.created,
            virtual_channel_names=[vchannel.name for vchannel in collection.vchannels],
            physical_channel_names=[vchannel.pchannel for vchannel in collection.vchannels],
            shards_num=collection.shards,
            start_positions=[KeyDataPair(key=key, data=position.message_id) for key, position in starts],
            consistency_level=collection.consistency_level,
            state=collection.state,
            properties=[KeyValuePair(key=key, value=value) for key, value in collection.properties.items()],
            db_id=self._databases[collection.database],
        )

    def close(self) -> None:
        self.catalog.close()
        self.etcd.close()
