"""A source on Pulsar: what the queue has a part in. What it has none in is in `test_replication.py`."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests.replication import Replication
from tests.workload import SHAPES, Workload

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("replication", ["pulsar"], indirect=True)]


@pytest.fixture
def work(replication: Replication, request: pytest.FixtureRequest) -> Iterator[Workload]:
    """Rows, deletes, upserts, partitions; the last of the collections is dropped and made again meanwhile."""
    seed = random.Random(request.node.name).randrange(10_000)
    with Workload(replication.stack.source.uri, seed, collections=3, shapes=(*SHAPES[:2], SHAPES[5])) as work:
        yield work
    replication.gone(work.names)


def test_changes_of_every_kind_arrive(replication: Replication, work: Workload) -> None:
    work.run(operations=60)
    assert sum(each.count_target for each in replication.equal(work.names)) > 0
    replication.running()


def test_a_pause_under_load_loses_and_doubles_nothing(replication: Replication, work: Workload) -> None:
    work.start()
    time.sleep(2)
    replication.api.pause(replication.task)
    replication.at_rest(replication.task)
    time.sleep(2)
    replication.api.resume(replication.task)
    time.sleep(1)
    work.stop()
    replication.equal(work.names)
    replication.running()


def test_a_kill_of_pulsar_under_load_loses_and_doubles_nothing(replication: Replication, work: Workload) -> None:
    """Given a Pulsar that is killed and comes back, then all is equal and no process of ours has ended."""
    pulsar = replication.stack.pulsar
    assert pulsar is not None
    pids = [process.pid for process in replication.system.processes]
    work.start()
    time.sleep(2)
    pulsar.kill()
    pulsar.start().wait_ready()
    time.sleep(2)
    work.stop()
    replication.equal_to_the_queue(work.names)
    replication.running()
    assert [process.pid for process in replication.system.processes] == pids
