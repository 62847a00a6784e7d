"""A broker that forgets its tickets, and one that somebody else writes to, under load.

That a worker lives on beside such a broker is also in tests/integration/test_worker_and_broker.py, in seconds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from itertools import product

import pytest
import redis

from cdc_core.names import BROKER_PREFIX, CATALOG_TASK, COMMON_QUEUE, worker_queue
from tests.chaos.outcome import all_is_well, owners, who_holds_something
from tests.replication import QUEUES, OwnDatabase, Replication, await_that
from tests.workload import Shape, Workload, make_collection, rows

pytestmark = [pytest.mark.chaos, pytest.mark.thorough, pytest.mark.parametrize("replication", QUEUES, indirect=True)]

FOREIGN = [
    b"\xff\xfe\x00 no text",
    b"no JSON",
    b"3",
    b"[]",
    b"{}",
    # Celery's own, with a body that is none: it fails behind the parsing, and would be put back for the next worker
    b'{"body": "%%%%", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py",'
    b' "id": "1", "task": "' + CATALOG_TASK.encode() + b'"}, "properties": {"body_encoding": "base64",'
    b' "delivery_tag": "c", "delivery_info": {"exchange": "", "routing_key": "cdc"}}}',
]


@pytest.fixture
def broker(replication: Replication) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(replication.stack.redis.url(1)) as broker:
        yield broker


def test_the_broker_is_emptied_with_tickets_in_flight(
    replication: Replication, own: OwnDatabase, broker: redis.Redis, rng: random.Random
) -> None:
    """What does this test do? The broker forgets everything: tickets that wait, and which queues there are.

    How? With both workers killed a new task's ticket stays in its queue, until that is emptied. When all runs, one is
    killed again, so that many more are needed, while the broker is emptied at random moments.
    """
    make_collection(own.source, "c", Shape(shards=4))
    workers = replication.system.workers
    for worker in workers:
        worker.kill()
    own.task()
    assert broker.llen(f"{BROKER_PREFIX}{COMMON_QUEUE}") == 1
    broker.flushdb()
    replication.system.start()
    own.source.insert("c", list(rows(100)))
    own.equal("c")
    killed = who_holds_something(workers, replication, rng)
    killed.kill()
    for _ in range(20):
        time.sleep(rng.uniform(0, 1))
        broker.flushdb()
    own.source.insert("c", list(rows(100, 100)))
    own.equal("c")
    await_that(lambda: "" not in owners(replication), "every channel is run again")
    killed.start().wait_ready()
    replication.running()


def test_foreign_bytes_in_the_queues_end_no_worker(
    replication: Replication, broker: redis.Redis, work: Workload, rng: random.Random
) -> None:
    """What does this test do? Something else writes into the queues of the tickets, the common one and each worker's.

    How? Bytes that are no text, no JSON, no message, no ticket, and a queue that is no list. All is taken out, the
    processes are the same as before, and a worker that comes anew gets its tickets through the same queues.
    """
    system = replication.system
    pids = [process.pid for process in system.processes]
    work.start()
    ids = [worker.id or "" for worker in system.workers]
    queues = [f"{BROKER_PREFIX}{name}" for name in (COMMON_QUEUE, *map(worker_queue, ids))]
    foreign = list(product(queues, FOREIGN))
    for queue, item in rng.sample(foreign, len(foreign)):
        broker.lpush(queue, item)
    await_that(lambda: not any(broker.exists(queue) for queue in queues), "all of it is taken out")
    broker.set(queues[0], "no list")
    time.sleep(rng.uniform(2, 4))
    broker.delete(queues[0])
    assert [process.pid for process in system.processes] == pids
    killed = who_holds_something(system.workers, replication, rng)
    killed.kill()
    killed.start().wait_ready()
    await_that(lambda: killed.id in owners(replication), "it has channels")
    work.stop()
    all_is_well(replication, work)
