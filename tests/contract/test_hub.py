"""The hub on a queue in memory, with its real threads: every message to its vchannel, once, in order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from cdc_core.codec import rewrite
from cdc_core.errors import CdcError, PositionTrimmed, SourceUnavailable
from cdc_core.model.channel import VChannel
from cdc_core.model.message import Message
from cdc_core.model.position import Position
from cdc_core.model.timestamp import ZERO, Tso
from cdc_core.source import feed_reader
from cdc_core.source import hub as hubs
from cdc_core.source.base import Lost, Record
from cdc_core.source.feed_reader import FeedReader
from cdc_core.source.hub import Hub
from cdc_core.source.memory import MemoryQueue, MemoryReader
from cdc_core.source.subscription import Subscription
from cdc_core.source.window import Window
from tests.messages import SOURCE_PCHANNEL, simple_insert

pytestmark = pytest.mark.contract

T = Tso.of(1_700_000_000_000)
A, B, C = (VChannel(SOURCE_PCHANNEL, 440 + number, 0) for number in range(3))


class Topic:
    """One topic of a queue; rows have numbers as keys and milliseconds since T as timestamps."""

    def __init__(self) -> None:
        self.queue = MemoryQueue()
        self.queue.create(SOURCE_PCHANNEL)
        self.keys: dict[VChannel, list[int]] = {A: [], B: [], C: []}
        self._ms = 0

    def row(self, vchannel: VChannel, bytes_: int = 0) -> bytes:
        self._ms += 1
        key = self._ms
        self.keys[vchannel].append(key)
        keys = [key] * (1 + bytes_ // 40)
        return self.append(simple_insert(keys, Tso.of(T.ms + key), msg_id=key, vchannel=vchannel.name))

    def append(self, request: object) -> bytes:
        return self.queue.append(SOURCE_PCHANNEL, request.SerializeToString())  # type: ignore[attr-defined]

    def tick(self) -> Position:
        """At the newest row; where somebody who has everything before it goes on."""
        self._ms += 1
        at = Tso.of(T.ms + self._ms)
        return Position("", self.queue.append(SOURCE_PCHANNEL, rewrite.time_tick(at)), at)


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def hub(topic: Topic) -> Iterator[Hub]:
    hub = Hub(topic.queue)
    yield hub
    hub.close()


BEGINNING = Position("", b"")


def keys(windows: Sequence[Window]) -> list[int]:
    return [message.msg_id for window in windows for message in sorted(window.messages, key=lambda m: m.first)]


def take(subscription: Subscription, count: int) -> list[int]:
    """The keys of the next messages, at least `count` of them."""
    found: list[int] = []
    deadline = time.monotonic() + 10
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} came: {found}"
        windows = subscription.take(1 << 20, 0.2)
        subscription.settled(len(windows))
        found += keys(windows)
    return found


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


def idle_up_to(subscription: Subscription) -> Tso:
    mark = subscription.idle_mark()
    return mark.resolved if mark else ZERO


def test_each_vchannel_gets_its_own_rows_and_the_idle_one_moves_on(topic: Topic, hub: Hub) -> None:
    a, b = hub.subscribe(A, BEGINNING), hub.subscribe(B, BEGINNING)
    topic.row(A)
    topic.row(A)
    end = topic.tick()
    assert take(a, 2) == topic.keys[A]
    until(lambda: idle_up_to(b) == end.timestamp)
    assert b.take(1, 0) == []
    assert hub.newest[0] == end.timestamp


def test_two_tasks_may_follow_the_same_vchannel(topic: Topic, hub: Hub) -> None:
    first, second = hub.subscribe(A, BEGINNING), hub.subscribe(A, BEGINNING)
    topic.row(A)
    topic.tick()
    assert take(first, 1) == take(second, 1) == topic.keys[A]
    hub.unsubscribe(first)
    topic.row(A)
    topic.tick()
    assert take(second, 1) == topic.keys[A][1:]


def test_several_starts_of_one_pchannel_each_get_what_lies_behind_them(topic: Topic, hub: Hub) -> None:
    topic.row(A), topic.row(B), topic.row(C)
    middle = topic.tick()
    topic.row(A), topic.row(B), topic.row(C)
    end = topic.tick()
    c, a, b = hub.subscribe(C, end), hub.subscribe(A, BEGINNING), hub.subscribe(B, middle)
    topic.row(C)
    topic.tick()
    assert take(a, 2) == topic.keys[A]
    assert take(b, 1) == topic.keys[B][1:]
    assert take(c, 1) == topic.keys[C][2:]


def test_rows_before_the_start_position_are_not_delivered_whatever_their_time(topic: Topic, hub: Hub) -> None:
    """A position that a user gave may have no timestamp; the feed that is joined begins before it."""
    topic.row(B), topic.row(A)
    topic.tick()
    start = Position("", topic.row(A))
    topic.tick()
    hub.subscribe(B, BEGINNING)
    a = hub.subscribe(A, start)
    assert take(a, 1) == topic.keys[A][1:]


def test_who_has_caught_up_joins_the_shared_feed(topic: Topic, hub: Hub) -> None:
    for _ in range(50):
        topic.row(A), topic.row(B)
    end = topic.tick()
    a = hub.subscribe(A, end)
    until(lambda: idle_up_to(a) == end.timestamp)
    b = hub.subscribe(B, BEGINNING)
    assert b.source is not a.source
    until(lambda: (topic.tick(), b.source is a.source)[1])
    topic.row(B)
    topic.tick()
    assert take(b, 51) == topic.keys[B]


def test_a_blocking_vchannel_goes_on_alone_and_both_get_everything(
    topic: Topic, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "SPLIT_SECONDS", 0.05)
    monkeypatch.setattr(hubs, "LEAST_BUFFER", 2_000)
    monkeypatch.setattr(hubs, "BUFFER_BYTES", 2_000)
    slow, fast = hub.subscribe(A, BEGINNING), hub.subscribe(B, BEGINNING)
    for _ in range(100):
        topic.row(A, bytes_=400), topic.row(B)
        topic.tick()
    assert take(fast, 100) == topic.keys[B], "the fast one does not wait for the slow one"
    assert take(slow, 100) == topic.keys[A]
    until(lambda: (topic.tick(), slow.source is fast.source)[1])


def test_an_idle_mark_stands_still_once_nothing_is_delivered_any_more(topic: Topic, hub: Hub) -> None:
    """A vchannel that stops is still at its gate for a moment: its checkpoint must not go on with others' ticks."""
    a, b = hub.subscribe(A, BEGINNING), hub.subscribe(B, BEGINNING)
    end = topic.tick()
    until(lambda: idle_up_to(a) == end.timestamp)
    hub.unsubscribe(a)
    topic.row(A)
    beyond = topic.tick()
    until(lambda: idle_up_to(b) == beyond.timestamp)
    assert idle_up_to(a) <= end.timestamp


class SlowReader(MemoryReader):
    """Looks at the queue after its time-out: what it was told meanwhile comes too late for this poll."""

    def poll(self, timeout: float) -> Sequence[Record | Lost]:
        time.sleep(timeout)
        return super().poll(0)


class SlowQueue(MemoryQueue):
    def reader(self) -> MemoryReader:
        return SlowReader(self)


def test_a_blocking_vchannel_leaves_also_a_feed_that_is_catching_up(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "SPLIT_SECONDS", 0.05)
    monkeypatch.setattr(hubs, "LEAST_BUFFER", 2_000)
    monkeypatch.setattr(hubs, "BUFFER_BYTES", 2_000)
    topic.queue = SlowQueue()
    hub = Hub(topic.queue)
    for _ in range(100):
        topic.row(A, bytes_=400), topic.row(B)
        topic.tick()
    c = hub.subscribe(C, topic.tick())
    until(lambda: idle_up_to(c))
    slow, fast = hub.subscribe(A, BEGINNING), hub.subscribe(B, BEGINNING)
    assert c.source is not slow.source is fast.source
    assert take(fast, 100) == topic.keys[B]
    assert take(slow, 100) == topic.keys[A]
    hub.close()


def test_a_new_subscription_gets_nothing_of_what_the_reader_read_for_the_one_before(topic: Topic) -> None:
    """Leaving and coming back at an older place, while the reader is polling at the newer one."""
    topic.queue = SlowQueue()
    hub = Hub(topic.queue)
    try:
        for _ in range(3):
            topic.row(A)
            topic.tick()
        first = hub.subscribe(A, BEGINNING)
        assert take(first, 3) == topic.keys[A]
        topic.row(A)
        end = topic.tick()
        hub.unsubscribe(first)
        again = hub.subscribe(A, BEGINNING)
        until(lambda: again.backlog or idle_up_to(again))
        assert not idle_up_to(again), "it would be taken for done up to there"
        assert take(again, 4) == topic.keys[A]
        until(lambda: idle_up_to(again) == end.timestamp)
    finally:
        hub.close()


def test_a_trimmed_start_stops_only_who_starts_there(topic: Topic, hub: Hub) -> None:
    old = Position("", topic.row(A), T)
    topic.tick()
    fresh = topic.tick()
    topic.row(B)
    topic.tick()
    topic.queue.trim(SOURCE_PCHANNEL, fresh.message_id)
    a = hub.subscribe(A, old)
    with pytest.raises(PositionTrimmed):
        take(a, 1)
    b = hub.subscribe(B, fresh)
    assert take(b, 1) == topic.keys[B]


def test_what_cannot_be_read_is_told_in_its_place_and_kept_before_the_idle_mark(topic: Topic, hub: Hub) -> None:
    """Its reader decides what becomes of it: no checkpoint may pass it unseen."""
    topic.row(A)
    first = topic.tick()
    garbage = topic.queue.append(SOURCE_PCHANNEL, b"\xff\xff")
    topic.row(A)
    last = topic.tick()
    a, b = hub.subscribe(A, BEGINNING), hub.subscribe(B, BEGINNING)
    until(lambda: hub.newest[0] == last.timestamp)
    one, two = a.take(1 << 20, 5)
    assert (keys([one]), one.letters, one.mark.resolved) == (topic.keys[A][:1], (), first.timestamp)
    assert (keys([two]), two.mark.resolved) == (topic.keys[A][1:], last.timestamp)
    assert [letter.message_id for letter in two.letters] == [garbage]
    assert not idle_up_to(b), "it may have been a row of this one"
    (alone,) = b.take(1 << 20, 5)
    assert (alone.messages, alone.letters) == ((), two.letters)
    b.settled(1)
    assert idle_up_to(b) == last.timestamp


def test_a_queue_that_is_away_is_waited_for(topic: Topic, hub: Hub) -> None:
    a = hub.subscribe(A, BEGINNING)
    topic.row(A)
    topic.tick()
    assert take(a, 1) == topic.keys[A]
    topic.queue.set_available(False)
    until(lambda: hub.trouble)
    topic.row(A)
    topic.tick()
    topic.queue.set_available(True)
    assert take(a, 1) == topic.keys[A][1:]
    until(lambda: hub.trouble is None)


class StumblingReader(MemoryReader):
    """Says of every other poll that nothing can be read, of the others nothing."""

    def __init__(self, trouble: Callable[[], str | None]) -> None:
        super().__init__(MemoryQueue())
        self._trouble = trouble
        self.seen: list[str | None] = []
        """What was in the way when it was polled."""

    def poll(self, timeout: float) -> Sequence[Record | Lost]:  # noqa: ARG002
        self.seen.append(self._trouble())
        if len(self.seen) % 2:
            raise SourceUnavailable("away")
        return ()


def test_an_empty_poll_does_not_say_that_a_queue_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown as the reason would come and go."""
    stumbling = StumblingReader(lambda: reading.trouble)
    reading = FeedReader("test", lambda: stumbling, lambda _: None)
    reading.start()
    until(lambda: len(stumbling.seen) > 4)
    seen = stumbling.seen[1:5]
    monkeypatch.setattr(feed_reader, "CLEAR_SECONDS", 0.0)
    until(lambda: None in stumbling.seen[5:])
    reading.stop()
    reading.join(5)
    assert seen == ["away"] * 4


class PickyQueue(MemoryQueue):
    """One of its topics cannot be read for a while."""

    def __init__(self, refused: str) -> None:
        super().__init__()
        self.refused = refused

    def reader(self) -> MemoryReader:
        return PickyReader(self)


class PickyReader(MemoryReader):
    def add(self, pchannel: str, start: bytes) -> None:
        if isinstance(self._queue, PickyQueue) and self._queue.refused == pchannel:
            raise SourceUnavailable(f"{pchannel} has no leader")
        super().add(pchannel, start)


def test_a_topic_that_cannot_be_read_does_not_stop_the_others(topic: Topic) -> None:
    other = VChannel("other", 440, 0)
    topic.queue = queue = PickyQueue(other.pchannel)
    for name in (SOURCE_PCHANNEL, other.pchannel):
        queue.create(name)
    hub = Hub(queue)
    try:
        waiting, a = hub.subscribe(other, BEGINNING), hub.subscribe(A, BEGINNING)
        until(lambda: hub.trouble)
        topic.row(A)
        topic.tick()
        assert take(a, 1) == topic.keys[A]
        assert hub.trouble == "other has no leader"
        queue.refused = ""
        until(lambda: hub.trouble is None)
        queue.append(other.pchannel, rewrite.time_tick(Tso.of(T.ms + 900)))
        until(lambda: idle_up_to(waiting))
    finally:
        hub.close()


class BrokenReader(MemoryReader):
    """Fails once as no reader should."""

    def poll(self, timeout: float) -> Sequence[Record | Lost]:
        if isinstance(self._queue, BreakingQueue) and self._queue.failures:
            raise self._queue.failures.pop()
        return super().poll(timeout)


class BreakingQueue(MemoryQueue):
    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)

    def reader(self) -> MemoryReader:
        return BrokenReader(self)


def test_an_unexpected_failure_is_told_and_the_next_one_reads_again(topic: Topic) -> None:
    topic.queue = BreakingQueue(RuntimeError("no one thought of this"))
    hub = Hub(topic.queue)
    try:
        a = hub.subscribe(A, BEGINNING)
        with pytest.raises(CdcError, match="no one thought of this"):
            a.take(1, 5)
        topic.row(A)
        topic.tick()
        again = hub.subscribe(A, BEGINNING)
        hub.unsubscribe(a)
        assert take(again, 1) == topic.keys[A]
    finally:
        hub.close()


def test_an_unavailable_queue_at_the_start_is_waited_for(topic: Topic) -> None:
    topic.queue = BreakingQueue(SourceUnavailable("not yet"))
    hub = Hub(topic.queue)
    try:
        a = hub.subscribe(A, BEGINNING)
        topic.row(A)
        topic.tick()
        assert take(a, 1) == topic.keys[A]
    finally:
        hub.close()


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_doubled_or_passed_over_whoever_comes_and_goes(
    topic: Topic, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vchannels stop and start again at what they had, as after a takeover, are slow or fast, split and merge."""
    monkeypatch.setattr(hubs, "SPLIT_SECONDS", 0.02)
    monkeypatch.setattr(hubs, "LEAST_BUFFER", 3_000)
    monkeypatch.setattr(hubs, "BUFFER_BYTES", 3_000)
    rng = random.Random(seed)
    hub = Hub(topic.queue, lambda _pchannel, _tick: None)
    places = dict.fromkeys(topic.keys, BEGINNING)
    got: dict[VChannel, list[int]] = {vchannel: [] for vchannel in places}
    running: dict[VChannel, Subscription] = {}
    try:
        for _ in range(300):
            vchannel = rng.choice(list(places))
            for _ in range(rng.randrange(3)):
                topic.row(rng.choice(list(places)), bytes_=rng.choice([0, 0, 500]))
            if rng.random() < 0.5:
                topic.tick()
            if vchannel not in running:
                running[vchannel] = hub.subscribe(vchannel, places[vchannel])
            elif rng.random() < 0.2:
                hub.unsubscribe(running.pop(vchannel))
            else:
                _go_on(running[vchannel], rng.choice([0.0, 0.002]), vchannel, places, got)
        end = topic.tick()
        for vchannel in places:
            if vchannel not in running:
                running[vchannel] = hub.subscribe(vchannel, places[vchannel])
            subscription = running[vchannel]
            while len(got[vchannel]) < len(topic.keys[vchannel]):
                _go_on(subscription, 5.0, vchannel, places, got)
            until(lambda subscription=subscription: (topic.tick(), idle_up_to(subscription) >= end.timestamp)[1])
        assert got == topic.keys
    finally:
        hub.close()


def _go_on(
    subscription: Subscription,
    wait: float,
    vchannel: VChannel,
    places: dict[VChannel, Position],
    got: dict[VChannel, list[int]],
) -> None:
    """As a replicator: take, or, when there is nothing, note the idle mark; both move the checkpoint."""
    windows = subscription.take(4_000, wait)
    messages: list[Message] = [message for window in windows for message in window.messages]
    subscription.settled(len(windows))
    assert all(message.first > places[vchannel].timestamp for message in messages), "behind its own checkpoint"
    got[vchannel] += keys(windows)
    mark = windows[-1].mark if windows else subscription.idle_mark()
    if mark:
        places[vchannel] = mark.position
