"""Pulsar's message ids: as Milvus writes them, and in what order they are."""

import itertools

import pytest

from cdc_core.model.position import Position
from cdc_core.source.pulsar_id import PulsarId
from cdc_core.source.sequence import to_message_id
from tests.unit.test_values import PULSAR_CHECKPOINT

pytestmark = pytest.mark.unit


def test_a_real_checkpoint_of_milvus_names_ledger_and_entry() -> None:
    position = Position.from_base64(PULSAR_CHECKPOINT)
    assert PulsarId.parse(position.message_id) == PulsarId(1, 10009)


@pytest.mark.parametrize(
    ("message_id", "expected"),
    [
        ("08031001", PulsarId(3, 1)),
        ("0803100120003001", PulsarId(3, 1)),
        ("080310011800", PulsarId(3, 1)),
        ("0803100118ffffffffffffffffff0120ffffffffffffffffff01", PulsarId(3, 1)),
        ("08031001200430052a020807", PulsarId(3, 1, 4)),
        ("0880e0dbe70110d08603", PulsarId(485_945_344, 50_000)),
    ],
    ids=["bare", "of-the-python-client", "partition", "no-partition-no-batch", "in-a-batch", "large"],
)
def test_ids_are_read_with_and_without_partition_and_batch(message_id: str, expected: PulsarId) -> None:
    assert PulsarId.parse(bytes.fromhex(message_id)) == expected


@pytest.mark.parametrize(
    "message_id",
    [b"", b"\x08\x01", b"\x10\x01", b"\x08\x01\x10", to_message_id(5), to_message_id(450_000_000_000_000_000)],
)
def test_what_is_no_id_of_pulsar_is_refused(message_id: bytes) -> None:
    with pytest.raises(ValueError, match="no message id of this queue"):
        PulsarId.parse(message_id)


def test_the_order_grows_as_the_topic_does() -> None:
    topic = [
        PulsarId(3, 0),
        PulsarId(3, 1, 0),
        PulsarId(3, 1, 1),
        PulsarId(3, 1, 16_383),
        PulsarId(3, 2),
        PulsarId(3, 67_108_863),
        PulsarId(4, 0),
        PulsarId(2**40, 0),
    ]
    assert topic == sorted(topic)
    assert all(before.order < after.order for before, after in itertools.pairwise(topic))


@pytest.mark.parametrize(
    ("after", "before", "follows"),
    [
        (PulsarId(3, 2), PulsarId(3, 1), True),
        (PulsarId(3, 2), PulsarId(3, 1, 7), True),
        (PulsarId(3, 1, 1), PulsarId(3, 1, 0), True),
        (PulsarId(3, 1, 2), PulsarId(3, 1, 0), False),
        (PulsarId(3, 2, 1), PulsarId(3, 1), False),
        (PulsarId(3, 3), PulsarId(3, 1), False),
        (PulsarId(4, 0), PulsarId(3, 1), False),
    ],
)
def test_only_the_next_of_the_same_ledger_surely_follows(after: PulsarId, before: PulsarId, follows: bool) -> None:
    assert after.follows(before) is follows
