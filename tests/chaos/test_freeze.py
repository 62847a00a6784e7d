"""A worker that stands still for longer than its lease, and then goes on as if nothing had been."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from cdc_core.coordination.late_writes import LateWrites
from cdc_core.names import Keys
from tests.chaos.outcome import all_is_well, owners, who_holds_something
from tests.chaos.ratchet import Ratchet
from tests.replication import QUEUES, Replication, await_that
from tests.workload import Workload

pytestmark = [pytest.mark.chaos, pytest.mark.parametrize("replication", QUEUES, indirect=True)]


@pytest.mark.thorough
def test_a_worker_is_frozen_past_its_lease(
    replication: Replication,
    work: Workload,
    rng: random.Random,
    record_property: Callable[[str, object], None],
) -> None:
    """What does this test do? A worker gets SIGSTOP under load, for longer than its lease, and SIGCONT.

    How? The other one has all channels meanwhile. The frozen one finds its leases over when it goes on, nothing goes
    back, and it is given channels again as the process that it was. What it records all the same is refused and
    counted: how often is noted, usually never, as it looks at the clock before.
    """
    late = LateWrites(replication.state, Keys())
    before = late.total
    work.start()
    time.sleep(rng.uniform(3, 6))
    frozen = who_holds_something(replication.system.workers, replication, rng)
    name, pid = frozen.id, frozen.pid
    with Ratchet(replication.state):
        frozen.suspend()
        began = time.monotonic()
        try:
            await_that(lambda: not owners(replication) & {name, ""}, "the other one has all channels")
            record_property("takeover_seconds", round(time.monotonic() - began, 1))
            print(f"taken over after {time.monotonic() - began:.1f} s")  # noqa: T201
            time.sleep(rng.uniform(0, 5))
        finally:
            frozen.resume_process()
        await_that(lambda: '"lease_lost"' in frozen.log_path.read_text(), "it sees that its leases are over")
        await_that(lambda: name in owners(replication), "it is given channels again")
        work.stop()
        all_is_well(replication, work)
    record_property("late_writes", late.total - before)
    print(f"{late.total - before} records were refused")  # noqa: T201
    assert frozen.pid == pid
