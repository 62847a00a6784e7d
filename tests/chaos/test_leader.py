"""The worker that leads is killed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from cdc_core.names import Keys
from tests.replication import QUEUES, OwnDatabase, Replication, await_that
from tests.workload import Shape, make_collection, rows

pytestmark = [pytest.mark.chaos, pytest.mark.parametrize("replication", QUEUES, indirect=True)]


@pytest.mark.thorough
def test_another_worker_leads_when_the_leader_is_killed(
    replication: Replication, own: OwnDatabase, record_property: Callable[[str, object], None]
) -> None:
    """What does this test do? It measures how long nobody leads, and sees the new leader do its work.

    How? The leader's key in Redis; a task that is made meanwhile gets its tickets from the new one.
    """
    state, key = replication.state, Keys().leader
    await_that(lambda: state.get(key), "somebody leads")
    (leader,) = (worker for worker in replication.system.workers if worker.id == state.get(key))
    before = leader.id
    leader.kill()
    began = time.monotonic()
    make_collection(own.source, "c", Shape(shards=2))
    own.task()
    await_that(lambda: state.get(key) not in (None, before), "another one leads")
    record_property("leaderless_seconds", round(time.monotonic() - began, 1))
    print(f"another one leads after {time.monotonic() - began:.1f} s")  # noqa: T201
    own.source.insert("c", list(rows(100)))
    own.equal("c")
    leader.start().wait_ready()
