"""Addresses of queues, and ids that are numbers."""

import pytest

from cdc_core.source.connect import open_queue
from cdc_core.source.kafka import KafkaQueue
from cdc_core.source.natsmq import NatsmqQueue
from cdc_core.source.pulsar import PulsarQueue
from cdc_core.source.rocksmq import RocksmqQueue
from cdc_core.source.sequence import to_message_id, to_number

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("kafka://a:9092", KafkaQueue),
        ("kafka://a:9092,b:9092/", KafkaQueue),
        ("pulsar://a:6650", PulsarQueue),
        ("pulsar+ssl://a:6651,b:6651/", PulsarQueue),
        ("rocksmq:///var/lib/milvus/rdb_data", RocksmqQueue),
        ("nats://127.0.0.1:4222", NatsmqQueue),
    ],
)
def test_an_address_names_its_queue(uri: str, kind: type) -> None:
    queue = open_queue(uri)
    assert isinstance(queue, kind)
    queue.close()


@pytest.mark.parametrize("uri", ["amqp://a:4222", "redis://a"])
def test_a_queue_that_cannot_be_read_is_refused_with_those_that_can(uri: str) -> None:
    with pytest.raises(ValueError, match=r"this version reads kafka://.*rocksmq://.*nats://"):
        open_queue(uri)


@pytest.mark.parametrize("uri", ["", "kafka", "kafka://", "rocksmq:///", "nats://", "a:9092"])
def test_what_is_no_address_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        open_queue(uri)


def test_a_message_id_is_eight_bytes_little_endian() -> None:
    assert to_message_id(0x0102) == b"\x02\x01\0\0\0\0\0\0"
    assert to_number(to_message_id(451_701_426_100_633_601)) == 451_701_426_100_633_601
