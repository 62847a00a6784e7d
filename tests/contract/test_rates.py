"""Rate limits of a task, on a real Redis."""

from __future__ import annotations

import time
from collections import defaultdict

import pytest

from cdc_core.coordination.rates import Rates
from cdc_core.model.rate import RateLimits
from deploy.local import Redis
from tests.contract.countdown import check_left
from tests.contract.guarded import until
from tests.contract.state import State
from tests.contract.turmoil import OnStandby

pytestmark = pytest.mark.contract


@pytest.fixture
def rates(state: State) -> Rates:
    return Rates(state.client, state.keys)


def test_a_batch_waits_until_those_before_it_have_had_their_time(rates: Rates) -> None:
    """Who asks does not matter: all vchannels of a task share its rates."""
    limits, began = RateLimits(rows=10), time.monotonic()
    first, second, third = [rates.take("one", limits, rows=100, size=1) for _ in range(3)]
    assert first == 0.0
    check_left(second, 10, began)
    check_left(third, 20, began)
    assert rates.take("two", limits, rows=100, size=1) == 0.0


def test_the_limit_that_is_harder_to_keep_counts(rates: Rates) -> None:
    limits, began = RateLimits(rows=10, bytes=1000), time.monotonic()
    rates.take("one", limits, rows=100, size=100_000)
    check_left(rates.take("one", limits, rows=2_000, size=0), 100, began)
    check_left(rates.take("one", limits, rows=0, size=0), 210, began)


def test_what_has_no_limit_is_not_counted(rates: Rates) -> None:
    limits, began = RateLimits(bytes=1000), time.monotonic()
    rates.take("one", limits, rows=10**9, size=1)
    check_left(rates.take("one", limits, rows=1, size=1), 0.001, began)


def test_nothing_is_saved_up_and_nothing_stays(rates: Rates, state: State) -> None:
    """Given a task that has been idle, then it may send one batch at once and no more."""
    limits = RateLimits(rows=1000)
    rates.take("one", limits, rows=50, size=1)
    assert state.client.exists(state.keys.rate("one"))
    until(lambda: not state.client.exists(state.keys.rate("one")))
    began = time.monotonic()
    first, second = [rates.take("one", limits, rows=60_000, size=1) for _ in range(2)]
    assert first == 0.0
    check_left(second, 60, began)


@pytest.mark.usefixtures("small_limits")
def test_a_task_keeps_its_limit_and_loses_nothing(redis_server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given rows of two tasks that wait at their source, then at no time have more of one's come to the target than its
    limit since its first batch and one batch more, whatever the other one sends, and in the end all of them are there.
    """
    limit = 40
    asked: dict[str, list[tuple[float, int]]] = defaultdict(list)
    take = Rates.take

    def noted(rates: Rates, task: str, limits: RateLimits, rows: int, size: int) -> float:
        asked[task].append((time.monotonic(), rows))
        return take(rates, task, limits, rows, size)

    monkeypatch.setattr(Rates, "take", noted)
    run = OnStandby(redis_server.url(7), 1, rate_limits=RateLimits(rows=limit))
    run.source.late_drops = 0.0
    try:
        for _ in range(2):
            run.cluster.add_worker()
        for _ in range(40):
            run.source.window(8)
        name = next(iter(run.source.collections))
        wanted = run.source.rows(name).total()
        seen: list[tuple[float, int]] = []

        def is_there() -> bool:
            rows = run.on_target(name).total()
            seen.append((time.monotonic(), rows))  # behind the count: until then they may have come
            return rows >= wanted

        run.until(is_there, "not all rows come")
        batches = list(asked[f"task-{name}"])
        began, largest = batches[0][0], max(rows for _, rows in batches)
        assert wanted > limit + largest, "so few need not be held back"
        assert [(at, rows) for at, rows in seen if rows > largest + limit * (at - began)] == []
        run.calm_down()
        run.check()
    finally:
        run.cluster.abandon()
