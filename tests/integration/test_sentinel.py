"""State and broker on a Redis that fails over to its replica: everybody finds the new master by the Sentinels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from api.tickets import Tickets
from cdc_core.coordination.client import answering, connect
from cdc_core.coordination.workers import Workers
from cdc_core.errors import StateUnavailable
from cdc_core.names import BROKER_PREFIX, COMMON_QUEUE, Keys
from deploy.local.system import Worker
from tests.replication import await_that
from tests.sentinels import Watched
from tests.servers import or_skip

pytestmark = pytest.mark.integration


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with or_skip(lambda: Watched(tmp_path)) as watched:
        await_that(lambda: _replicas(watched) == 1, "the Sentinel has seen the replica")
        with connect(watched.url()) as client:
            client.set("first", "1")
            await_that(lambda: client.wait(1, 1_000) == 1, "the replica has all that there is")
        yield watched


def test_the_state_goes_on_at_the_new_master(watched: Watched) -> None:
    """What was replicated is there, and what is written then, too; until then it is unavailable, nothing worse."""
    with connect(watched.url(3)) as client:
        client.set("before", "1")
        await_that(lambda: client.wait(1, 1_000) == 1, "the replica has it")
        watched.master.kill()
        with pytest.raises(StateUnavailable), answering():
            client.get("before")
        await_that(lambda: _answers(client), "there is a new master")
        assert client.get("before") == "1"
        client.set("after", "2")
    with redis.Redis.from_url(watched.replica.url(3), decode_responses=True) as there:
        assert there.get("after") == "2"


def test_a_worker_takes_tickets_from_the_new_master_as_the_process_that_it_was(
    watched: Watched, tmp_path: Path
) -> None:
    environment = {
        "CDC_REDIS_URL": watched.url(0),
        "CDC_BROKER_URL": watched.url(1),
        "CDC_SOURCE_MQ": "kafka://127.0.0.1:1",
    }
    with Worker("worker", tmp_path / "worker", environment) as worker, connect(watched.url(0)) as state:
        pid, name = worker.pid, worker.id
        _takes_tickets(watched)
        await_that(lambda: state.wait(1, 1_000) == 1, "the replica has it")
        watched.master.kill()
        await_that(lambda: _answers(state), "there is a new master")
        _takes_tickets(watched)
        await_that(lambda: name in {each.id for each in Workers(state, Keys()).alive()}, "it beats there")
        assert (worker.pid, worker.id) == (pid, name)


def _takes_tickets(watched: Watched) -> None:
    tickets = Tickets(watched.url(1))
    with connect(watched.url(1)) as broker:
        tickets.enqueue("no such task")
        await_that(lambda: not broker.exists(f"{BROKER_PREFIX}{COMMON_QUEUE}"), "the ticket is taken")
    tickets.close()


def _answers(client: redis.Redis) -> bool:
    try:
        with answering():
            return bool(client.set("alive", "1"))
    except StateUnavailable:
        return False


def _replicas(watched: Watched) -> int:
    with redis.Redis(port=watched.sentinel.port, decode_responses=True) as sentinel:
        (master,) = sentinel.sentinel_masters().values()
        return int(master["num-slaves"])
