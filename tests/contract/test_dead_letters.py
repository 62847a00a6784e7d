"""Dead letters: recorded once, bounded, gone with their task; and what a task does at one, with a real Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import redis

from cdc_core.codec import rewrite
from cdc_core.codec.operation import Operation
from cdc_core.codec.protobuf import common_pb2, milvus_pb2, msg_pb2
from cdc_core.coordination import dead_letters
from cdc_core.coordination.dead_letters import DeadLetters
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import TaskStore
from cdc_core.errors import StateUnavailable, Undecodable
from cdc_core.model.connect import MilvusConnect
from cdc_core.model.dead_letter import DeadLetter
from cdc_core.model.position import Position
from cdc_core.model.task import OnUndecodable, TaskSpec
from cdc_core.model.timestamp import Tso
from cdc_core.names import Keys
from cdc_core.pipeline.dead_letter_office import DeadLetterOffice
from cdc_core.pipeline.operation_feed import OperationFeed
from cdc_core.source.memory import MemoryQueue
from deploy.local import Redis
from tests.contract.state import State
from tests.messages import SOURCE_PCHANNEL

pytestmark = pytest.mark.contract

OPS = "by-dev-replicate-msg"
NOW = 1_700_000_000_000


@pytest.fixture
def state(redis_server: Redis) -> Iterator[State]:
    state = State(redis_server.url(6))
    state.task()
    yield state
    state.close()


@pytest.fixture
def store(state: State) -> DeadLetters:
    return DeadLetters(state.client, state.keys)


def letter(number: int, channel: str = SOURCE_PCHANNEL) -> DeadLetter:
    return DeadLetter(channel, number.to_bytes(8, "little"), number, f"reason {number}", b"\xff", 1)


def office(store: DeadLetters, on_undecodable: OnUndecodable) -> DeadLetterOffice:
    return DeadLetterOffice(TaskSpec("one", MilvusConnect(), {}, on_undecodable=on_undecodable), store)


# the store


def test_a_letter_is_listed_and_counted_once_however_often_it_is_recorded(store: DeadLetters) -> None:
    assert store.of_task("one").count == 0
    assert store.record("one", [letter(1), letter(2)]) == 2
    assert store.record("one", [letter(2), letter(3), letter(3)]) == 1
    assert store.record("one", [letter(3, "another-topic")]) == 1
    found = store.of_task("one")
    assert found.count == 4
    assert [listed.entry for listed in found.first] == [
        each.to_dict() for each in (letter(1), letter(2), letter(3), letter(3, "another-topic"))
    ]
    assert all(listed.found > NOW for listed in found.first)


def test_the_first_are_listed_in_order_and_all_are_counted(store: DeadLetters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "LISTED", 12)
    monkeypatch.setattr(dead_letters, "_AT_ONCE", 7)
    letters = [letter(number) for number in range(30)]
    assert store.record("one", letters) == 30
    assert store.record("one", letters) == 0
    found = store.of_task("one")
    assert (found.count, [listed.entry["reason"] for listed in found.first]) == (
        30,
        [f"reason {number}" for number in range(12)],
    )


def test_beyond_those_that_are_remembered_the_count_is_rather_too_high_than_too_low(
    store: DeadLetters, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "REMEMBERED", 3)
    assert store.record("one", [letter(number) for number in range(5)]) == 5
    assert state.client.scard(state.keys.dead_letter_places("one")) == 3
    assert store.record("one", [letter(1), letter(4)]) == 1
    assert store.of_task("one").count == 6


def test_each_task_has_its_own_and_one_that_is_gone_gets_none(store: DeadLetters, state: State) -> None:
    state.task("two")
    store.record("one", [letter(1)])
    assert store.counts(["one", "two"]) == {"one": 1, "two": 0}
    assert store.record("never made", [letter(1)]) == 0
    assert state.client.keys(f"{state.keys.prefix}dead-letter*never*") == []


def test_they_are_gone_with_their_task(store: DeadLetters, state: State) -> None:
    store.record("one", [letter(1)])
    TaskStore(state.client, state.keys, Secrets(None)).forget("one")
    assert store.of_task("one").count == 0
    assert state.client.keys(f"{state.keys.prefix}dead-letter*") == []


def test_a_redis_that_is_away_is_told() -> None:
    with redis.Redis(port=1, decode_responses=True) as nobody:
        away = DeadLetters(nobody, Keys())
        with pytest.raises(StateUnavailable):
            away.record("one", [letter(1)])


# what a task does


def test_a_task_that_stops_records_the_first_and_says_where_and_what_to_do(store: DeadLetters) -> None:
    for _ in range(2):  # a resume tries again
        with pytest.raises(Undecodable) as stop:
            office(store, OnUndecodable.STOP).take([letter(1), letter(2)])
    for part in (SOURCE_PCHANNEL, letter(1).position.to_base64(), "reason 1", "resume", "on_undecodable: skip"):
        assert part in str(stop.value)
    assert store.of_task("one").count == 1
    office(store, OnUndecodable.STOP).take([])


def test_a_task_that_skips_records_all_and_goes_on(store: DeadLetters) -> None:
    for _ in range(2):
        office(store, OnUndecodable.SKIP).take([letter(1), letter(2)])
    assert store.of_task("one").count == 2


# the op topic


class Ops:
    """An op topic with three operations, and garbage of every kind behind the first."""

    def __init__(self) -> None:
        self.queue = MemoryQueue()
        self.ids = [self.queue.append(OPS, payload) for payload in (flush(1), *GARBAGE, flush(2), tick(), flush(3))]

    def feed(self, office: DeadLetterOffice, start: bytes = b"") -> OperationFeed:
        return OperationFeed(self.queue, OPS, Position(OPS, start), office, lambda: None)


def flush(number: int) -> bytes:
    base = common_pb2.MsgBase(msg_type=common_pb2.Flush, msgID=number, timestamp=Tso.of(NOW + number))
    return milvus_pb2.FlushRequest(base=base, collection_names=["films"]).SerializeToString()


def tick() -> bytes:
    return rewrite.time_tick(Tso.of(NOW))


GARBAGE = (
    b"\xff\xff",
    b"",
    msg_pb2.TimeTickMsg(base=common_pb2.MsgBase(msg_type=9999)).SerializeToString(),
    flush(9) + b"\x0a\x03\x08\xff\xff",
)


def test_operations_stop_at_what_cannot_be_read_and_say_so(store: DeadLetters) -> None:
    """Given garbage behind an operation, then that one is found and nothing behind the garbage; the garbage is
    recorded once, however often it is tried again.
    """
    ops = Ops()
    for _ in range(2):
        with closing(ops.feed(office(store, OnUndecodable.STOP))) as feed:
            found: list[Operation] = []
            _until(lambda feed=feed, found=found: found.extend(feed.take()) or feed.trouble)
            assert [each.msg_id for each in [*found, *feed.take()]] == [1]
            assert OPS in feed.trouble
            assert Position(OPS, ops.ids[1]).to_base64() in feed.trouble
    assert store.of_task("one").count == 1
    with closing(ops.feed(office(store, OnUndecodable.STOP), ops.ids[len(GARBAGE)])) as feed:
        assert [each.msg_id for each in _taken(feed, 2)] == [2, 3]


def test_operations_behind_what_is_skipped_are_found_in_order(store: DeadLetters) -> None:
    ops = Ops()
    for _ in range(2):
        with closing(ops.feed(office(store, OnUndecodable.SKIP))) as feed:
            assert [each.msg_id for each in _taken(feed, 3)] == [1, 2, 3]
            assert feed.trouble == ""
    found = store.of_task("one")
    assert [Position.from_base64(each.entry["position"]).message_id for each in found.first] == ops.ids[1:5]
    assert [each.entry["channel"] for each in found.first] == [OPS] * 4
    assert found.first[1].entry["reason"] == "the message is empty"
    assert "type 9999 (unknown)" in found.first[2].entry["reason"]


class AwayAtFirst(DeadLetters):
    """A Redis that does not answer twice."""

    left = 2

    def record(self, *args: object) -> int:
        if self.left:
            self.left -= 1
            raise StateUnavailable("away")
        return super().record(*args)  # type: ignore[arg-type]


def test_operations_wait_for_the_record_of_what_they_skip(state: State) -> None:
    """Else it would be passed over in silence, or what was read with it left out."""
    ops, store = Ops(), AwayAtFirst(state.client, state.keys)
    with closing(ops.feed(office(store, OnUndecodable.SKIP))) as feed:
        assert [each.msg_id for each in _taken(feed, 3)] == [1, 2, 3]
    assert store.of_task("one").count == 4


def _taken(feed: OperationFeed, count: int) -> list[Operation]:
    found: list[Operation] = []
    _until(lambda: found.extend(feed.take()) or len(found) >= count)
    return found


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)
