"""A vchannel's place at a gate."""

from __future__ import annotations

import pytest

from cdc_core.clock import ManualClock
from cdc_core.coordination.leases import ChannelKey, Claim, Order
from cdc_core.errors import CdcError, LeaseLost
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.batch import Batch
from cdc_core.pipeline.lease import Lease
from cdc_core.pipeline.member import Member
from cdc_core.source.window import Mark

pytestmark = pytest.mark.unit

T = Tso.of(1_700_000_000_000)


def mark(after: int) -> Mark:
    return Mark(Tso(T + after), Position("v", b"", Tso(T + after)))


def member(idle: Mark | None) -> Member:
    lease = Lease(Claim(ChannelKey("one", "c_1v0"), "1", False, {}), ManualClock(), ManualClock().monotonic())
    return Member(lease, "p", T, lambda: idle, lambda _batch: None, lambda: None)


def test_news_are_what_is_above_the_record() -> None:
    assert member(mark(1)).news() == mark(1)
    assert member(mark(0)).news() is None
    assert member(None).news() is None


def test_who_is_busy_leaving_gone_or_failed_has_no_news() -> None:
    """Its checkpoint must not pass what is under way, and its hold must not come back."""
    busy, leaving, left, failed, lost = (member(mark(1)) for _ in range(5))
    busy.waiting = Batch(mark(1), [], 0)
    leaving.leaving = True
    left.left = True
    failed.fail(CdcError("x"))
    lost.lease.tell(Order.LOST)
    assert [each.news() for each in (busy, leaving, left, failed, lost)] == [None] * 5


def test_the_first_error_stands_but_a_lost_lease_is_stronger_and_what_waits_is_never_begun() -> None:
    failed = member(None)
    failed.waiting = Batch(mark(1), [], 0)
    failed.fail(CdcError("first"))
    failed.fail(CdcError("second"))
    assert str(failed.error) == "first"
    assert failed.waiting is None
    failed.fail(LeaseLost("lost"))
    assert str(failed.error) == "lost"
