"""The objects of a Milvus, by its ordinary calls; those of a standby are marked as replicated."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from cdc_core.codec.operation import Operation
from cdc_core.codec.protobuf import common_pb2, milvus_pb2, schema_pb2
from cdc_core.errors import NotSupported, Refused
from cdc_core.model.catalog import Collection, Index, ObjectState, Serving
from cdc_core.model.channel import pchannel_of
from cdc_core.model.timestamp import ZERO, Tso
from cdc_core.sink import milvus_errors
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.compare import is_dynamic, user_fields
from cdc_core.sink.milvus_client import MilvusChannel
from cdc_core.sink.milvus_manner import AsStandby, Manner, base_of
from cdc_core.sink.milvus_operations import MilvusOperations

_EXISTS_ALREADY = ("different parameters", "already exist")
_ALIAS_TAKEN = ("is alias to another collection", "already exist")
_IDS_SECONDS = 5.0
"""They are asked for every few seconds, by a thread that must not be long in ending."""


class MilvusCatalog:
    """`TargetCatalog` of a Milvus; the channel may be shared with its sink and is the owner's to close."""

    def __init__(self, channel: MilvusChannel, manner: Manner = AsStandby()) -> None:  # noqa: B008 # stateless
        self._channel = channel
        self._manner = manner
        self._operations = MilvusOperations(channel, manner)
        self._pchannels: dict[int, frozenset[str]] = {}
        """By collection id: a collection never changes its channels."""

    def pchannels(self) -> frozenset[str]:
        if not self._manner.has_channels:
            return frozenset()
        found: dict[int, frozenset[str]] = {}
        for database in self.databases():
            shown = self._shown(database)
            for name, number in zip(shown.collection_names, shown.collection_ids, strict=True):
                found[number] = self._pchannels.get(number) or self._pchannels_of(database, name)
        self._pchannels = {number: channels for number, channels in found.items() if channels}
        return frozenset().union(*found.values())

    def databases(self) -> frozenset[str]:
        answer = self._channel.call("ListDatabases", milvus_pb2.ListDatabasesRequest())
        _raise("ListDatabases", answer.status)
        return frozenset(answer.db_names)

    def create_database(self, name: str, properties: Mapping[str, str]) -> None:
        if name in self.databases():
            return
        request = milvus_pb2.CreateDatabaseRequest(base=self._base(ZERO), db_name=name, properties=_pairs(properties))
        self._change("CreateDatabase", request, f"create database {name!r}", tolerate=_EXISTS_ALREADY)

    def database_properties(self, name: str) -> Mapping[str, str] | None:
        try:
            answer = self._channel.call("DescribeDatabase", milvus_pb2.DescribeDatabaseRequest(db_name=name))
        except NotSupported:
            return None
        if milvus_errors.is_missing(answer.status, milvus_errors.DATABASE_NOT_FOUND):
            return None
        _raise(f"DescribeDatabase {name!r}", answer.status)
        return {pair.key: pair.value for pair in answer.properties}

    def alter_database(self, name: str, properties: Mapping[str, str]) -> None:
        request = milvus_pb2.AlterDatabaseRequest(base=self._base(ZERO), db_name=name, properties=_pairs(properties))
        self._change("AlterDatabase", request, f"alter database {name!r}")

    def drop_database(self, name: str) -> None:
        if name in self.databases():
            request = milvus_pb2.DropDatabaseRequest(base=self._base(ZERO), db_name=name)
            self._change("DropDatabase", request, f"drop database {name!r}", milvus_errors.DATABASE_NOT_FOUND)

    def collections(self, database: str) -> frozenset[str]:
        return frozenset(self._shown(database).collection_names)

    def ids(self, database: str) -> frozenset[int]:
        return frozenset(self._shown(database, _IDS_SECONDS).collection_ids)

    def describe(self, database: str, name: str) -> TargetCollection | None:
        answer = self._described(database, name)
        if answer is None or _is_alias(name, answer):
            return None
        partitions = self._shown_partitions(database, name)
        if partitions is None:
            return None
        return TargetCollection(
            id=answer.collectionID,
            database=database,
            name=name,
            schema=answer.schema.SerializeToString(),
            vchannels=self._manner.vchannels(answer.virtual_channel_names),
            partitions=self._manner.partitions(answer.schema, partitions.partition_names, partitions.partitionIDs),
            consistency_level=answer.consistency_level,
            properties={pair.key: pair.value for pair in answer.properties},
            aliases=frozenset(answer.aliases if answer.collectionID else self._aliases(database, name)),
        )

    def create_collection(self, collection: Collection) -> None:
        existing = self._described(collection.database, collection.name)
        if existing is not None:
            _refuse_alias(collection.database, collection.name, existing)
            return
        schema = schema_pb2.CollectionSchema.FromString(collection.schema)
        request = milvus_pb2.CreateCollectionRequest(
            base=self._base(collection.created),
            db_name=collection.database,
            collection_name=collection.name,
            schema=self._schema_to_create(schema, collection.name).SerializeToString(),
            shards_num=collection.shards,
            consistency_level=collection.consistency_level,
            properties=_pairs(collection.properties),
            num_partitions=_partitions_to_create(schema, collection),
        )
        what = f"create collection {collection.database}.{collection.name}"
        self._change("CreateCollection", request, what, tolerate=_EXISTS_ALREADY)

    def drop_collection(self, database: str, name: str, at: Tso) -> None:
        described = self._described(database, name)
        if described is None or _is_alias(name, described):
            return
        request = milvus_pb2.DropCollectionRequest(base=self._base(at), db_name=database, collection_name=name)
        missing = (milvus_errors.COLLECTION_NOT_FOUND, milvus_errors.DATABASE_NOT_FOUND)
        self._change("DropCollection", request, f"drop collection {database}.{name}", *missing)

    def create_partition(self, database: str, collection: str, name: str, at: Tso) -> None:
        partitions = self._partitions(database, collection)
        if partitions is None:
            raise Refused(f"create partition {name!r}: the target has no collection {database}.{collection}")
        if name in partitions:
            return
        request = milvus_pb2.CreatePartitionRequest(
            base=self._base(at), db_name=database, collection_name=collection, partition_name=name
        )
        what = f"create partition {name!r} of {database}.{collection}"
        self._change("CreatePartition", request, what, tolerate=_EXISTS_ALREADY)

    def drop_partition(self, database: str, collection: str, name: str, at: Tso) -> None:
        if name not in (self._partitions(database, collection) or ()):
            return
        what = f"drop partition {name!r} of {database}.{collection}"
        missing = (milvus_errors.COLLECTION_NOT_FOUND, milvus_errors.PARTITION_NOT_FOUND)
        release = milvus_pb2.ReleasePartitionsRequest(
            base=self._base(at), db_name=database, collection_name=collection, partition_names=[name]
        )
        with suppress(NotSupported):  # Milvus Lite loads whole collections only, and drops partitions of loaded ones
            self._change("ReleasePartitions", release, what, *missing)
        request = milvus_pb2.DropPartitionRequest(
            base=self._base(at), db_name=database, collection_name=collection, partition_name=name
        )
        self._change("DropPartition", request, what, *missing)

    def alter_collection(self, database: str, name: str, properties: Mapping[str, str]) -> None:
        request = milvus_pb2.AlterCollectionRequest(
            base=self._base(ZERO), db_name=database, collection_name=name, properties=_pairs(properties)
        )
        self._change("AlterCollection", request, f"alter collection {database}.{name}")

    def rename_collection(self, database: str, name: str, new_database: str, new_name: str) -> None:
        request = milvus_pb2.RenameCollectionRequest(
            base=self._base(ZERO), db_name=database, oldName=name, newName=new_name, newDBName=new_database
        )
        self._change("RenameCollection", request, f"rename {database}.{name} to {new_database}.{new_name}")

    def put_alias(self, database: str, name: str, alias: str) -> None:
        made = {"base": self._base(ZERO), "db_name": database, "collection_name": name, "alias": alias}
        what = f"alias {alias!r} of {database}.{name}"
        status = self._channel.call("CreateAlias", milvus_pb2.CreateAliasRequest(**made))
        if milvus_errors.is_missing(status, milvus_errors.ALIAS_EXISTS) or _says(status, _ALIAS_TAKEN):
            status = self._channel.call("AlterAlias", milvus_pb2.AlterAliasRequest(**made))
        _raise(what, status)

    def drop_alias(self, database: str, alias: str) -> None:
        request = milvus_pb2.DropAliasRequest(base=self._base(ZERO), db_name=database, alias=alias)
        missing = (milvus_errors.ALIAS_NOT_FOUND, milvus_errors.DATABASE_NOT_FOUND)
        self._change("DropAlias", request, f"drop alias {alias!r} of {database}", *missing)

    def serving(self, database: str, name: str) -> Serving:
        request = milvus_pb2.DescribeIndexRequest(db_name=database, collection_name=name)
        answer = self._channel.call("DescribeIndex", request)
        if not milvus_errors.is_missing(answer.status, milvus_errors.INDEX_NOT_FOUND):
            _raise(f"DescribeIndex of {database}.{name}", answer.status)
        indexes = tuple(map(_index, answer.index_descriptions))
        return Serving(indexes, int(self._operations.is_loaded(database, name)))

    def apply(self, operation: Operation) -> None:
        self._operations.apply(operation)

    def close(self) -> None:
        self._channel.close()

    def _shown(self, database: str, timeout: float | None = None) -> Any:
        request = milvus_pb2.ShowCollectionsRequest(db_name=database)
        answer = self._channel.call("ShowCollections", request, timeout)
        if milvus_errors.is_missing(answer.status, milvus_errors.DATABASE_NOT_FOUND):
            return milvus_pb2.ShowCollectionsResponse()
        _raise(f"ShowCollections of {database!r}", answer.status)
        return answer

    def _described(self, database: str, name: str) -> Any | None:
        request = milvus_pb2.DescribeCollectionRequest(db_name=database, collection_name=name)
        answer = self._channel.call("DescribeCollection", request)
        if _is_gone(answer.status):
            return None
        _raise(f"DescribeCollection {database}.{name}", answer.status)
        return answer

    def _partitions(self, database: str, name: str) -> frozenset[str] | None:
        """Their names as they are on the server."""
        shown = self._shown_partitions(database, name)
        return frozenset(shown.partition_names) if shown else None

    def _shown_partitions(self, database: str, name: str) -> Any | None:
        request = milvus_pb2.ShowPartitionsRequest(db_name=database, collection_name=name)
        answer = self._channel.call("ShowPartitions", request)
        if _is_gone(answer.status):
            return None
        _raise(f"ShowPartitions of {database}.{name}", answer.status)
        return answer

    def _aliases(self, database: str, name: str) -> list[str]:
        """Of a Milvus Lite, which neither tells them nor the collection's id when it describes it."""
        request = milvus_pb2.ListAliasesRequest(db_name=database, collection_name=name)
        answer = self._channel.call("ListAliases", request)
        _raise(f"ListAliases of {database}.{name}", answer.status)
        return list(answer.aliases)

    def _pchannels_of(self, database: str, name: str) -> frozenset[str]:
        described = self._described(database, name)
        return frozenset(map(pchannel_of, described.virtual_channel_names)) if described is not None else frozenset()

    def _change(self, method: str, request: Any, what: str, *missing: int, tolerate: tuple[str, ...] = ()) -> None:
        """`missing` and `tolerate`: codes and texts that say that somebody else has done it meanwhile."""
        status = self._channel.call(method, request)
        if milvus_errors.is_missing(status, *missing) or _says(status, tolerate):
            return
        _raise(what, status)

    def _base(self, at: Tso) -> common_pb2.MsgBase:
        return base_of(self._manner, at)

    def _schema_to_create(self, schema: Any, name: str) -> Any:
        """The fields in the order of their ids, so that the target gives them the same ids; the server adds `$meta`."""
        wanted = schema_pb2.CollectionSchema()
        wanted.CopyFrom(schema)
        wanted.name = name
        wanted.enable_dynamic_field = is_dynamic(schema)
        wanted.ClearField("dbName")
        wanted.ClearField("fields")
        wanted.fields.extend(user_fields(schema))
        self._manner.adapt(wanted)
        return wanted


def _raise(what: str, status: Any) -> None:
    error = milvus_errors.of_status(what, status)
    if error is not None:
        raise error


def _says(status: Any, texts: tuple[str, ...]) -> bool:
    return any(text in status.reason for text in texts)


def _is_gone(status: Any) -> bool:
    return milvus_errors.is_missing(status, milvus_errors.COLLECTION_NOT_FOUND, milvus_errors.DATABASE_NOT_FOUND)


def _is_alias(name: str, described: Any) -> bool:
    """A server answers for an alias as for the collection behind it, which is another one; only the schema tells."""
    return bool(described.schema.name != name)


def _refuse_alias(database: str, name: str, described: Any) -> None:
    if _is_alias(name, described):
        raise Refused(
            f"create collection {database}.{name}: on the target it is an alias of {described.schema.name!r}; drop it"
        )


def _pairs(properties: Mapping[str, str]) -> list[common_pb2.KeyValuePair]:
    return [common_pb2.KeyValuePair(key=key, value=value) for key, value in sorted(properties.items())]


def _index(described: Any) -> Index:
    return Index(described.index_name, described.field_name, {pair.key: pair.value for pair in described.params})


def _partitions_to_create(schema: Any, collection: Collection) -> int:
    """A collection with a partition key is made with all its partitions at once, another one with none."""
    if not any(field.is_partition_key for field in schema.fields):
        return 0
    return sum(partition.state is ObjectState.CREATED for partition in collection.partitions)
