"""A gate with its thread, on a real Redis and a target in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress

import pytest

from cdc_core.clock import Clock, ManualClock, SystemClock
from cdc_core.coordination.gates import Gates
from cdc_core.coordination.leases import ChannelKey, Leases, Order
from cdc_core.errors import CollectionStopped, Refused, Stopping
from cdc_core.model.address import Address, Row
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.batch import Batch
from cdc_core.pipeline.delivery import Delivery
from cdc_core.pipeline.gate import Gate
from cdc_core.pipeline.lease import Lease
from cdc_core.pipeline.member import Flight, Member
from cdc_core.pipeline.transport import Keyed, Replicated
from cdc_core.sink import base as sinks
from cdc_core.sink.memory import Fault, MemoryTarget
from cdc_core.source.window import Mark
from deploy.local import Redis
from tests.contract.state import State
from tests.messages import collection, parsed, simple_insert

pytestmark = pytest.mark.contract

T = Tso.of(1_700_000_000_000)


def mark(after: int) -> Mark:
    return Mark(Tso(T + (after << 18)), Position("v", b"\1" * 8, Tso(T + (after << 18))))


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


class HeldTarget(MemoryTarget):
    """Takes nothing before it is let."""

    def __init__(self) -> None:
        super().__init__(pchannels=1)
        self.let = threading.Event()
        self.let.set()

    def send(self, *args: object, **more: object) -> None:
        self.let.wait(10)
        super().send(*args, **more)  # type: ignore[arg-type]


class CountingDelivery(Delivery):
    """Knows how many turns the gate has made."""

    turns = 0

    def deliver(self, *args: object) -> Collection[Flight]:
        self.turns += 1
        return super().deliver(*args)  # type: ignore[arg-type]


class Hands:
    def __init__(self, state: State) -> None:
        self.state = state
        self.target = HeldTarget()
        self.target.create_collection(collection("c"))
        made = self.target.describe("default", "c")
        assert made is not None
        self.made = made
        self.recovered = threading.Event()
        self.delivery = CountingDelivery(Replicated(self.target), self.recovered.set)
        self.gates = Gates(state.client, state.keys, "w", keepalive=False)
        self.gate = Gate("target", made.vchannels[0].pchannel, self.gates, self.delivery)
        self.committed: list[Batch] = []
        self.idle: Mark | None = None
        """How far the members are while nothing waits."""
        self._made = 0

    def member(self) -> Member:
        self._made += 1
        return self._claimed(self.state.vchannel(self._made), ManualClock())

    def heir(self, member: Member) -> Member:
        """Of a member whose lease has just run out, to settle what it left in flight."""
        self.gate.exit(member)
        self.state.put(member.lease.key, deadline=str(self.state.channels.now()))
        return self._claimed(member.lease.key, SystemClock())

    def _claimed(self, key: ChannelKey, clock: Clock) -> Member:
        lease = Lease(self.state.claimed(key, "w"), clock, clock.monotonic())
        member = Member(lease, "p", T, lambda: self.idle, self.committed.append, lambda: None)
        self.gate.enter(member)
        return member

    def batch(self, after: int, *keys: int) -> Batch:
        where = Address(self.made.id, self.made.vchannels[0].name, "c", "default", self.made.partitions["_default"], "")
        rows = [
            Row(parsed(simple_insert([key], T + (after << 18) - 1, msg_id=key).SerializeToString(), key), where)
            for key in keys
        ]
        return Batch(mark(after), rows, 1)

    def resolved(self, key: ChannelKey) -> str:
        return self.state.fields(key).get("resolved", "")

    @property
    def holds(self) -> list[str]:
        gate = self.state.keys.gate("target", self.gate.pchannel)
        return [name for name in self.state.client.hkeys(gate) if name[:2] in ("s:", "b:")]


@pytest.fixture
def hands(redis_server: Redis) -> Iterator[Hands]:
    state = State(redis_server.url(6))
    state.task()
    hands = Hands(state)
    yield hands
    hands.target.let.set()
    hands.gate.close()
    state.close()


def test_batches_pass_in_order_and_are_recorded(hands: Hands) -> None:
    member = hands.member()
    batches = [hands.batch(100, 1), hands.batch(200), hands.batch(300, 2, 3)]
    for batch in batches:
        hands.gate.submit(member, batch)
    hands.gate.drain(member)
    assert hands.committed == batches
    assert hands.resolved(member.lease.key) == mark(300).resolved.text
    assert member.in_step
    hands.gate.leave(member)
    assert hands.holds == []
    until(lambda: len(hands.target.rows("default", "c")) in (0, 3))
    assert hands.target.violations == []


def test_nothing_passes_a_batch_that_is_given_up(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one behind it waits already when the refusal comes: it must not be begun, nor its end be recorded."""
    member = hands.member()
    hands.gate.submit(member, hands.batch(100))
    hands.gate.drain(member)
    hands.target.let.clear()
    large, small = hands.batch(200, *range(1, 20)), hands.batch(300, 99)
    hands.gate.submit(member, large)
    until(lambda: member.flight)
    hands.gate.submit(member, small)
    monkeypatch.setattr(sinks, "MAX_CALL_BYTES", large.size)  # rewritten it is larger
    hands.target.let.set()
    with pytest.raises(CollectionStopped):
        hands.gate.drain(member)
    hands.gate.leave(member, abandon="given up")
    record = hands.state.fields(member.lease.key)
    assert record["resolved"] == mark(100).resolved.text
    assert "inflight" not in record
    assert record["unsettled_reason"]
    assert record["last"] == Tso(mark(200).resolved - 1).text
    assert hands.holds == []


def test_what_is_refused_after_an_unclear_call_keeps_its_hold_as_long(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a call wrote in part before, and one that lives on writes behind a tick, would be there twice."""
    member = hands.member()
    hands.gate.submit(member, hands.batch(100))
    hands.gate.drain(member)

    def refused_from_now_on(*_args: object, **_more: object) -> float:
        monkeypatch.setattr(sinks, "MAX_CALL_BYTES", 1)
        return 0.0

    monkeypatch.setattr("cdc_core.backoff.delay", refused_from_now_on)
    hands.target.faults.append(Fault.LATER)
    hands.gate.submit(member, hands.batch(200, 1))
    until(lambda: member.flight is None or member.flight.abandoned)
    with suppress(AssertionError):  # right is: it has it still
        until(lambda: not hands.holds, seconds=1.5)
    assert hands.holds == [f"s:{member.lease.key.member}"]
    assert "inflight" in hands.state.fields(member.lease.key)


def test_what_can_never_be_settled_is_given_up_when_no_call_can_live_on(hands: Hands) -> None:
    """A batch of an owner before, say, whose range cannot be read any more: its rows would land behind ticks."""
    member = hands.heir(hands.member())
    hands.gate.submit(member, hands.batch(100))
    hands.gate.drain(member)
    hands.state.put(member.lease.key, inflight="{}", last=mark(150).resolved.text)
    member.lease.call_unclear(0.7)
    began = time.monotonic()
    hands.gate.leave(member, abandon="it was trimmed")
    assert 0.6 < time.monotonic() - began < 5, "and the gate wakes by itself"
    assert hands.holds == []
    assert hands.state.fields(member.lease.key)["unsettled_reason"] == "it was trimmed"


class Picky:
    """A target by key that refuses its first call."""

    def __init__(self) -> None:
        self.calls = 0

    def write(self, rows: Sequence[Row], timeout: float) -> None:  # noqa: ARG002
        self.calls += 1
        if self.calls == 1:
            raise Refused("too large")

    def check(self, timeout: float) -> None: ...

    def close(self) -> None: ...


def test_what_a_target_by_key_refuses_may_be_sent_again_another_day(hands: Hands) -> None:
    """It stops, shown with its reason, and a resume begins at its checkpoint: nothing can be doubled there."""
    sink, member = Picky(), hands.member()
    hands.delivery.use(Keyed(sink))
    hands.gate.submit(member, hands.batch(100, 1))
    with pytest.raises(CollectionStopped, match="too large"):
        hands.gate.drain(member)
    hands.gate.leave(member, abandon="too large")
    record = hands.state.fields(member.lease.key)
    assert not {"inflight", "unsettled", "unsettled_reason"} & record.keys()
    assert hands.holds == []
    hands.gate.exit(member)
    again = hands.member()
    hands.gate.submit(again, hands.batch(100, 1))
    hands.gate.drain(again)
    assert sink.calls == 2
    assert hands.resolved(again.lease.key) == mark(100).resolved.text


@pytest.mark.parametrize("answered", [True, False])
def test_a_leave_waits_for_a_raise_that_is_under_way(hands: Hands, answered: bool) -> None:
    """A raise that was made before the leave and is done after it would put back a hold that is nobody's."""
    member = hands.member()
    hands.gate.submit(member, hands.batch(100))
    hands.gate.drain(member)
    hands.idle = mark(200)
    request, take = hands.gate.idle_request(0)
    assert [operation.word for operation in request.operations] == ["raise"]
    leaving = threading.Thread(target=lambda: hands.gate.leave(member))
    leaving.start()
    until(lambda: member.leaving)
    take(hands.gates.round(request) if answered else None)
    leaving.join(10)
    assert member.left
    assert hands.holds == []


def test_who_leaves_does_not_wait_for_a_tick_that_the_target_does_not_take(hands: Hands) -> None:
    """The ticker repeats it until the target is back; a worker that is to end cannot wait for that."""
    member = hands.member()
    hands.target.faults.extend([Fault.UNAVAILABLE] * 1_000)
    hands.gate.submit(member, hands.batch(100))  # no rows, so a tick alone
    hands.gate.drain(member)
    until(lambda: hands.delivery.trouble)
    hands.gate.leave(member)
    assert hands.holds == []
    assert hands.recovered.is_set(), "the ticker is told"


def test_who_leaves_does_not_wait_for_others_whose_rows_the_target_does_not_take(hands: Hands) -> None:
    """Given one that keeps trying, then an idle one leaves, and one in flight and one that waits can stop; what the
    first one has in flight arrives when the target is back."""
    trying, flying, waiting, idle = (hands.member() for _ in range(4))
    for member in (trying, flying, waiting, idle):
        hands.gate.submit(member, hands.batch(100))
        hands.gate.drain(member)
    hands.target.let.clear()
    hands.gate.submit(idle, hands.batch(200, 1))
    until(lambda: idle.flight)
    hands.gate.submit(trying, hands.batch(200, 2))
    hands.gate.submit(flying, hands.batch(200, 3))
    hands.target.faults.extend([None, *[Fault.UNAVAILABLE] * 1_000])  # type: ignore[list-item] # they begin together
    hands.target.let.set()
    until(lambda: hands.delivery.trouble)
    hands.gate.submit(waiting, hands.batch(200, 4))
    threading.Thread(target=lambda: hands.gate.leave(idle), daemon=True).start()
    until(lambda: idle.left)
    for member in (flying, waiting):
        member.lease.tell(Order.PAUSE)
    until(lambda: flying.error and waiting.error)
    assert "inflight" in hands.state.fields(flying.lease.key)
    assert "inflight" not in hands.state.fields(waiting.lease.key), "it has never begun"
    assert trying.flight is not None
    hands.target.faults.clear()
    hands.gate.drain(trying)
    assert hands.resolved(trying.lease.key) == mark(200).resolved.text
    assert hands.target.violations == []


def test_a_stop_while_the_target_is_away_leaves_the_batch_recorded(hands: Hands) -> None:
    member = hands.member()
    hands.target.faults.extend([Fault.UNAVAILABLE] * 1_000)
    hands.gate.submit(member, hands.batch(100, 1))
    until(lambda: hands.delivery.trouble)
    member.lease.tell(Order.PAUSE)
    with pytest.raises(Stopping):
        hands.gate.drain(member)
    assert "inflight" in hands.state.fields(member.lease.key)
    assert len(hands.holds) == 1, "nobody may tick past it"


def test_a_lease_that_somebody_else_took_ends_the_member_and_no_other(hands: Hands) -> None:
    lost, good = hands.member(), hands.member()
    hands.state.put(lost.lease.key, owner="v", epoch="2")
    hands.gate.submit(lost, hands.batch(100, 1))
    hands.gate.submit(good, hands.batch(100, 2))
    hands.gate.drain(good)
    until(lambda: lost.error)
    assert lost.lease.order is Order.LOST
    assert hands.committed[-1].rows[0].message.msg_id == 2


def test_a_call_that_outlives_its_time_out_does_not_land_behind_a_tick(hands: Hands) -> None:
    """A timed-out call is written all the same; here right after the tick that its repetition allowed."""
    member = hands.member()
    hands.gate.submit(member, hands.batch(100))
    hands.gate.drain(member)
    hands.target.faults.append(Fault.LATER)
    hands.gate.submit(member, hands.batch(200, 1))
    until(lambda: hands.delivery.trouble or hands.committed[1:])
    until(lambda: not hands.delivery.trouble)
    with suppress(AssertionError):  # right is: no tick passes the rows yet
        until(lambda: hands.target.rows("default", "c"), seconds=1.5)
    hands.target.land()
    assert hands.target.violations == []


def test_a_call_that_outlives_its_owner_does_not_land_behind_a_tick(hands: Hands) -> None:
    """Who takes over repeats the batch, and does not know of a call that timed out when the lease ended."""
    member, batch = hands.member(), hands.batch(200, 1)
    hands.gate.submit(member, hands.batch(100))
    hands.gate.drain(member)
    hands.target.faults.extend([Fault.LATER, *[Fault.UNAVAILABLE] * 1_000])
    hands.gate.submit(member, batch)
    until(lambda: hands.delivery.trouble)
    member.lease.tell(Order.LOST)
    until(lambda: member.error)
    hands.target.faults.clear()
    heir = hands.heir(member)
    hands.gate.submit(heir, batch)
    until(lambda: not hands.delivery.trouble)
    with suppress(AssertionError):  # right is: no tick passes the rows yet
        until(lambda: hands.target.rows("default", "c"), seconds=1.5)
    hands.target.land()
    assert hands.target.violations == []
    assert heir.lease.unclear > 5, "nor may the one after it settle sooner"


def test_what_was_given_back_is_settled_at_once(hands: Hands) -> None:
    """Its owner has waited for its calls, or has said how long they may live on (release.lua)."""
    member, batch = hands.member(), hands.batch(200, 1)
    hands.target.faults.extend([Fault.UNAVAILABLE] * 1_000)
    hands.gate.submit(member, batch)
    until(lambda: hands.delivery.trouble)
    member.lease.tell(Order.PAUSE)
    until(lambda: member.error)
    hands.target.faults.clear()
    assert member.lease.unclear == 0
    leases = Leases(hands.state.client, hands.state.keys, "w")
    leases.release(member.lease.key, member.lease.epoch)
    heir = hands.heir(member)
    hands.gate.submit(heir, batch)
    hands.gate.drain(heir)
    assert hands.resolved(heir.lease.key) == mark(200).resolved.text


def test_a_batch_that_rests_after_an_unclear_call_costs_nothing(hands: Hands) -> None:
    """The next batch and a leave wait behind it, asleep."""
    member = hands.member()
    hands.target.faults.append(Fault.AMBIGUOUS)
    hands.gate.submit(member, hands.batch(100, 1))
    until(lambda: member.flight is not None and member.lease.unclear > 0 and not hands.delivery.trouble)
    hands.gate.submit(member, hands.batch(200, 2))
    turns = hands.delivery.turns
    threading.Event().wait(0.5)  # nothing can be awaited that must not happen
    assert hands.delivery.turns - turns < 5
    assert hands.committed == []
