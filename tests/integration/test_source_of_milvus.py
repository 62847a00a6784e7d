"""The source side against a real Milvus: its catalog is what Milvus says, its queue holds what was written."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from cdc_core.codec.protobuf import common_pb2, milvus_pb2, milvus_pb2_grpc, msg_pb2, schema_pb2
from cdc_core.errors import SourceUnavailable
from cdc_core.model.catalog import Collection, ObjectState
from cdc_core.source.base import Queue, Reader, Record
from cdc_core.source.catalog import SourceCatalog
from cdc_core.source.connect import open_queue
from deploy.local import Stack

pytestmark = pytest.mark.integration

PATIENCE = 60.0


@pytest.fixture(params=["rocksmq_stack", "kafka_stack", "pulsar_stack", "natsmq_stack"])
def stack(request: pytest.FixtureRequest) -> Stack:
    found: Stack = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def milvus(stack: Stack) -> Iterator[MilvusClient]:
    client = MilvusClient(uri=stack.source.uri)
    yield client
    client.close()


@pytest.fixture
def catalog(stack: Stack) -> Iterator[SourceCatalog]:
    one = SourceCatalog(stack.source.etcd_endpoint, stack.source.etcd_root, "meta")
    yield one
    one.close()


@pytest.fixture
def queue(stack: Stack) -> Iterator[Queue]:
    one = open_queue(stack.source.mq_uri)
    yield one
    one.close()


def await_that(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true that {what}"
        time.sleep(0.05)


def of_name(catalog: SourceCatalog, name: str) -> Collection:
    return next(one for one in catalog.refresh().collections.values() if one.name == name)


def everything(client: MilvusClient) -> object:
    """A schema with every kind of column that Milvus 2.3 has."""
    schema = client.create_schema(enable_dynamic_field=True, description="every kind of column")
    schema.add_field("key", DataType.VARCHAR, max_length=64, is_primary=True)
    for kind in ("BOOL", "INT8", "INT16", "INT32", "FLOAT", "DOUBLE", "JSON"):
        schema.add_field(kind.lower(), getattr(DataType, kind), description=f"a {kind}")
    schema.add_field("tenant", DataType.INT64, is_partition_key=True)
    schema.add_field("numbers", DataType.ARRAY, element_type=DataType.INT32, max_capacity=8)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=8)
    return schema


def test_a_collection_of_every_column_is_as_milvus_describes_it(milvus: MilvusClient, catalog: SourceCatalog) -> None:
    name = _name()
    milvus.create_collection(
        name, schema=everything(milvus), num_shards=3, num_partitions=4, consistency_level="Bounded"
    )
    found, said = of_name(catalog, name), milvus.describe_collection(name)
    schema = schema_pb2.CollectionSchema.FromString(found.schema)
    assert (found.id, found.database, found.state) == (said["collection_id"], "default", ObjectState.CREATED)
    assert (schema.name, schema.description, schema.enable_dynamic_field) == (name, "every kind of column", True)
    user = [field for field in schema.fields if not field.is_dynamic]
    assert [(f.fieldID, f.name, f.data_type) for f in user] == [
        (f["field_id"], f["name"], int(f["type"])) for f in said["fields"]
    ]
    assert [field.name for field in user if field.is_partition_key] == ["tenant"]
    assert [field.name for field in schema.fields if field.is_dynamic] == ["$meta"]
    assert found.consistency_level == said["consistency_level"]
    assert sorted(partition.name for partition in found.partitions) == sorted(milvus.list_partitions(name))
    milvus.drop_collection(name)


def test_channels_and_creation_time_are_as_milvus_describes_them(
    stack: Stack, milvus: MilvusClient, catalog: SourceCatalog
) -> None:
    name = _name()
    milvus.create_collection(name, schema=_plain(milvus, auto_id=True), num_shards=4)
    found, raw = of_name(catalog, name), _describe(stack, name)
    assert [vchannel.name for vchannel in found.vchannels] == list(raw.virtual_channel_names)
    assert [vchannel.pchannel for vchannel in found.vchannels] == list(raw.physical_channel_names)
    assert set(found.start_positions) == {vchannel.pchannel for vchannel in found.vchannels}
    assert found.created == raw.created_timestamp
    assert schema_pb2.CollectionSchema.FromString(found.schema).fields[0].autoID
    milvus.drop_collection(name)


def test_databases_partitions_and_drops_are_followed(
    stack: Stack, milvus: MilvusClient, catalog: SourceCatalog
) -> None:
    database, name = f"db_{uuid.uuid4().hex[:8]}", _name()
    milvus.create_database(database)
    assert database in {one.name for one in catalog.refresh().databases.values()}
    with contextlib.closing(MilvusClient(uri=stack.source.uri, db_name=database)) as inside:
        inside.create_collection(name, schema=_plain(inside))
        assert of_name(catalog, name).database == database
        inside.create_partition(name, "p1")
        assert [partition.name for partition in of_name(catalog, name).partitions] == ["_default", "p1"]
        inside.drop_partition(name, "p1")
        await_that(lambda: "p1" not in _existing_partitions(catalog, name), "the partition is gone")
        inside.drop_collection(name)
    assert name not in _existing_collections(catalog)
    await_that(lambda: _drop_database(milvus, database), "the database can be dropped")
    await_that(lambda: database not in _existing_databases(catalog), "the database is gone")


def test_the_start_positions_lead_to_the_first_rows(milvus: MilvusClient, catalog: SourceCatalog, queue: Queue) -> None:
    """Given rows in a new collection, when its topics are read from its start, then all rows are there."""
    name = _name()
    milvus.create_collection(name, schema=_plain(milvus), num_shards=2)
    milvus.insert(name, [{"id": number, "vector": [0.5] * 8} for number in range(100)])
    collection = of_name(catalog, name)
    assert {vchannel.pchannel for vchannel in collection.vchannels} <= queue.topics()
    reader = queue.reader()
    try:
        for pchannel, position in collection.start_positions.items():
            reader.add(pchannel, position.message_id)
        assert _rows(reader, collection, 100) == 100
    finally:
        reader.close()
    milvus.drop_collection(name)


def test_ticks_keep_coming_through_a_kill_of_milvus(
    stack: Stack, milvus: MilvusClient, catalog: SourceCatalog, queue: Queue
) -> None:
    name = _name()
    milvus.create_collection(name, schema=_plain(milvus))
    pchannel = of_name(catalog, name).vchannels[0].pchannel
    reader = queue.reader()
    try:
        reader.add(pchannel, queue.tail(pchannel))
        before = _orders(reader, 10)
        stack.source.kill()
        stack.source.start().wait_ready()
        after = _orders(reader, 10)
        assert before + after == sorted(set(before + after))
    finally:
        reader.close()


def _describe(stack: Stack, name: str) -> Any:
    """All that Milvus says, which pymilvus shortens."""
    with grpc.insecure_channel(stack.source.address) as channel:
        stub = milvus_pb2_grpc.MilvusServiceStub(channel)
        return stub.DescribeCollection(milvus_pb2.DescribeCollectionRequest(collection_name=name))


def _existing_partitions(catalog: SourceCatalog, name: str) -> set[str]:
    partitions = of_name(catalog, name).partitions
    return {partition.name for partition in partitions if partition.state == ObjectState.CREATED}


def _existing_collections(catalog: SourceCatalog) -> set[str]:
    return {one.name for one in catalog.refresh().collections.values() if one.state == ObjectState.CREATED}


def _existing_databases(catalog: SourceCatalog) -> set[str]:
    return {one.name for one in catalog.current().databases.values()}


def _drop_database(client: MilvusClient, database: str) -> bool:
    """Milvus refuses while the collection is being dropped."""
    try:
        client.drop_database(database)
    except MilvusException:
        return False
    return True


def _rows(reader: Reader, collection: Collection, count: int) -> int:
    ours = {vchannel.name for vchannel in collection.vchannels}
    found = 0
    deadline = time.monotonic() + PATIENCE
    while found < count and time.monotonic() < deadline:
        for item in reader.poll(0.5):
            assert isinstance(item, Record), item
            if common_pb2.MsgHeader.FromString(item.payload).base.msg_type == common_pb2.Insert:
                insert = msg_pb2.InsertRequest.FromString(item.payload)
                found += insert.num_rows if insert.shardName in ours else 0
    return found


def _orders(reader: Reader, count: int) -> list[int]:
    orders: list[int] = []
    deadline = time.monotonic() + PATIENCE
    while len(orders) < count:
        assert time.monotonic() < deadline, "no ticks"
        with contextlib.suppress(SourceUnavailable):  # a queue inside Milvus comes back with it
            for item in reader.poll(0.5):
                assert isinstance(item, Record), item
                orders.append(item.order)
    return orders


def _plain(client: MilvusClient, auto_id: bool = False) -> object:
    schema = client.create_schema(auto_id=auto_id)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=8)
    return schema


def _name() -> str:
    return f"c_{uuid.uuid4().hex[:12]}"
