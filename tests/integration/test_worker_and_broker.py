"""A worker beside a broker that refuses, or that others write to: it lives on. Nothing but Redis is there."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from socket import gethostname

import pytest
import redis
from celery import Celery

from api.tickets import Tickets
from cdc_core.names import BROKER_PREFIX, CATALOG_TASK, COMMON_QUEUE, worker_queue
from cdc_core.settings import Settings
from deploy.local import Redis
from deploy.local.system import Worker
from tests.replication import await_that
from workers.config import celery_config

pytestmark = pytest.mark.integration


def message(body: str) -> bytes:
    """As Celery's own but for the body: it fails behind the parsing, and would be put back for the next worker."""
    delivery = {"exchange": "", "routing_key": COMMON_QUEUE}
    whole = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "id": "1", "task": CATALOG_TASK},
        "properties": {"body_encoding": "base64", "delivery_tag": "c", "delivery_info": delivery},
    }
    return json.dumps(whole).encode()


FOREIGN = {
    "no text": b"\xff\xfe\x00",
    "no JSON": b"hello",
    "a number": b"3",
    "a list": b"[]",
    "an empty object": b"{}",
    "a body that is none": message("%%%%"),
    "no arguments": message(base64.b64encode(b"[[], {}, {}]").decode()),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """Of this module alone: its settings are changed."""
    with Redis(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture(scope="module")
def worker(server: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    environment = {
        "CDC_REDIS_URL": server.url(0),
        "CDC_BROKER_URL": server.url(1),
        "CDC_SOURCE_MQ": "kafka://127.0.0.1:1",
    }
    with Worker("worker", tmp_path_factory.mktemp("worker"), environment) as worker:
        yield worker


@pytest.fixture
def broker(server: Redis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url(1)) as broker:
        yield broker


def takes_tickets(server: Redis, broker: redis.Redis) -> None:
    """It is invited, and comes."""
    tickets = Tickets(server.url(1))
    tickets.enqueue("no such task")
    await_that(lambda: not broker.exists(f"{BROKER_PREFIX}{COMMON_QUEUE}"), "the ticket is taken")
    tickets.close()


@pytest.mark.parametrize("foreign", FOREIGN)
def test_foreign_bytes_are_taken_out_and_thrown_away(
    server: Redis, worker: Worker, broker: redis.Redis, foreign: str
) -> None:
    """In the common queue and in its own."""
    pid = worker.pid
    for name in (COMMON_QUEUE, worker_queue(worker.id or "")):
        told = worker.log_path.read_text().count("no_ticket_thrown_away")
        broker.lpush(f"{BROKER_PREFIX}{name}", FOREIGN[foreign])
        await_that(lambda: worker.log_path.read_text().count("no_ticket_thrown_away") > told, "it is told")  # noqa: B023
    takes_tickets(server, broker)
    assert worker.pid == pid


def test_a_redis_that_refuses_writes_is_waited_for(server: Redis, worker: Worker, broker: redis.Redis) -> None:
    """Seen by Celery, which would end the process for an answer of Redis that is no lost connection."""
    pid = worker.pid
    broker.config_set("min-replicas-to-write", "1")
    await_that(lambda: refused(worker, "NOREPLICAS"), "Celery is refused, and tries again")
    broker.config_set("min-replicas-to-write", "0")
    takes_tickets(server, broker)
    assert worker.pid == pid


def refused(worker: Worker, why: str) -> bool:
    lines = worker.log_path.read_text().splitlines()
    return any(why in line and "Cannot connect" in line for line in lines)


def test_a_queue_that_is_no_list_is_waited_for(server: Redis, worker: Worker, broker: redis.Redis) -> None:
    pid = worker.pid
    lost = worker.log_path.read_text().count("Connection to broker lost")
    broker.set(f"{BROKER_PREFIX}{COMMON_QUEUE}", "no list")
    await_that(lambda: worker.log_path.read_text().count("Connection to broker lost") > lost, "it is refused")
    broker.delete(f"{BROKER_PREFIX}{COMMON_QUEUE}")
    takes_tickets(server, broker)
    assert worker.pid == pid


def test_remote_control_gets_its_answers(server: Redis, worker: Worker) -> None:
    """As Flower does: they come through queues that are not for tickets."""
    given = Settings(source_mq="kafka://127.0.0.1:1", broker_url=server.url(1))
    with Celery(config_source=celery_config(given, "asker")) as app:
        answers = app.control.ping(timeout=5.0, limit=1)
    assert [answer[f"worker-{worker.pid}@{gethostname()}"] for answer in answers] == [{"ok": "pong"}]
