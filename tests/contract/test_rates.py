"""Rate limits of a task, on a real Redis."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from cdc_core.coordination.rates import Rates
from cdc_core.model.rate import RateLimits
from deploy.local import Redis
from tests.contract.state import State
from tests.contract.turmoil import OnStandby

pytestmark = pytest.mark.contract

SLACK = 0.5
"""Seconds between two calls to Redis here; the rates are such that it is little."""


@pytest.fixture
def rates(state: State) -> Rates:
    return Rates(state.client, state.keys)


def test_a_batch_waits_until_those_before_it_have_had_their_time(rates: Rates) -> None:
    """Who asks does not matter: all vchannels of a task share its rates."""
    limits = RateLimits(rows=10)
    waits = [rates.take("one", limits, rows=100, size=1) for _ in range(3)]
    assert waits == [0.0, pytest.approx(10, abs=SLACK), pytest.approx(20, abs=SLACK)]
    assert rates.take("two", limits, rows=100, size=1) == 0.0


def test_the_limit_that_is_harder_to_keep_counts(rates: Rates) -> None:
    limits = RateLimits(rows=10, bytes=1000)
    rates.take("one", limits, rows=100, size=100_000)
    assert rates.take("one", limits, rows=2_000, size=0) == pytest.approx(100, abs=SLACK)
    assert rates.take("one", limits, rows=0, size=0) == pytest.approx(210, abs=SLACK)


def test_what_has_no_limit_is_not_counted(rates: Rates) -> None:
    limits = RateLimits(bytes=1000)
    rates.take("one", limits, rows=10**9, size=1)
    assert rates.take("one", limits, rows=1, size=1) < SLACK


def test_nothing_is_saved_up_and_nothing_stays(rates: Rates, state: State) -> None:
    """Given a task that has been idle, then it may send one batch at once and no more."""
    limits = RateLimits(rows=1000)
    rates.take("one", limits, rows=50, size=1)
    assert state.client.exists(state.keys.rate("one"))
    deadline = time.monotonic() + 30
    while state.client.exists(state.keys.rate("one")):
        assert time.monotonic() < deadline, "it does not expire"
        time.sleep(0.01)
    waits = [rates.take("one", limits, rows=60_000, size=1) for _ in range(2)]
    assert waits == [0.0, pytest.approx(60, abs=SLACK)]


@pytest.mark.usefixtures("small_limits")
def test_a_task_keeps_its_limit_and_loses_nothing(redis_server: Redis) -> None:
    """Given rows that wait at two tasks' sources, then in no stretch of time do more of them come to the target than
    the limit and one batch of each vchannel, and in the end all of them are there.
    """
    limit = 40
    run = OnStandby(redis_server.url(7), 1, rate_limits=RateLimits(rows=limit))
    run.source.late_drops = 0.0
    try:
        for _ in range(2):
            run.cluster.add_worker()
        for _ in range(40):
            run.source.window(8)
        name = next(iter(run.source.collections))
        wanted = run.source.rows(name).total()
        seen = [(time.monotonic(), 0)]

        def is_there() -> bool:
            seen.append((time.monotonic(), run.on_target(name).total()))
            return seen[-1][1] >= wanted

        run.until(is_there, "not all rows come")
        began = next(before for (before, _), (_, rows) in pairwise(seen) if rows)
        first = next(rows for _, rows in seen if rows)
        assert all(rows <= first + limit * (at - began + SLACK) for at, rows in seen)
        assert seen[-1][0] - began > 1.0, "nothing was held back"
        run.calm_down()
        run.check()
    finally:
        run.cluster.abandon()
