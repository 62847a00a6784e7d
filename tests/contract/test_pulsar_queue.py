"""What only Pulsar has: batches, Milvus' forms of an id, subscriptions, ledgers, credentials."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pulsar
import pytest

from cdc_core.codec.wire import number_field
from cdc_core.errors import SourceUnavailable
from cdc_core.source.base import Reader, Record
from cdc_core.source.pulsar import PulsarQueue
from cdc_core.source.pulsar_cluster import PulsarAuth, PulsarCluster
from cdc_core.source.pulsar_id import PulsarId
from deploy.local import Pulsar
from tests.contract.brokers import PulsarBroker

pytestmark = pytest.mark.contract

PATIENCE = 30.0


@pytest.fixture
def broker(pulsar_server: Pulsar) -> Iterator[PulsarBroker]:
    one = PulsarBroker(pulsar_server)
    yield one
    one.close()


@pytest.fixture
def reader(broker: PulsarBroker) -> Iterator[Reader]:
    one = broker.queue.reader()
    yield one
    one.close()


def read(reader: Reader, count: int) -> list[Record]:
    found: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < deadline:
        for item in reader.poll(0.5):
            assert isinstance(item, Record), item
            found.append(item)
    assert len(found) == count
    return found


def batches(broker: PulsarBroker, topic: str, sizes: list[int]) -> int:
    """Messages "0", "1" and so on, as many in each batch."""
    number = 0
    with contextlib.closing(
        broker.client.create_producer(
            broker.cluster.topic(topic), batching_enabled=True, batching_max_publish_delay_ms=60_000
        )
    ) as producer:
        for size in sizes:
            for _ in range(size):
                producer.send_async(b"%d" % number, lambda *_: None)
                number += 1
            producer.flush()
    return number


def test_batches_are_read_and_begun_in_the_middle(broker: PulsarBroker, reader: Reader) -> None:
    topic = broker.topic()
    count = batches(broker, topic, [1, 5, 1, 12])
    reader.add(topic, b"")
    records = read(reader, count)
    assert [int(record.payload) for record in records] == list(range(count))
    orders = [record.order for record in records]
    assert orders == sorted(set(orders)) == [broker.queue.order(record.message_id) for record in records]
    assert broker.queue.tail(topic) == records[-1].message_id
    assert broker.queue.head(topic) == records[0].message_id
    for start in (0, 3, 5, 6, 18):
        reader.remove(topic)
        reader.add(topic, records[start].message_id)
        assert [int(record.payload) for record in read(reader, count - start)] == list(range(start, count))


def test_milvus_forms_of_an_id_lead_to_its_message(broker: PulsarBroker, reader: Reader) -> None:
    """Given an id bare, with partition 0 and batch index 0 as Milvus' checkpoints have it, or with -1 for both."""
    topic = broker.topic()
    ids = [PulsarId.parse(broker.append(topic, b"%d" % number)) for number in range(3)]
    bare = number_field(1, ids[1].ledger) + number_field(2, ids[1].entry)
    for more in (b"", number_field(3, 0) + number_field(4, 0), number_field(3, -1) + number_field(4, -1)):
        reader.add(topic, bare + more)
        assert [record.payload for record in read(reader, 2)] == [b"1", b"2"]
        reader.remove(topic)


def test_nothing_is_left_behind_that_holds_back_retention(broker: PulsarBroker, reader: Reader) -> None:
    topic = broker.topic()
    last = broker.append(topic, b"0")
    reader.add(topic, b"")
    read(reader, 1)
    assert broker.queue.tail(topic) == last
    assert not any(one["durable"] for one in broker.subscriptions(topic).values())
    reader.remove(topic)
    assert broker.subscriptions(topic) == {}


def test_another_ledger_is_read_on_as_long_as_nothing_between_was_removed(broker: PulsarBroker, reader: Reader) -> None:
    topic = broker.topic()
    broker.append(topic, b"0")
    reader.add(topic, b"")
    found = read(reader, 1)
    for number in range(1, 4):
        broker.cut(topic)
        broker.append(topic, b"%d" % number)
        found += read(reader, 1)
    assert [int(record.payload) for record in found] == [0, 1, 2, 3]
    assert len(broker.ledgers(topic)) >= 4


@pytest.mark.parametrize(
    "auth", [PulsarAuth("token", "token:x"), PulsarAuth("basic", "username:u,password:p")], ids=lambda auth: auth.kind
)
def test_credentials_that_nobody_asks_for_do_no_harm(broker: PulsarBroker, auth: PulsarAuth) -> None:
    topic = broker.topic()
    last = broker.append(topic, b"0")
    cluster = PulsarCluster(broker.cluster.url, namespace=broker.cluster.namespace, auth=auth)
    with contextlib.closing(PulsarQueue(cluster)) as queue:
        assert topic in queue.topics()
        assert queue.tail(topic) == last


def test_what_is_no_pulsar_is_told(pulsar_server: Pulsar) -> None:
    wrong = PulsarQueue(PulsarCluster(f"pulsar://127.0.0.1:{pulsar_server.web_port}"))
    with contextlib.closing(wrong), pytest.raises(SourceUnavailable, match="does not answer"):
        wrong.topics()


def test_a_client_of_pulsar_says_nothing_on_the_terminal(
    broker: PulsarBroker, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(pulsar.PulsarException):
        broker.client.create_reader("persistent://no/such/topic", pulsar.MessageId.earliest)
    assert capfd.readouterr() == ("", "")
