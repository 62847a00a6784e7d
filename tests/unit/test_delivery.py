"""Calls to a target that fails in every way it knows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import pytest

from cdc_core.clock import ManualClock
from cdc_core.coordination.leases import UNCLEAR_SECONDS, ChannelKey, Claim, Order
from cdc_core.errors import TaskStopped
from cdc_core.model.address import Address, Row
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline import transport
from cdc_core.pipeline.batch import Batch
from cdc_core.pipeline.delivery import Delivery
from cdc_core.pipeline.lease import Lease
from cdc_core.pipeline.member import Flight, Member
from cdc_core.pipeline.transport import Replicated
from cdc_core.sink import base as sinks
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.memory import Fault, MemoryTarget
from cdc_core.source.window import Mark
from tests.messages import collection, parsed, simple_insert

pytestmark = pytest.mark.unit

T = Tso.of(1_700_000_000_000)
TICK = Tso(T + 100)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc_core.backoff.delay", lambda *_args, **_more: 0.0)


@pytest.fixture
def target() -> MemoryTarget:
    return MemoryTarget(pchannels=1)


class Hands:
    """One delivery to one pchannel, on a clock that stands still."""

    def __init__(self, target: MemoryTarget) -> None:
        target.create_collection(collection("c"))
        made = target.describe("default", "c")
        assert made is not None
        self.made: TargetCollection = made
        self.target = target
        self.clock = ManualClock()
        self.recovered = 0
        self.delivery = Delivery(Replicated(target), self._recover)

    def flight(self, *keys: int) -> Flight:
        lease = Lease(Claim(ChannelKey("one", f"c_{keys[0]}v0"), "1", False, {}), self.clock, self.clock.monotonic())
        member = Member(lease, "p", T, lambda: None, lambda _batch: None, lambda: None)
        where = Address(self.made.id, self.made.vchannels[0].name, "c", "default", self.made.partitions["_default"], "")
        rows = [Row(parsed(simple_insert([key], T + key, msg_id=key).SerializeToString(), key), where) for key in keys]
        batch = Batch(Mark(TICK, Position("v", b"", TICK)), rows, 1)
        return Flight(member, batch, batch.outgoing(None))

    def deliver(self, *flights: Flight, tick: Tso | None = TICK) -> Collection[Flight]:
        """In as many turns as it takes."""
        landed: list[Flight] = []
        left: Sequence[Flight] = flights
        while True:
            landed += self.once(*left, tick=tick)
            left = [each for each in flights if each not in landed and each.may_be_sent and not each.abandoned]
            if not left:
                return landed

    def once(self, *flights: Flight, tick: Tso | None = TICK) -> Collection[Flight]:
        return self.delivery.deliver(self.made.vchannels[0].pchannel, flights, tick)

    @property
    def visible(self) -> list[object]:
        return [row["id"] for row in self.target.rows("default", "c")]

    def _recover(self) -> None:
        self.recovered += 1


@pytest.fixture
def hands(target: MemoryTarget) -> Hands:
    return Hands(target)


def test_flights_and_tick_travel_in_one_call(hands: Hands) -> None:
    flights = hands.flight(1, 2), hands.flight(3)
    assert list(hands.deliver(*flights)) == list(flights)
    assert (hands.target.calls, hands.visible, hands.recovered) == (1, [1, 2, 3], 0)


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.AMBIGUOUS, Fault.PARTIAL])
def test_a_call_of_unclear_outcome_is_repeated_with_the_same_bytes(hands: Hands, fault: Fault) -> None:
    """The tick is in it: where it arrived, the rows before it had arrived too."""
    hands.target.faults.extend([fault, fault])
    flight = hands.flight(1, 2, 3)
    assert list(hands.deliver(flight, tick=None)) == [flight]
    hands.deliver()
    assert hands.visible == [1, 2, 3]
    assert hands.target.violations == []
    assert (hands.recovered, hands.delivery.trouble) == (1, None)


def test_a_delivery_that_fails_goes_on_over_a_sink_that_takes_the_place_of_its_own(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another task has brought credentials that the target accepts."""
    gone = MemoryTarget(pchannels=1)
    gone.faults.append(Fault.UNAVAILABLE)
    hands.delivery.use(Replicated(gone))

    def after_the_failure(*_args: object, **_more: object) -> float:
        hands.delivery.use(Replicated(hands.target))
        return 0.0

    monkeypatch.setattr("cdc_core.backoff.delay", after_the_failure)
    flight = hands.flight(1)
    assert list(hands.deliver(flight)) == [flight]
    assert (gone.calls, hands.visible) == (1, [1])


def test_an_attempt_that_failed_leaves_the_next_one_to_the_next_turn(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that others at the gate can leave meanwhile; the pauses grow from turn to turn, until a call succeeds."""
    pauses: list[int] = []
    monkeypatch.setattr("cdc_core.backoff.delay", lambda attempt, **_more: pauses.append(attempt) or 0.0)
    hands.target.faults.extend([Fault.UNAVAILABLE] * 2)
    flight = hands.flight(1)
    assert [list(hands.once(flight)) for _ in range(3)] == [[], [], [flight]]
    hands.target.faults.append(Fault.UNAVAILABLE)
    hands.once(hands.flight(2))
    assert pauses == [1, 2, 1]


def test_much_travels_in_several_calls_and_the_tick_behind_the_last(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    flight = hands.flight(1, 2, 3)
    monkeypatch.setattr(transport, "CALL_BYTES", len(flight.outgoing.payloads[0]) * 2)
    assert list(hands.deliver(flight)) == [flight]
    assert (hands.target.calls, hands.visible, hands.target.violations) == (2, [1, 2, 3], [])


def test_what_is_refused_for_good_is_told_from_what_travelled_with_it(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = hands.flight(1), hands.flight(2, 3)
    largest = max(len(payload) for payload in good.outgoing.payloads)
    bad.outgoing.payloads[0] += b"\xa2\x06" + bytes([100]) + b"x" * 100  # type: ignore[index] # a larger message
    monkeypatch.setattr(sinks, "MAX_MESSAGE_BYTES", largest + 10)
    assert list(hands.deliver(good, bad)) == [good]
    assert "cannot be replicated" in bad.abandoned
    assert not good.abandoned
    assert bad.member.error is None, "the gate tells it, when it is recorded"


def test_no_standby_stops_the_task(hands: Hands) -> None:
    hands.target.standby = False
    flight = hands.flight(1)
    assert hands.deliver(flight) == []
    assert isinstance(flight.member.error, TaskStopped)
    assert not flight.abandoned, "its fate is unclear: it stays recorded"


def test_a_lease_that_ends_ends_its_flight_and_no_other(hands: Hands) -> None:
    lost, good = hands.flight(1), hands.flight(2)
    lost.member.lease.tell(Order.LOST)
    assert list(hands.deliver(lost, good)) == [good]
    assert hands.visible == [2]


def test_a_lease_about_to_end_begins_no_call(hands: Hands) -> None:
    flight = hands.flight(1)
    hands.clock.advance(flight.member.lease.left - 0.5)
    assert hands.deliver(flight, tick=None) == []
    assert hands.target.calls == 0


def test_who_is_told_to_stop_sends_once_more_but_does_not_wait_for_a_target_that_is_away(hands: Hands) -> None:
    flight = hands.flight(1)
    flight.member.lease.tell(Order.PAUSE)
    hands.target.faults.append(Fault.AMBIGUOUS)
    assert hands.deliver(flight, tick=None) == []
    assert hands.target.calls == 1
    again = hands.flight(2)
    again.member.lease.tell(Order.PAUSE)
    assert list(hands.deliver(again)) == [again]


def test_a_target_that_takes_its_time_is_told(hands: Hands) -> None:
    """Until a call is as short as usual."""
    slow = Replicated(hands.target)
    slow.send = _after(slow.send, lambda: hands.clock.advance(2.0))  # type: ignore[method-assign]
    delivery = Delivery(slow, lambda: None, clock=hands.clock)
    flight = hands.flight(1)
    assert list(delivery.deliver(hands.made.vchannels[0].pchannel, [flight], None)) == [flight]
    assert delivery.trouble == "the target is slow: it took 2 s for a call"
    delivery.use(Replicated(hands.target))
    delivery.deliver(hands.made.vchannels[0].pchannel, [], TICK)
    assert delivery.trouble is None


def _after(send: Callable[..., None], pause: Callable[[], None]) -> Callable[..., None]:
    def send_slowly(*args: object) -> None:
        pause()
        send(*args)

    return send_slowly


def test_a_lease_knows_of_an_unclear_call_before_anybody_can_give_it_back(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its vchannel may leave while the delivery still waits for its next attempt."""
    flight, seen = hands.flight(1), []

    def look(*_args: object, **_more: object) -> float:
        seen.append(flight.member.lease.unclear)
        return 0.0

    monkeypatch.setattr("cdc_core.backoff.delay", look)
    hands.target.faults.extend([Fault.AMBIGUOUS, Fault.UNAVAILABLE])
    hands.deliver(flight, tick=None)
    assert seen == [UNCLEAR_SECONDS] * 2, "and what is clear does not shorten it"


def test_a_tick_alone_is_left_to_the_ticker_when_the_target_does_not_take_it(hands: Hands) -> None:
    hands.target.faults.append(Fault.UNAVAILABLE)
    assert hands.deliver() == []
    assert (hands.target.calls, hands.recovered) == (1, 1)
