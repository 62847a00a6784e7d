"""Wires that are cut: between all workers and Redis, or between one of them and everything it needs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.chaos.outcome import all_is_well, owners, who_holds_something
from tests.chaos.ratchet import Ratchet
from tests.chaos.wire import Mode
from tests.chaos.wired_worker import FENCE_SECONDS, WiredWorker
from tests.replication import QUEUES, Replication, await_that
from tests.workload import Workload

pytestmark = [pytest.mark.chaos, pytest.mark.thorough, pytest.mark.parametrize("replication", QUEUES, indirect=True)]

LONG = 25.0
"""Seconds; a lease lasts 15."""

CUTS = [
    (["state"], Mode.SWALLOW),
    (["state"], Mode.CUT),
    (["state", "target"], Mode.SWALLOW),
    (["state", "target"], Mode.CUT),
]


@pytest.mark.parametrize(("wires", "mode"), CUTS)
def test_who_is_cut_off_writes_nothing_and_others_take_over(
    replication: Replication,
    wired: list[WiredWorker],
    work: Workload,
    rng: random.Random,
    record_property: Callable[[str, object], None],
    wires: list[str],
    mode: Mode,
) -> None:
    """What does this test do? One of two workers loses Redis, and perhaps the target too, for longer than a lease.

    How? Under load the other one has all its channels after a while; the lonely one has written nothing beyond its
    fence although it could. When the wires are mended it is given channels again, as the process that it was.
    """
    work.start()
    time.sleep(rng.uniform(3, 6))
    lonely = who_holds_something(wired, replication, rng)
    name, pid = lonely.id, lonely.pid
    await_that(lambda: lonely.wrote_ago < 1.0, "it writes")
    with Ratchet(replication.state):
        for wire in wires:
            getattr(lonely, wire).turn(mode)
        cut = time.monotonic()
        await_that(lambda: not owners(replication) & {name, ""}, "the other one has all channels")
        record_property("takeover_seconds", round(time.monotonic() - cut, 1))
        print(f"taken over after {time.monotonic() - cut:.1f} s")  # noqa: T201
        time.sleep(max(0.0, LONG - (time.monotonic() - cut)))
        assert lonely.wrote_ago > time.monotonic() - cut - FENCE_SECONDS
        for wire in wires:
            getattr(lonely, wire).turn(Mode.PASS)
        await_that(lambda: name in owners(replication), "it is given channels again")
        work.stop()
        all_is_well(replication, work)
    assert lonely.pid == pid


def test_half_open_connections_of_all_workers_to_redis(
    replication: Replication, wired: list[WiredWorker], work: Workload, rng: random.Random
) -> None:
    """What does this test do? The connections of both workers to Redis are half open for longer than a lease.

    How? The proxies swallow both ways and close nothing, old connections and new; then they pass again.
    """
    pids = [worker.pid for worker in wired]
    with Ratchet(replication.state):
        work.start()
        time.sleep(rng.uniform(3, 6))
        for worker in wired:
            worker.state.turn(Mode.SWALLOW)
        cut = time.monotonic()
        time.sleep(LONG)
        beyond = time.monotonic() - cut - FENCE_SECONDS
        assert [worker.name for worker in wired if worker.wrote_ago < beyond] == []
        for worker in wired:
            worker.state.turn(Mode.PASS)
        await_that(lambda: any(worker.wrote_ago < 1.0 for worker in wired), "rows flow again")
        work.stop()
        all_is_well(replication, work)
    assert [worker.pid for worker in wired] == pids


def test_a_flickering_network(
    replication: Replication, wired: list[WiredWorker], work: Workload, rng: random.Random
) -> None:
    """What does this test do? All wires of both workers are slow, silent or cut at random, for moments.

    How? Seeded, each for up to four seconds, less than a lease: calls are lost with and without their answers.
    """
    pids = [worker.pid for worker in wired]
    with Ratchet(replication.state):
        work.start()
        for _ in range(12):
            wire = rng.choice([wire for worker in wired for wire in (worker.state, worker.target)])
            wire.turn(rng.choice([Mode.DELAY, Mode.SWALLOW, Mode.CUT]))
            time.sleep(rng.uniform(0.2, 4))
            wire.turn(Mode.PASS)
            time.sleep(rng.uniform(0, 1))
        work.stop()
        all_is_well(replication, work)
    assert [worker.pid for worker in wired] == pids
