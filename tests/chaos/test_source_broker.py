"""The source's broker is away for a minute, under load; only with CDC_TEST_CHAOS=full.

The source suffers from it as well: calls fail or wait, and it may end; then it is started again, as its operator would.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from deploy.local import Server
from tests.chaos.away import Operator, hung, killed
from tests.chaos.outcome import all_is_well
from tests.chaos.ratchet import Ratchet
from tests.replication import BROKERS, Replication, await_that
from tests.workload import Workload

__test__ = bool(BROKERS)  # the other queues are no servers of their own

pytestmark = [pytest.mark.chaos, pytest.mark.thorough, pytest.mark.parametrize("replication", BROKERS, indirect=True)]

AWAY_SECONDS = 60.0


@pytest.mark.parametrize("trouble", [hung, killed])
def test_the_broker_is_away_for_a_minute(
    replication: Replication,
    work: Workload,
    rng: random.Random,
    trouble: Callable[[Server], AbstractContextManager[None]],
) -> None:
    """What does this test do? The broker that the source is read from hangs, or is dead, for a minute, and comes back:
    `get` names it meanwhile, the task is Running, nothing goes back, and then both sides are equal.

    How? SIGSTOP or SIGKILL; the writing goes on as far as it can. No process of ours is touched.
    """
    stack = replication.stack
    broker = stack.kafka or stack.pulsar
    assert broker is not None
    pids = [process.pid for process in replication.system.processes]
    with Ratchet(replication.state), Operator([stack.source]) as operator:
        work.start()
        time.sleep(rng.uniform(3, 6))
        with trouble(broker):
            began = time.monotonic()
            await_that(lambda: "does not answer" in replication.reason(replication.task), "the reason is told")
            print(f"told after {time.monotonic() - began:.1f} s: {replication.reason(replication.task)[-200:]}")  # noqa: T201
            replication.running()
            time.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - began)))
        await_that(lambda: not replication.reason(replication.task), "the reason is gone")
        time.sleep(rng.uniform(5, 10))
        work.stop()
        if stack.pulsar:
            replication.equal_to_the_queue(work.names)
            replication.running()
        else:
            all_is_well(replication, work)
    print(f"started again by its operator: {operator.started}")  # noqa: T201
    assert [process.pid for process in replication.system.processes] == pids
