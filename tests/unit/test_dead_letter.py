"""Whose a message is that cannot be read, and what is kept of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.codec import dead_letter, wire
from cdc_core.codec.protobuf import common_pb2, milvus_pb2, msg_pb2
from cdc_core.model.dead_letter import SHOWN_BYTES, DeadLetter
from cdc_core.model.message import Kind
from cdc_core.model.position import Position
from cdc_core.source.base import Record
from tests.messages import SOURCE_PCHANNEL, delete, simple_insert

pytestmark = pytest.mark.unit

MINE = f"{SOURCE_PCHANNEL}_440v0"


def letter_of(payload: bytes) -> DeadLetter:
    return dead_letter.of_data(Record(SOURCE_PCHANNEL, b"\x05" + b"\0" * 7, 5, payload), "no good")


def whose(payload: bytes) -> tuple[str, int]:
    letter = letter_of(payload)
    return letter.vchannel, letter.collection_id


def base(kind: int) -> common_pb2.MsgBase:
    return common_pb2.MsgBase(msg_type=kind, timestamp=5)


@pytest.mark.parametrize("payload", [b"", b"\xff\xff", b"garbage", bytes(40), b"\x0a\x7f\x08\x90\x03"])
def test_what_names_nobody_may_be_anybodys(payload: bytes) -> None:
    assert whose(payload) == ("", 0)


def test_rows_that_are_cut_off_behind_their_vchannel_are_that_vchannels() -> None:
    for request in (simple_insert([1, 2], 50), delete([1], 50)):
        payload = request.SerializeToString()
        assert whose(payload[:-1]) == (MINE, 0)
        assert whose(payload + b"\xff") == (MINE, 0)
        assert whose(payload[:10]) == ("", 0)


def test_rows_whose_vchannel_and_collection_differ_may_be_anybodys() -> None:
    request = simple_insert([1], 50)
    request.collectionID = 7
    assert whose(request.SerializeToString()) == ("", 0)


def test_a_vchannel_of_another_topic_is_not_believed() -> None:
    assert whose(simple_insert([1], 50, vchannel="by-dev-rootcoord-dml_1_440v0").SerializeToString()) == ("", 0)


def test_what_concerns_a_collection_is_that_collections() -> None:
    drop = msg_pb2.DropCollectionRequest(base=base(Kind.DROP_COLLECTION), collectionID=77)
    partition = msg_pb2.DropPartitionRequest(base=base(Kind.DROP_PARTITION), collectionID=78, partitionID=3)
    imported = msg_pb2.ImportMsg(base=base(Kind.IMPORT), collectionID=79, db_name=MINE)
    assert [whose(each.SerializeToString() + b"\xff") for each in (drop, partition, imported)] == [
        ("", 77),
        ("", 78),
        ("", 79),
    ]


def test_an_unknown_type_is_of_the_vchannel_that_it_names_where_rows_do() -> None:
    tick = msg_pb2.TimeTickMsg(base=base(9999)).SerializeToString()
    assert whose(tick) == ("", 0)
    assert whose(tick + wire.bytes_field(2, MINE.encode()) + wire.number_field(7, 3)) == (MINE, 0)
    assert whose(tick + wire.bytes_field(2, b"some_database")) == ("", 0)


@given(st.binary(max_size=80))
def test_whatever_comes_is_somebodys_or_anybodys(payload: bytes) -> None:
    letter = letter_of(payload)
    assert not (letter.vchannel and letter.collection_id)
    assert json.loads(json.dumps(letter.to_dict())) == letter.to_dict()


def test_an_operation_is_no_collections() -> None:
    record = Record("by-dev-replicate-msg", b"\1", 1, simple_insert([1], 5).SerializeToString())
    letter = dead_letter.of_operations(record, "")
    assert (letter.vchannel, letter.collection_id) == ("", 0)


@pytest.mark.parametrize("payload", [b"", b"\xff\xff", b"no message, but a secret", b"\x0a\x7f secret"])
def test_of_an_operation_nothing_is_shown_that_may_be_a_password(payload: bytes) -> None:
    request = milvus_pb2.CreateCredentialRequest(base=base(1500), username="u", password="secret").SerializeToString()
    for each in (payload, request, request[:-1], request + b"\xff"):
        letter = dead_letter.of_operations(Record("by-dev-replicate-msg", b"\1", 1, each), "")
        assert b"secret" not in letter.start
        assert each.startswith(letter.start)
    assert letter.start == wire.bytes_field(1, base(1500).SerializeToString())


def test_what_is_kept_is_bounded_and_says_where_it_is() -> None:
    letter = letter_of(b"x" * 1_000_000)
    assert letter.start == b"x" * SHOWN_BYTES
    shown = letter.to_dict()
    assert shown == {
        "channel": SOURCE_PCHANNEL,
        "position": shown["position"],
        "reason": "no good",
        "bytes": "78" * SHOWN_BYTES,
        "length": 1_000_000,
    }
    assert Position.from_base64(shown["position"]) == Position(SOURCE_PCHANNEL, b"\x05" + b"\0" * 7)
    assert str(letter) == f"{SOURCE_PCHANNEL}, position {shown['position']}: no good"
