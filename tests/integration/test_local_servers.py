"""The local servers keep what they promise: data through kills, a standby that refuses writes, two side by side."""

import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from pymilvus import DataType, MilvusClient, MilvusException
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from deploy.local import Kafka, Milvus, Redis, Stack
from tests.servers import or_skip

pytestmark = pytest.mark.integration

ROWS = [{"id": key, "vector": [float(key), 0.0, 0.0, 1.0]} for key in range(100)]


@pytest.fixture(autouse=True)
def _quiet_pymilvus() -> Iterator[None]:
    """It logs a stack trace for each refused call, and refused calls are what some tests are about."""
    logger = logging.getLogger("pymilvus")
    level, logger.level = logger.level, logging.CRITICAL
    yield
    logger.level = level


def collection_of(milvus: Milvus) -> tuple[MilvusClient, str]:
    """A client and a fresh collection, neither indexed nor loaded: a standby could not finish a load."""
    client = MilvusClient(milvus.uri, token=milvus.token, timeout=30)
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
    name = f"c_{uuid4().hex[:8]}"
    client.create_collection(name, schema=schema, consistency_level="Strong", timeout=30)
    return client, name


def load(client: MilvusClient, name: str) -> None:
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_index(name, index, timeout=30)
    client.load_collection(name, timeout=60)


def count(client: MilvusClient, name: str) -> int:
    return len(client.query(name, filter="id >= 0", output_fields=["id"], timeout=30))


# A killed Milvus answers at once, but refuses queries until it has loaded the collection again: 10 to 50 s; one that
# works hard lets a query run into its time-out.
recovered = Retrying(
    retry=retry_if_exception_type((MilvusException, grpc.RpcError)),
    stop=stop_after_delay(240),
    wait=wait_fixed(0.2),
    reraise=True,
)


def test_a_source_answers_queries_for_the_rows_it_took(rocksmq_stack: Stack) -> None:
    client, name = collection_of(rocksmq_stack.source)
    load(client, name)

    client.insert(name, ROWS)

    assert count(client, name) == len(ROWS)


def test_a_standby_refuses_an_ordinary_insert(rocksmq_stack: Stack) -> None:
    client, name = collection_of(rocksmq_stack.target)

    with pytest.raises(MilvusException, match="deny to write the message to mq"):
        client.insert(name, ROWS, timeout=20)


def test_a_pair_knows_nothing_of_each_others_collections(rocksmq_stack: Stack) -> None:
    _, name = collection_of(rocksmq_stack.source)
    target = MilvusClient(rocksmq_stack.target.uri)

    assert name not in target.list_collections()


def test_a_killed_source_comes_back_at_its_address_with_its_rows(rocksmq_stack: Stack) -> None:
    client, name = collection_of(rocksmq_stack.source)
    load(client, name)
    client.insert(name, ROWS)
    before = rocksmq_stack.source.pid

    rocksmq_stack.source.kill()
    rocksmq_stack.source.start().wait_ready()

    assert rocksmq_stack.source.pid != before
    assert recovered(count, client, name) == len(ROWS)


def test_two_milvus_with_an_etcd_inside_run_side_by_side(tmp_path: Path) -> None:
    """Each embedded etcd has ports of its own, so nothing but pip's packages is needed for a pair."""
    with or_skip(lambda: Stack(tmp_path, embedded_etcd=True)) as stack:
        assert stack.etcd is None
        assert stack.source.etcd_endpoint != stack.target.etcd_endpoint
        collection_of(stack.source)
        collection_of(stack.target)


def test_a_source_on_kafka_writes_to_the_broker_of_its_stack(kafka_stack: Stack) -> None:
    assert kafka_stack.kafka is not None
    client, name = collection_of(kafka_stack.source)
    load(client, name)

    client.insert(name, ROWS)

    assert count(client, name) == len(ROWS)
    topics = Producer({"bootstrap.servers": kafka_stack.kafka.address}).list_topics(timeout=10).topics
    assert "by-dev-rootcoord-dml_0" in topics
    assert kafka_stack.environment()["CDC_SOURCE_MQ"] == f"kafka://{kafka_stack.kafka.address}"


def test_a_source_on_pulsar_keeps_its_rows_through_a_kill_of_the_broker(pulsar_stack: Stack) -> None:
    assert pulsar_stack.pulsar is not None
    client, name = collection_of(pulsar_stack.source)
    load(client, name)
    client.insert(name, ROWS)

    pulsar_stack.pulsar.kill()
    pulsar_stack.pulsar.start().wait_ready()

    assert recovered(count, client, name) == len(ROWS)


def test_redis_keeps_every_acknowledged_write_through_a_kill(redis_server: Redis) -> None:
    with redis.Redis.from_url(redis_server.url()) as client:
        client.set("key", "value")

        redis_server.kill()
        redis_server.start().wait_ready()

        assert client.get("key") == b"value"


def test_redis_never_evicts(redis_server: Redis) -> None:
    with redis.Redis.from_url(redis_server.url()) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_kafka_keeps_messages_as_large_as_milvus_sends_through_a_kill(kafka_server: Kafka) -> None:
    topic, message = f"t-{uuid4().hex[:8]}", b"x" * (10 << 20)
    limits = {"bootstrap.servers": kafka_server.address, "message.max.bytes": 16 << 20}
    producer = Producer(limits)
    producer.produce(topic, message)
    assert producer.flush(20) == 0

    kafka_server.kill()
    kafka_server.start().wait_ready()

    consumer = Consumer({**limits, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    kept = consumer.poll(20)
    consumer.close()
    assert kept is not None
    assert kept.value() == message
