"""Heads of messages: read from any payload, without its body."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.codec import head, wire
from cdc_core.codec.protobuf import common_pb2, msg_pb2
from cdc_core.errors import Undecodable
from cdc_core.model.message import Kind
from cdc_core.source.base import Record
from tests.messages import collection, delete, imported, parsed, simple_insert

pytestmark = pytest.mark.unit


def test_a_tick() -> None:
    base = common_pb2.MsgBase(msg_type=1200, timestamp=2**62, sourceID=3)
    message = parsed(msg_pb2.TimeTickMsg(base=base).SerializeToString())
    assert (message.kind, message.first, message.last, message.vchannel) == (Kind.TIME_TICK, 2**62, 2**62, "")


def test_a_tick_with_properties_longer_than_a_byte_counts() -> None:
    base = common_pb2.MsgBase(msg_type=1200, timestamp=7, properties={"traceparent": "x" * 300})
    assert parsed(msg_pb2.TimeTickMsg(base=base).SerializeToString()).first == 7


def test_an_insert() -> None:
    """`base.timestamp` is 0 in an upsert's insert: the rows' timestamps count."""
    message = parsed(simple_insert([1, 2], 50, msg_id=9, vchannel="by-dev-rootcoord-dml_0_440v1").SerializeToString())
    assert (message.kind, message.first, message.last, message.msg_id) == (Kind.INSERT, 50, 50, 9)
    assert (message.vchannel, message.collection_id) == ("by-dev-rootcoord-dml_0_440v1", 440)
    assert (message.partition_id, message.partition_name) == (441, "_default")


def test_a_delete_in_the_whole_collection() -> None:
    message = parsed(delete([1], [50]).SerializeToString())
    assert (message.kind, message.partition_id, message.partition_name) == (Kind.DELETE, -1, "")


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20), st.booleans())
def test_first_and_last_are_the_smallest_and_largest(values: list[int], in_packs: bool) -> None:
    payload = simple_insert([1], 1)
    payload.ClearField("timestamps")
    if in_packs:
        tail = wire.bytes_field(10, b"".join(map(wire.varint, values)))
    else:
        tail = b"".join(wire.number_field(10, value) for value in values)
    message = parsed(payload.SerializeToString() + tail)
    assert (message.first, message.last) == (min(values), max(values))


def test_ddl_messages_name_their_objects() -> None:
    def base(kind: Kind) -> common_pb2.MsgBase:
        return common_pb2.MsgBase(msg_type=int(kind), timestamp=5)

    ids = {"collectionID": 1, "partitionID": 2}
    made = msg_pb2.CreateCollectionRequest(base=base(Kind.CREATE_COLLECTION), collectionName="c", **ids)
    dropped = msg_pb2.DropCollectionRequest(base=base(Kind.DROP_COLLECTION), collectionName="c", collectionID=1)
    created = msg_pb2.CreatePartitionRequest(base=base(Kind.CREATE_PARTITION), partition_name="p", **ids)
    gone = msg_pb2.DropPartitionRequest(base=base(Kind.DROP_PARTITION), partition_name="p", **ids)
    messages = [parsed(each.SerializeToString()) for each in (made, dropped, created, gone)]
    assert [message.kind for message in messages] == [100, 101, 200, 201]
    assert [message.partition_name for message in messages] == ["", "", "p", "p"]
    assert {message.collection_id for message in messages} == {1}
    assert {message.first for message in messages} == {5}


def test_an_import() -> None:
    made = collection("films", partitions=["_default", "p"])
    message = parsed(imported(made, 50, job=3).SerializeToString(), order=8)
    assert (message.kind, message.first, message.last, message.vchannel) == (Kind.IMPORT, 50, 50, "")
    assert message.collection_id == made.id


def test_a_message_without_a_number_gets_one_of_its_own_place() -> None:
    """No two of them are alike, also of two topics: a standby drops the second one of equal numbers."""
    payload = imported(collection("films"), 50, job=3).SerializeToString()
    places = [(topic, number.to_bytes(8, "little")) for topic in ("t_0", "t_1") for number in range(100)]
    found = [head.parse(Record(topic, place, 1, payload)).msg_id for topic, place in places]
    assert len(set(found)) == len(places)
    assert all(-(1 << 62) <= number < 0 for number in found)
    assert found == [head.parse(Record(topic, place, 1, payload)).msg_id for topic, place in places]


@pytest.mark.parametrize("msg_type", [402, 0, 9999])
def test_an_unexpected_type_is_named(msg_type: int) -> None:
    payload = msg_pb2.TimeTickMsg(base=common_pb2.MsgBase(msg_type=msg_type)).SerializeToString()
    with pytest.raises(Undecodable, match=rf"^type {msg_type} \("):
        parsed(payload)


def test_an_empty_message_is_undecodable() -> None:
    with pytest.raises(Undecodable, match="empty"):
        parsed(b"")


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_body_that_is_not_what_the_head_says_is_undecodable(size: int) -> None:
    """Also of a message that is too large to be merged, which nobody else would decode."""
    request = simple_insert(range(size // 20 + 1), 50)
    with pytest.raises(Undecodable, match="malformed"):
        parsed(request.SerializeToString() + b"\x6a\x01\xff")  # field 13, no FieldData


def test_rows_of_no_vchannel_and_drops_of_no_collection_are_undecodable() -> None:
    """They would be handed to nobody, and nobody would know."""
    rows = simple_insert([1], 50)
    rows.shardName = ""
    with pytest.raises(Undecodable, match="names no vchannel"):
        parsed(rows.SerializeToString())
    drop = msg_pb2.DropCollectionRequest(base=common_pb2.MsgBase(msg_type=int(Kind.DROP_COLLECTION), timestamp=5))
    with pytest.raises(Undecodable, match="names no collection"):
        parsed(drop.SerializeToString())


def test_an_insert_without_timestamps_is_undecodable() -> None:
    request = simple_insert([1], 1)
    request.ClearField("timestamps")
    with pytest.raises(Undecodable):
        parsed(request.SerializeToString())


@given(st.binary(max_size=60))
def test_whatever_comes_is_a_message_or_undecodable(payload: bytes) -> None:
    with contextlib.suppress(Undecodable):
        parsed(payload)


ROWS = simple_insert([1, 2, 3], 77).SerializeToString()


@given(st.integers(0, len(ROWS) - 1))
def test_a_cut_message_is_undecodable_or_lacks_whole_fields(size: int) -> None:
    cut = ROWS[:size]
    try:
        message = head.parse(Record("p", b"", 1, cut))
    except Undecodable:
        return
    msg_pb2.InsertRequest.FromString(cut)
    assert message.first == 77


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.binary(max_size=200))))
def test_walking_finds_what_was_written(written: list[tuple[int, bytes]]) -> None:
    data = b"".join(wire.bytes_field(number, value) for number, value in written)
    assert [(number, data[start:end]) for number, _, _, start, end in wire.fields(data)] == written


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_come_back(value: int) -> None:
    assert wire.read_int64(wire.varint(value), 0) == value
