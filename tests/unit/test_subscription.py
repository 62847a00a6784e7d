"""The windows of one vchannel, and how far it is while nothing comes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.codec import rewrite
from cdc_core.codec.protobuf import common_pb2, msg_pb2
from cdc_core.errors import SourceUnavailable
from cdc_core.model.channel import VChannel
from cdc_core.model.dead_letter import DeadLetter
from cdc_core.model.message import Kind, Message
from cdc_core.model.position import Position
from cdc_core.model.timestamp import ZERO, Tso
from cdc_core.pipeline.piece import Piece, cut
from cdc_core.source.base import Record
from cdc_core.source.feed import Feed
from cdc_core.source.subscription import PAIR_MS, Subscription
from cdc_core.source.window import Window
from tests.messages import SOURCE_PCHANNEL, delete, parsed, simple_insert

pytestmark = pytest.mark.unit

T = Tso.of(1_700_000_000_000)
VCHANNEL = VChannel(SOURCE_PCHANNEL, 440, 0)


@dataclass
class Ticks:
    tick: Message | None = None


def row(order: int, after: int) -> Message:
    return parsed(simple_insert([after], T + after).SerializeToString(), order)


def tick(order: int, after: int) -> Message:
    return parsed(rewrite.time_tick(Tso(T + after)), order)


def half(order: int, after: int) -> Message:
    """The insert of an upsert."""
    return parsed(simple_insert([after], T + after, half=True).SerializeToString(), order)


def other_half(order: int, after: int) -> Message:
    return parsed(delete([after], T + after).SerializeToString(), order)


def letter(order: int) -> DeadLetter:
    return DeadLetter(SOURCE_PCHANNEL, order.to_bytes(8, "little"), order, "no good", b"\xff", 1)


def subscription(start: int = 0, limit: int = 1 << 20) -> Subscription:
    made = Subscription(VCHANNEL, Position("", b"", Tso(T + start)), lambda: limit)
    made.source = Ticks()
    return made


def close(made: Subscription, at: Message) -> bool:
    """As a feed does."""
    more = made.close_window(at)
    assert isinstance(made.source, Ticks)
    made.source.tick = at
    return more


def test_a_window_holds_what_the_tick_covers_and_the_rest_waits() -> None:
    made = subscription()
    for message in (row(1, 10), row(2, 30), row(3, 5)):
        assert made.offer(message)
    assert close(made, tick(4, 20))
    (window,) = made.take(1 << 20, 0)
    assert [message.order for message in window.messages] == [1, 3]
    assert window.mark.resolved == T + 20
    assert window.mark.position == Position(VCHANNEL.name, row(2, 30).message_id, Tso(T + 20)), "the first of the rest"
    assert not close(made, tick(5, 40))
    (window,) = made.take(1 << 20, 0)
    assert [message.order for message in window.messages] == [2]
    assert window.mark.position.message_id == tick(5, 40).message_id


def test_what_is_at_or_below_the_start_is_dropped_exactly() -> None:
    made = subscription(start=10)
    assert [made.offer(row(n, n)) for n in (9, 10, 11)] == [False, False, True]


def test_what_an_earlier_feed_has_delivered_is_dropped() -> None:
    made = subscription()
    made.skip_until = 4
    assert [made.offer(row(order, 10)) for order in (4, 5)] == [False, True]


def test_the_idle_mark_goes_with_the_ticks_only_while_nothing_waits() -> None:
    made = subscription()
    assert made.idle_mark() is None
    close(made, tick(1, 10))
    mark = made.idle_mark()
    assert mark is not None
    assert (mark.resolved, mark.position.message_id) == (T + 10, tick(1, 10).message_id)
    made.offer(row(2, 15))
    assert made.idle_mark() == mark.__class__(
        mark.resolved, Position(VCHANNEL.name, row(2, 15).message_id, Tso(T + 10))
    )
    close(made, tick(3, 20))
    assert made.idle_mark() is None, "a window waits"
    assert len(made.take(1 << 20, 0)) == 1
    assert made.idle_mark() is None, "it is under way"
    made.settled(1)
    mark = made.idle_mark()
    assert mark is not None
    assert mark.resolved == T + 20


def test_the_idle_mark_waits_for_a_window_that_the_tick_is_about_to_close() -> None:
    made = subscription()
    made.offer(row(1, 5))
    made.source = Ticks(tick(2, 10))
    assert made.idle_mark() is None


def test_the_idle_mark_is_never_below_the_start_and_never_of_an_older_place() -> None:
    made = subscription(start=50)
    close(made, tick(3, 10))
    mark = made.idle_mark()
    assert mark is not None
    assert mark.resolved == T + 50
    made.skip_until = 3
    assert made.idle_mark() is None


def test_it_is_full_by_bytes_and_takes_one_window_however_large() -> None:
    made = subscription(limit=1)
    assert not made.full
    for order in (1, 3):
        made.offer(row(order, order))
        close(made, tick(order + 1, order + 1))
    assert made.full
    assert len(made.take(1, 0)) == 1
    assert made.backlog > 0
    assert len(made.take(1, 0)) == 1
    assert (made.backlog, made.full) == (0, False)
    assert made.take(1, 0) == []


def test_an_error_comes_behind_what_was_complete_and_ends_it() -> None:
    made = subscription()
    made.offer(row(1, 1))
    close(made, tick(2, 2))
    made.offer(row(3, 3))
    made.fail(SourceUnavailable("first"))
    made.fail(SourceUnavailable("second"))
    close(made, tick(4, 4))
    assert not made.offer(row(5, 5))
    assert len(made.take(1 << 20, 0)) == 1
    made.settled(1)
    assert made.idle_mark() is None
    with pytest.raises(SourceUnavailable, match="first"):
        made.take(1, 0)


def test_a_letter_comes_with_the_window_of_the_next_tick_also_alone() -> None:
    made = subscription()
    for item in (row(1, 10), letter(2), row(3, 30)):
        assert made.offer(item)
    assert close(made, tick(4, 20))
    made.offer(letter(5))
    assert not close(made, tick(6, 40))
    made.offer(letter(7))
    assert not close(made, tick(8, 60))
    windows = made.take(1 << 20, 0)
    assert [[m.order for m in window.messages] for window in windows] == [[1], [3], []]
    assert [[each.order for each in window.letters] for window in windows] == [[2], [5], [7]]
    assert [window.mark.resolved - T for window in windows] == [20, 40, 60]
    assert all(window.size > 0 for window in windows), "many of them fill the buffer"


def test_no_mark_passes_a_letter_that_was_not_told() -> None:
    made = subscription()
    close(made, tick(1, 10))
    made.offer(letter(2))
    made.offer(row(3, 30))
    mark = made.idle_mark()
    assert mark is not None
    assert mark.resolved == T + 10
    assert mark.position.message_id == letter(2).message_id
    assert close(made, tick(4, 20)), "the row is newer"
    assert made.idle_mark() is None, "a window waits"


def test_a_letter_is_not_due_at_a_tick_before_it() -> None:
    """The feed that is joined may come to older ticks again."""
    made = subscription()
    made.offer(letter(5))
    assert close(made, tick(3, 10))
    assert made.take(1 << 20, 0) == []
    assert not close(made, tick(6, 20))
    assert len(made.take(1 << 20, 0)) == 1


def test_a_letter_that_is_read_again_does_not_take_the_checkpoint_back() -> None:
    """Given a start whose place is a row above its time, when a letter and ticks of before are read again."""
    made = subscription(start=50)
    for item in (row(10, 100), letter(11)):
        made.offer(item)
    close(made, tick(12, 40))
    (window,) = made.take(1 << 20, 0)
    assert (window.messages, len(window.letters), window.mark.resolved) == ((), 1, T + 50)
    assert window.mark.position.message_id == row(10, 100).message_id


def test_a_wake_ends_a_wait() -> None:
    made = subscription()
    made.wake()
    assert made.take(1, 60) == []


@pytest.mark.parametrize("at", [15, 5])
def test_a_tick_does_not_tear_an_upsert(at: int) -> None:
    """A source that was killed ticks between its halves; the insert, too, may be below a tick of before."""
    made = subscription()
    close(made, tick(1, 10))
    for item in (half(2, at), row(3, 12)):
        assert made.offer(item)
    assert close(made, tick(4, 20))
    assert made.idle_mark() is None
    assert made.take(1 << 20, 0) == []
    assert made.offer(other_half(5, at))
    assert not close(made, tick(6, 30))
    (window,) = made.take(1 << 20, 0)
    assert [message.order for message in window.messages] == [2, 3, 5]
    assert window.mark.resolved == T + 30


def test_an_upsert_that_will_have_no_other_half_is_not_waited_for_longer_than_that() -> None:
    made = subscription()
    made.offer(half(1, 5))
    for order, after in enumerate((10, (PAIR_MS - 1) << 18), 2):
        assert close(made, tick(order, after)), "the source was killed in between, its ticks go on"
    assert not close(made, tick(4, PAIR_MS << 18))
    assert len(made.take(1 << 20, 0)) == 1


def test_halves_that_come_alone_one_after_the_other_are_not_waited_for_longer_than_one() -> None:
    """Each would keep the window of the one before, and its hold the ticks of everybody on the target's channel."""
    made = subscription()
    for number in range(1, 60):
        made.offer(half(2 * number, (number * 500) << 18))
        close(made, tick(2 * number + 1, (number * 500 + 200) << 18))
    held = [window.messages[0].first - T for window in made.take(1 << 20, 0)]
    assert held == [500 << 18, 11_000 << 18], "of 30 seconds all that is older than 10 has come"


def test_a_delete_of_several_timestamps_is_the_other_half_of_each() -> None:
    """One that was merged, by a source that is itself a standby."""
    made = subscription()
    for item in (half(1, 5), half(2, 7)):
        made.offer(item)
    assert close(made, tick(3, 10))
    merged = delete([5, 7], T + 5)
    merged.timestamps[:] = [T + 5, T + 7]
    made.offer(parsed(merged.SerializeToString(), 4))
    assert not close(made, tick(5, 20))
    assert len(made.take(1 << 20, 0)) == 1


def test_a_tick_that_an_earlier_feed_has_read_closes_nothing_again() -> None:
    """A row below that tick that stands behind it, of a source that was killed, belongs to the next one: a checkpoint
    at the tick would have it read again.
    """
    made = subscription()
    close(made, tick(1, 10))
    made.offer(row(2, 5))
    made.skip_until = 2
    assert close(made, tick(1, 10))
    assert made.take(1 << 20, 0) == []
    assert not close(made, tick(3, 20))
    (window,) = made.take(1 << 20, 0)
    assert window.mark.position.message_id == tick(3, 20).message_id


def test_a_half_of_an_upsert_does_not_keep_the_drop_of_its_collection() -> None:
    """No tick may come after it."""
    base = common_pb2.MsgBase(msg_type=int(Kind.DROP_COLLECTION), msgID=7, timestamp=T + 9)
    drop = msg_pb2.DropCollectionRequest(base=base, collectionID=440)
    made = subscription()
    for item in (half(1, 5), parsed(drop.SerializeToString(), 2)):
        assert made.offer(item)
    assert not close(made, tick(3, 10))
    assert len(made.take(1 << 20, 0)) == 1


UNIT = PAIR_MS // 60 << 18
"""Of a source in the next test: half of an upsert is waited for as long as three of its ticks take."""

steps_of_a_source = st.lists(
    st.one_of(st.integers(-5, 40), st.none(), st.sampled_from(["garbage", "half", "other half", "drop"])), max_size=60
)


@given(steps_of_a_source, st.data())
def test_reading_again_from_any_mark_gives_exactly_the_rest(steps: list[int | str | None], data: st.DataObject) -> None:
    """`steps`: rows so far above the last tick, a tick (None), halves of upserts, drops of partitions, what cannot be
    read; that may be told again.
    """
    records: list[Record] = []
    ticked, upsert = T, T
    for order, step in enumerate(steps, 1):
        if isinstance(step, int):
            payload = simple_insert([1], ticked + step * UNIT, msg_id=order).SerializeToString()
        elif step == "half":
            upsert = Tso(ticked + 3 * UNIT)
            payload = simple_insert([1], upsert, msg_id=order, half=True).SerializeToString()
        elif step == "other half":
            payload = delete([1], upsert, msg_id=order).SerializeToString()
        elif step == "drop":
            base = common_pb2.MsgBase(msg_type=int(Kind.DROP_PARTITION), msgID=order, timestamp=ticked + 5 * UNIT)
            payload = msg_pb2.DropPartitionRequest(base=base, collectionID=440, partitionID=9).SerializeToString()
        elif step is None:
            ticked = Tso(ticked + 20 * UNIT)
            payload = rewrite.time_tick(ticked)
        else:
            payload = b"\xff"
        records.append(Record(SOURCE_PCHANNEL, order.to_bytes(8, "little"), order, payload))
    whole = _read(records, Position("", b"", T))
    rows = [message for window in whole for message in window.messages]
    assert len({message.order for message in rows}) == len(rows)
    if whole:
        number = data.draw(st.integers(0, len(whole) - 1))
        mark = whole[number].mark
        again = _read(records, mark.position)
        assert all(window.mark.resolved >= mark.resolved for window in again)
        assert [w for w in map(_of_rows, again) if w.messages] == [
            w for w in map(_of_rows, whole[number + 1 :]) if w.messages
        ]
        assert _letters(whole[number + 1 :]) <= _letters(again) <= _letters(whole)
    pieces = _pieces(whole, Position("", b"", T))
    for piece in pieces:
        place, done = piece.mark.position, piece.mark.resolved
        again = _pieces(_read(records, place), place, done if done > place.timestamp else ZERO)
        same = [replace(each, rows=()) for each in pieces if each.border and each.mark == piece.mark]
        later = [each for each in pieces if each.mark.resolved > done]
        assert again == same + later, "a drop itself is met again"


def _of_rows(window: Window) -> Window:
    return replace(window, letters=())


def _pieces(windows: list[Window], place: Position, done: Tso = ZERO) -> list[Piece]:
    """Those with rows or a drop, as a replicator cuts them that goes on from `place`."""
    found = []
    for window in windows:
        found += [piece for piece in cut(window, place, done) if piece.rows or piece.border]
        place = window.mark.position
        done = ZERO if window.mark.resolved > done else done
    return found


def _letters(windows: list[Window]) -> set[int]:
    return {letter.order for window in windows for letter in window.letters}


def _read(records: list[Record], start: Position) -> list[Window]:
    feed = Feed(SOURCE_PCHANNEL, lambda _pchannel, _tick: None)
    made = Subscription(VCHANNEL, start, lambda: 1 << 30)
    feed.attach(made)
    for record in records:
        if record.message_id[::-1] >= start.message_id[::-1]:
            feed.handle(record)
    return list(made.take(1 << 30, 0))


def test_a_feed_hands_what_cannot_be_read_to_those_whose_it_is_and_reads_on() -> None:
    feed = Feed(SOURCE_PCHANNEL, lambda _pchannel, _tick: None)
    mine, sibling, other = (
        Subscription(VChannel(SOURCE_PCHANNEL, collection, shard), Position("", b"", T), lambda: 1)
        for collection, shard in ((440, 0), (440, 1), (441, 0))
    )
    for each in (mine, sibling, other):
        feed.attach(each)
    cut_off = simple_insert([1], T + 3, vchannel=mine.vchannel.name).SerializeToString()[:-1]
    base = common_pb2.MsgBase(msg_type=int(Kind.DROP_COLLECTION), timestamp=T + 4)
    drop = msg_pb2.DropCollectionRequest(base=base, collectionID=440).SerializeToString() + b"\xff"
    for order, payload in enumerate([cut_off, drop, b"", rewrite.time_tick(Tso(T + 9))], 1):
        feed.handle(Record(SOURCE_PCHANNEL, b"", order, payload))
    told = [
        [letter.order for window in each.take(1, 0) for letter in window.letters] for each in (mine, sibling, other)
    ]
    assert told == [[1, 2, 3], [2, 3], [3]]
    assert not feed.failed
    assert feed.tick is not None


def test_a_feed_hands_drops_to_all_vchannels_of_the_collection() -> None:
    base = common_pb2.MsgBase(msg_type=int(Kind.DROP_COLLECTION), msgID=7, timestamp=T + 5)
    drop = msg_pb2.DropCollectionRequest(base=base, collectionID=77)
    feed = Feed(SOURCE_PCHANNEL, lambda _pchannel, _tick: None)
    mine = Subscription(VChannel(SOURCE_PCHANNEL, 77, 0), Position("", b"", T), lambda: 1)
    other = Subscription(VCHANNEL, Position("", b"", T), lambda: 1)
    for each in (mine, other):
        feed.attach(each)
    feed.handle(Record(SOURCE_PCHANNEL, b"", 1, drop.SerializeToString()))
    feed.handle(Record(SOURCE_PCHANNEL, b"", 2, rewrite.time_tick(Tso(T + 9))))
    assert [message.kind for window in mine.take(1, 0) for message in window.messages] == [Kind.DROP_COLLECTION]
    assert other.take(1, 0) == []
    assert (feed.last_order, feed.tick and feed.tick.first) == (2, T + 9)
    feed.detach(mine)
    feed.detach(mine)
    assert not feed.empty


def test_what_was_done_is_left_out_until_the_tick_of_the_checkpoint() -> None:
    """Behind that tick nothing is done, also below it: a source that was killed writes so."""
    made = subscription(start=100)
    made.begins_at = 5
    assert isinstance(made.source, Ticks)
    made.source.tick = tick(4, 100)  # of a feed that is not at the start yet
    assert not made.offer(row(6, 90))
    assert not made.offer(row(7, 100))
    assert made.offer(row(8, 110))
    close(made, tick(9, 100))
    assert made.offer(row(10, 95))
    assert made.offer(row(11, 100))
    close(made, tick(12, 120))
    (window,) = made.take(1 << 20, 0)
    assert [message.order for message in window.messages] == [8, 10, 11]
