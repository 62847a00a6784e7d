"""Web, workers and Flower as the Procfile starts them: each may come and go alone."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import Stack
from deploy.local.probes import http_get
from deploy.local.system import Refused, System

pytestmark = pytest.mark.integration

QUICK = 10.0  # seconds; of a worker that carries nothing


@pytest.fixture(scope="module")
def system(rocksmq_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """On the databases 14 and 15, beside whatever else the session's Redis is used for."""
    state = {"CDC_REDIS_URL": rocksmq_stack.redis.url(14), "CDC_BROKER_URL": rocksmq_stack.redis.url(15)}
    directory = tmp_path_factory.mktemp("system")
    with System(directory, rocksmq_stack.environment() | state, workers=1, slots=7, flower=True) as system:
        yield system


def test_the_api_answers_or_says_what_is_wrong(system: System) -> None:
    assert system.api.list() == []
    assert system.api.position() == {"positions": [], "op_positions": [], "target_positions": []}
    with pytest.raises(Refused, match=r"400: .*not found"):
        system.api.get("no such task")
    with pytest.raises(Refused) as refused:
        system.api.create(collection_infos=[{"name": "*"}])
    assert refused.value.code == 400


def test_flower_shows_the_workers(system: System) -> None:
    assert system.flower is not None
    port = int(system.flower.url.rpartition(":")[2])
    assert http_get(port, "/workers")[0] == 200


def test_a_worker_that_was_killed_comes_back_as_another_one(system: System) -> None:
    worker = system.workers[0]
    before = worker.id
    worker.kill()
    assert worker.exit_code == -signal.SIGKILL

    worker.start().wait_ready()

    assert before is not None
    assert worker.id not in (None, before)


def test_another_worker_joins_and_ends_orderly(system: System) -> None:
    worker = system.add_worker()
    assert worker in system.workers
    assert worker.id != system.workers[0].id

    assert worker.terminate() < QUICK

    assert worker.exit_code == 0
    system.workers.remove(worker)


def test_web_comes_back_on_its_address(system: System) -> None:
    system.web.kill()
    with pytest.raises(OSError, match=r"refused|reset"):
        system.api.list()

    system.web.start().wait_ready()

    assert system.api.list() == []


def test_no_setting_of_the_caller_reaches_them(
    rocksmq_stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDC_LOG_LEVEL", "nonsense")
    environment = rocksmq_stack.environment() | {"CDC_REDIS_URL": rocksmq_stack.redis.url(13)}
    with System(tmp_path, environment, workers=0) as system:
        assert system.api.list() == []
