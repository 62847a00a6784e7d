"""Trouble with the Redis of the state, for shorter and for longer than a lease lasts, on real servers under load.

Nothing that is recorded goes back, nobody writes to the target without a lease, all of it passes without a person, and
both sides are equal afterwards. The broker is another database of the same server, so it has the same trouble.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from deploy.local import Redis
from tests.chaos.away import hung, killed
from tests.chaos.outcome import all_is_well
from tests.chaos.ratchet import Ratchet
from tests.chaos.wired_worker import FENCE_SECONDS, WiredWorker
from tests.replication import QUEUES, Replication, await_that
from tests.workload import Workload

pytestmark = [pytest.mark.chaos, pytest.mark.thorough, pytest.mark.parametrize("replication", QUEUES, indirect=True)]

SHORT, LONG = 3.0, 25.0
"""Seconds; a lease lasts 15."""


@contextmanager
def lacking_replicas(server: Redis) -> Iterator[None]:
    """It answers what it knows and takes no write."""
    with setting(server, "min-replicas-to-write", "1"):
        yield


@contextmanager
def full(server: Redis) -> Iterator[None]:
    """It takes what makes it smaller alone."""
    with setting(server, "maxmemory", "100kb"):
        yield


@contextmanager
def setting(server: Redis, name: str, value: str) -> Iterator[None]:
    with redis.Redis(port=server.port, decode_responses=True) as client:
        before = client.config_get(name)[name]
        client.config_set(name, value)
        yield
        client.config_set(name, before)


@contextmanager
def replica_of_nobody(server: Redis) -> Iterator[None]:
    """As after a failover to another one that never came up."""
    with redis.Redis(port=server.port) as client:
        client.replicaof("127.0.0.1", "1")
        yield
        client.replicaof("NO", "ONE")


TROUBLES = [
    (full, LONG),
    (replica_of_nobody, LONG),
    (lacking_replicas, LONG),
    (hung, LONG),
    (killed, LONG),
    (killed, SHORT),
]


@pytest.mark.parametrize(("trouble", "seconds"), TROUBLES)
def test_trouble_with_redis_passes(
    replication: Replication,
    wired: list[WiredWorker],
    work: Workload,
    rng: random.Random,
    trouble: Callable[[Redis], Iterator[None]],
    seconds: float,
) -> None:
    """What does this test do? The Redis of the state and of the broker is killed, hangs, or refuses writes, under load.

    How? The load goes on throughout, so that who writes without a lease is seen doing it: beyond the fence no worker
    has sent rows to the target. No process of ours is touched.
    """
    pids = [worker.pid for worker in wired]
    with Ratchet(replication.state):
        work.start()
        time.sleep(rng.uniform(3, 6))
        assert any(worker.wrote_ago < 3.0 for worker in wired), "rows flow"
        with trouble(replication.stack.redis):
            began = time.monotonic()
            time.sleep(seconds)
            if seconds > FENCE_SECONDS:
                beyond = time.monotonic() - began - FENCE_SECONDS
                assert [worker.name for worker in wired if worker.wrote_ago < beyond] == []
        await_that(lambda: any(worker.wrote_ago < 1.0 for worker in wired), "rows flow again")
        time.sleep(rng.uniform(2, 5))
        work.stop()
        all_is_well(replication, work)
    assert [worker.pid for worker in wired] == pids
