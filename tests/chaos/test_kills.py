"""Kills and restarts under load, on real servers. What every test here does:

A seeded workload writes to several collections of the source (rows, deletes, upserts, partitions and collections that
come and go). Meanwhile processes are ended at seeded random moments and started again as they were, nothing else is
done to help. Then the writing stops, and both sides must become equal, row by row and by count(*), which counts a
doubled row twice; and every task must be Running. What came to the target meanwhile was written down and must keep the
invariants (conftest.py). `CDC_TEST_KILLS` says how often (3 by default, 10 for a release),
`CDC_TEST_QUEUES` on which queues (`kafka` by default, `kafka,rocksmq,pulsar` for a release).
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import pytest

from cdc_core.coordination.channels import ChannelStore
from cdc_core.names import Keys
from deploy.local import Server
from tests.chaos.outcome import all_is_well, who_holds_something
from tests.replication import BROKERS, QUEUES, Replication, await_that
from tests.servers import etcd_of
from tests.workload import Shape, Workload, make_collection, rows

KILLS = int(os.environ.get("CDC_TEST_KILLS", "3"))

SERVERS = [
    (which, queue)
    for queue in QUEUES
    for which in ("redis", *([queue] if queue in BROKERS else []), "target", "source", "etcd")
]
"""Of each queue's stack: one on RocksMQ has no broker."""

pytestmark = pytest.mark.chaos
of_each_queue = pytest.mark.parametrize("replication", QUEUES, indirect=True)


@of_each_queue
@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_a_worker_ends_at_any_moment(replication: Replication, work: Workload, rng: random.Random, end: str) -> None:
    """What does this test do? One of two workers is ended (SIGKILL or SIGTERM) again and again while all is in step.

    How? Each comes back at once or after a while, so that the other takes over sometimes what it held, sometimes not.
    """
    work.start()
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.5, 4))
        worker = rng.choice(replication.system.workers)
        getattr(worker, end)()
        time.sleep(rng.choice([0, 0, 5, 20]))
        worker.start().wait_ready()
    work.stop()
    all_is_well(replication, work)


@of_each_queue
@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_a_worker_ends_during_catch_up(replication: Replication, work: Workload, rng: random.Random, end: str) -> None:
    """What does this test do? A worker is ended again and again while a backlog is worked off, from behind.

    How? The task is paused under load; the load goes on after the resume, and the kills begin with it.
    """
    work.start()
    for _ in range(-(-KILLS // 3)):
        replication.api.pause(replication.task)
        time.sleep(rng.uniform(6, 12))
        replication.api.resume(replication.task)
        for _ in range(3):
            time.sleep(rng.uniform(0, 2))
            worker = rng.choice(replication.system.workers)
            getattr(worker, end)()
            worker.start().wait_ready()
    work.stop()
    all_is_well(replication, work)


@of_each_queue
def test_all_workers_are_killed_at_once(replication: Replication, work: Workload, rng: random.Random) -> None:
    """What does this test do? Nobody is left to take over, several times."""
    work.start()
    for _ in range(-(-KILLS // 3)):
        time.sleep(rng.uniform(1, 6))
        for worker in replication.system.workers:
            worker.kill()
        time.sleep(rng.choice([0, 10]))
        replication.system.start()
    work.stop()
    all_is_well(replication, work)


@of_each_queue
def test_pause_and_resume_under_load(replication: Replication, work: Workload, rng: random.Random) -> None:
    """What does this test do? The task is paused and resumed again and again, sometimes at once, sometimes later."""
    work.start()
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.2, 4))
        replication.api.pause(replication.task)
        time.sleep(rng.choice([0, 0.1, 1, rng.uniform(2, 8)]))
        replication.api.resume(replication.task)
    work.stop()
    all_is_well(replication, work)


@pytest.mark.parametrize(("which", "replication"), SERVERS, indirect=["replication"])
def test_a_server_is_killed_and_comes_back(
    replication: Replication, work: Workload, rng: random.Random, which: str
) -> None:
    """What does this test do? One of the servers around us is killed and started again, under load.

    How? The writing goes on, as far as it can, before, meanwhile and after; no process of ours is touched.
    """
    server: Server = etcd_of(replication.stack) if which == "etcd" else getattr(replication.stack, which)
    pids = [process.pid for process in replication.system.processes]
    work.start()
    time.sleep(rng.uniform(2, 5))
    server.kill()
    time.sleep(rng.uniform(0, 4))
    server.start().wait_ready()
    time.sleep(rng.uniform(5, 10))
    work.stop()
    if which == "pulsar":
        replication.equal_to_the_queue(work.names)
        replication.running()
    else:
        all_is_well(replication, work)
    assert [process.pid for process in replication.system.processes] == pids


@of_each_queue
def test_a_worker_and_the_target_are_killed_together(
    replication: Replication, work: Workload, rng: random.Random
) -> None:
    """What does this test do? What a killed worker had in flight is settled by another one on a target that was
    killed as well.
    """
    work.start()
    time.sleep(rng.uniform(2, 5))
    worker = rng.choice(replication.system.workers)
    worker.kill()
    replication.stack.target.kill()
    replication.stack.target.start().wait_ready()
    time.sleep(rng.uniform(0, 5))
    worker.start().wait_ready()
    work.stop()
    all_is_well(replication, work)


@of_each_queue
def test_what_a_killed_worker_held_is_taken_over(
    replication: Replication, rng: random.Random, record_property: Callable[[str, object], None]
) -> None:
    """What does this test do? It measures how long rows wait when their worker is killed.

    How? Four shards, so that the killed worker holds some of them; the time until every channel has another owner.
    """
    name = f"takeover_{rng.randrange(10**9)}"
    make_collection(replication.source, name, Shape(shards=4))
    replication.source.insert(name, list(rows(100)))
    replication.equal([name])
    worker = who_holds_something(replication.system.workers, replication, rng)
    held = worker.id
    worker.kill()
    began = time.monotonic()
    replication.source.insert(name, list(rows(100, 100)))
    store = ChannelStore(replication.state, Keys())
    await_that(
        lambda: all(state.owner and state.owner != held for state in store.of_task(replication.task)),
        "every channel has another owner",
    )
    record_property("takeover_seconds", round(time.monotonic() - began, 1))
    print(f"taken over after {time.monotonic() - began:.1f} s")  # noqa: T201
    replication.equal([name])
    worker.start().wait_ready()
    replication.source.drop_collection(name)
    replication.gone([name])
