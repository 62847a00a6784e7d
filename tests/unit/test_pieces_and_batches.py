"""Windows cut at drops, and what is sent of them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.codec import head, rewrite
from cdc_core.codec.protobuf import common_pb2, msg_pb2
from cdc_core.model.address import Address, Row
from cdc_core.model.message import Kind, Message
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.batch import Batch, range_end
from cdc_core.pipeline.piece import Piece, cut
from cdc_core.source.base import Record
from cdc_core.source.window import Mark, Window
from tests.messages import delete, parsed, simple_insert

pytestmark = pytest.mark.unit

T = Tso.of(1_700_000_000_000)
ADDRESS = Address(900, "target-dml_0_900v0", "c", "default", 901, "_default")
BEFORE = Position("v", b"before", T)


def row(after: int) -> Message:
    return parsed(simple_insert([after], T + after).SerializeToString())


def drop(after: int, partition: int = 0) -> Message:
    kind = Kind.DROP_PARTITION if partition else Kind.DROP_COLLECTION
    base = common_pb2.MsgBase(msg_type=int(kind), msgID=7, timestamp=T + after)
    if partition:
        return parsed(
            msg_pb2.DropPartitionRequest(base=base, collectionID=440, partitionID=partition).SerializeToString()
        )
    return parsed(msg_pb2.DropCollectionRequest(base=base, collectionID=440).SerializeToString())


def window(*messages: Message, end: int = 100) -> Window:
    return Window(messages, Mark(Tso(T + end), Position("v", b"behind", Tso(T + end))))


def offsets(pieces: Sequence[Piece]) -> list[list[int]]:
    return [[message.first - T for message in piece.rows] for piece in pieces]


def test_a_window_without_a_drop_is_one_piece() -> None:
    whole = window(row(3), row(1))
    assert list(cut(whole, BEFORE)) == [Piece(whole.messages, None, whole.mark)]


def test_rows_are_on_their_side_of_a_drop_whatever_their_place_in_the_queue() -> None:
    border = drop(10)
    first, last = cut(window(row(11), border, row(9), row(10)), BEFORE)
    assert offsets([first, last]) == [[9], [11, 10]]
    assert (first.border, last.border) == (border, None)


def test_a_piece_before_a_drop_is_read_again_from_before_its_window() -> None:
    """So that the drop itself is met again: it is newer than the checkpoint. A window that is longer than from one tick
    to the next comes again only from where it began, in time, too.
    """
    first, last = cut(window(row(1), drop(10)), BEFORE)
    assert first.mark == Mark(Tso(T + 9), BEFORE)
    assert last.mark == window().mark
    assert last.rows == ()


def test_several_drops_cut_in_order_of_time_then_of_place() -> None:
    early, twin, late = drop(10, partition=1), drop(10, partition=2), drop(20, partition=3)
    pieces = list(cut(window(late, row(15), early, row(25), twin), BEFORE))
    assert [piece.border for piece in pieces] == [early, twin, late, None]
    assert offsets(pieces) == [[], [], [15], [25]]


@given(st.lists(st.tuples(st.integers(1, 99), st.booleans()), max_size=20))
def test_no_row_is_left_out_or_doubled_by_cutting(items: list[tuple[int, bool]]) -> None:
    whole = window(*(drop(at, partition=1) if is_drop else row(at) for at, is_drop in items))
    pieces = list(cut(whole, BEFORE))
    kept = [message for piece in pieces for message in piece.rows]
    rows = [message for message in whole.messages if message.kind is Kind.INSERT]
    assert sorted(kept, key=lambda m: m.order) == sorted(rows, key=lambda m: m.order)
    resolved = T
    for piece in pieces:
        assert all(resolved < message.first <= piece.mark.resolved for message in piece.rows)
        resolved = piece.mark.resolved


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.lists(st.integers(1, 60), max_size=9))
def test_cutting_anew_from_any_drop_gives_the_same_pieces(drops: list[int], rows: list[int]) -> None:
    """After a crash a checkpoint may lie at any drop: the same ranges must come again, byte for byte (I4)."""
    messages = [*(drop(at, partition=1) for at in drops), *(row(at) for at in rows)]
    pieces = list(cut(window(*messages), BEFORE))
    for number, piece in enumerate(pieces):
        again = list(cut(window(*messages), BEFORE, piece.mark.resolved))
        assert _ranges(again) == _ranges(pieces[number + 1 :])


def _ranges(pieces: Sequence[Piece]) -> list[tuple[Tso, tuple[Message, ...]]]:
    """What would be sent, and the end of the range by which it is recorded."""
    return [(piece.mark.resolved, piece.rows) for piece in pieces if piece.rows]


# batches


def batch(*requests: object, end: int = 100) -> Batch:
    rows = [Row(parsed(each.SerializeToString(), order=n), ADDRESS) for n, each in enumerate(requests, 1)]  # type: ignore[attr-defined]
    return Batch(window(end=end).mark, rows, 1)


def stamps(payload: bytes) -> list[int]:
    return [int(stamp) for stamp in rewrite.row_timestamps(head.parse(Record("p", b"", 1, payload)))]


def test_in_step_a_batch_keeps_the_sources_timestamps_and_bytes() -> None:
    given = batch(simple_insert([1], T + 5), simple_insert([2], T + 3))
    sent = given.outgoing(None)
    assert (sent.begin, sent.end) == (T + 3, T + 5)
    assert [payload.startswith(row.message.payload) for payload, row in zip(sent.payloads, given.rows, strict=True)]
    assert [stamps(payload) for payload in sent.payloads] == [[T + 5], [T + 3]]


def test_from_behind_order_is_kept_and_equal_stays_equal() -> None:
    """An upsert is an insert and a delete of one timestamp."""
    base = Tso.of(1_800_000_000_000, 1)
    given = batch(
        simple_insert([1], T + 5),
        delete([1], T + 5),
        simple_insert([2], T + 900),
        simple_insert([3, 4], [T + 1, T + 5]),
    )
    sent = given.outgoing(base)
    assert [stamps(payload) for payload in sent.payloads] == [[base + 1], [base + 1], [base + 2], [base, base + 1]]
    assert (sent.begin, sent.end) == (base, base + 2)
    assert len(given.stamps) == 3


@pytest.mark.parametrize("base", [None, Tso.of(1_800_000_000_000, 1)])
def test_what_is_sent_is_a_pure_function(base: Tso | None) -> None:
    """I4"""
    requests = simple_insert([1, 2], [T + 1, T + 7], msg_id=1), delete([1], T + 9, msg_id=2)
    assert batch(*requests).outgoing(base) == batch(*requests).outgoing(base)
    assert batch(*requests).intent == batch(*requests).intent


def test_the_intent_names_the_end_of_the_range_and_the_rule() -> None:
    given = batch(simple_insert([1], T + 1), end=40)
    assert range_end(given.intent) == T + 40
    other = json.dumps({**json.loads(given.intent), "rule": 99})
    with pytest.raises(ValueError, match="rule 99"):
        range_end(other)


def test_rows_are_counted_one_by_one() -> None:
    """A source gives all rows of an insert one timestamp; rate limits count rows."""
    rows = [parsed(message.SerializeToString()) for message in (simple_insert([1, 2, 3], T), delete([4, 5], T))]
    batch = Batch(BEFORE, [Row(message, ADDRESS) for message in rows], 1)
    assert batch.row_count == 5
