"""The API's tickets, on a real broker."""

import json
import logging
import time
from pathlib import Path

import pytest
import redis

from api.tickets import Tickets
from cdc_core.names import BROKER_PREFIX
from cdc_core.settings import Settings
from deploy.local import Redis
from workers.config import celery_config
from workers.ticket import is_ticket

pytestmark = pytest.mark.integration


def test_a_ticket_is_a_celery_message_on_the_common_queue(redis_server: Redis) -> None:
    tickets = Tickets(redis_server.url(7))
    tickets.enqueue("one")
    with redis.Redis.from_url(redis_server.url(7)) as broker:
        (raw,) = broker.lrange("cdc:celery:cdc", 0, -1)
    tickets.close()
    assert is_ticket(raw)
    message = json.loads(raw)
    assert message["headers"]["task"] == "cdc.catalog"
    assert message["headers"]["argsrepr"] == "['one', 'api']"
    assert message["headers"]["expires"]


def test_the_workers_look_where_the_tickets_are(redis_server: Redis) -> None:
    settings = Settings(source_mq="kafka://127.0.0.1:9092", broker_url=redis_server.url(7))
    assert celery_config(settings, "w")["broker_transport_options"]["global_keyprefix"] == BROKER_PREFIX


def test_a_broker_that_is_away_fails_nothing_and_is_used_again_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    with Redis(tmp_path) as server:
        tickets = Tickets(server.url(1))
        tickets.enqueue("one")
        server.kill()
        began = time.monotonic()
        tickets.enqueue("two")
        assert time.monotonic() - began < 8
        assert "the broker does not answer" in capsys.readouterr().out + caplog.text
        server.start().wait_ready()
        tickets.enqueue("three")
        server.kill()
        server.start().wait_ready()
        tickets.enqueue("four")  # its pooled connection is dead
        with redis.Redis.from_url(server.url(1), decode_responses=True) as broker:
            args = [json.loads(raw)["headers"]["argsrepr"] for raw in broker.lrange("cdc:celery:cdc", 0, -1)]
        tickets.close()
    assert args == ["['four', 'api']", "['three', 'api']", "['one', 'api']"]
