"""A lease as its holder sees it."""

from __future__ import annotations

import pytest

from cdc_core.clock import ManualClock
from cdc_core.coordination.leases import LEASE_MS, SAFETY_SECONDS, ChannelKey, Claim, Order
from cdc_core.errors import LeaseLost, Stopping
from cdc_core.pipeline.lease import Lease

pytestmark = pytest.mark.unit

SECONDS = LEASE_MS / 1000 - SAFETY_SECONDS


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def lease(clock: ManualClock, *, settle_only: bool = False, sent: float = 0.0) -> Lease:
    claim = Claim(ChannelKey("one", "c_1v0"), "1", settle_only, {})
    return Lease(claim, clock, clock.monotonic() - sent)


def test_it_ends_before_anybody_else_may_take_it_counted_from_the_sending_of_the_claim(clock: ManualClock) -> None:
    held = lease(clock, sent=3.0)
    assert held.left == pytest.approx(SECONDS - 3)
    held.check()
    clock.advance(SECONDS - 3)
    with pytest.raises(LeaseLost):
        held.check()


def test_what_the_owner_before_left_in_flight_is_unclear_for_as_long_as_the_claim_says(clock: ManualClock) -> None:
    held = Lease(Claim(ChannelKey("one", "c_1v0"), "2", False, {}, unclear=5.0), clock, clock.monotonic())
    assert held.unclear == 5
    clock.advance(3)
    assert held.unclear == 2
    clock.advance(3)
    assert held.unclear == 0
    assert lease(clock).unclear == 0


def test_an_unclear_call_never_shortens_what_was_unclear_before(clock: ManualClock) -> None:
    held = lease(clock)
    held.call_unclear(5)
    held.call_unclear(3)
    assert held.unclear == 5


def test_a_renewal_counts_from_its_sending_and_never_shortens(clock: ManualClock) -> None:
    held = lease(clock)
    clock.advance(6)
    held.renewed(clock.monotonic() - 1)
    assert held.left == pytest.approx(SECONDS - 1)
    held.renewed(clock.monotonic() - 5)
    assert held.left == pytest.approx(SECONDS - 1)


@pytest.mark.parametrize("order", [Order.PAUSE, Order.DELETE, Order.YIELD])
def test_an_order_to_stop_leaves_time_to_end_what_is_under_way(clock: ManualClock, order: Order) -> None:
    held, told = lease(clock), []
    held.on_order(lambda: told.append(held.order))
    held.tell(Order.GO_ON)
    assert not held.stopping
    held.tell(order)
    assert told == [order]
    assert held.left == pytest.approx(SECONDS)
    with pytest.raises(Stopping):
        held.check()


def test_the_first_order_stands_but_a_lost_lease_is_lost(clock: ManualClock) -> None:
    held = lease(clock)
    held.tell(Order.PAUSE)
    for order in (Order.GO_ON, Order.YIELD):
        held.tell(order)
        assert held.order is Order.PAUSE
    held.tell(Order.LOST)
    assert held.left < 0
    with pytest.raises(LeaseLost):
        held.check()
    since = held.lost_at
    clock.advance(5)
    held.tell(Order.LOST)
    assert held.lost_at == since


def test_who_only_settles_does_so_though_the_task_is_paused(clock: ManualClock) -> None:
    held = lease(clock, settle_only=True)
    for order in (Order.PAUSE, Order.DELETE):
        held.tell(order)
    held.check()
    held.tell(Order.YIELD)
    with pytest.raises(Stopping):
        held.check()
