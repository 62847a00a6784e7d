"""`GET /metrics` and the warnings of `get`, over a real Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from cdc_core.coordination.client import connect
from cdc_core.coordination.dead_letters import DeadLetters
from cdc_core.coordination.late_writes import LateWrites
from cdc_core.coordination.retention import Retention
from cdc_core.coordination.shortage import Shortage
from cdc_core.model.dead_letter import DeadLetter
from cdc_core.names import Keys
from deploy.local import Redis
from tests.api_twin import Api, make_api

pytestmark = pytest.mark.integration

TOPIC = "by-dev-rootcoord-dml_3"
_DATABASE = 7


@pytest.fixture
def state(redis_server: Redis) -> Iterator[redis.Redis]:
    with connect(redis_server.url(_DATABASE)) as client:
        client.flushdb()
        yield client


@pytest.fixture
def api(redis_server: Redis, state: redis.Redis) -> Api:  # noqa: ARG001  an empty state
    return make_api(redis_server.url(_DATABASE))


def test_what_is_wrong_with_a_task_is_counted(api: Api, state: redis.Redis) -> None:
    """A dead letter and a checkpoint that retention comes near; a deleted task is counted no more."""
    for name in ("a", "b"):
        api.create(name, task_id=f"of_{name}")
    DeadLetters(state, Keys()).record("of_a", [DeadLetter(TOPIC, b"\1" * 8, 1, "empty", b"", 0)])
    Retention(state, Keys()).warn("of_a", {TOPIC: "it is near"})
    found = _metrics(api)
    assert found["cdc_tasks", ("Initial",)] == 2
    assert found["cdc_tasks", ("Running",)] == 0
    assert found["cdc_dead_letters_total", ("of_a",)] == 1
    assert found["cdc_dead_letters_total", ("of_b",)] == 0
    assert found["cdc_retention_near", (TOPIC, "of_a")] == 1
    api.ask("delete", task_id="of_a")
    assert not [labels for _, labels in _metrics(api) if "of_a" in labels]


def test_a_collection_that_stopped_alone_is_counted(api: Api, state: redis.Redis) -> None:
    """Its task runs on; only its channels tell."""
    for name in ("a", "b"):
        api.create(name, task_id=f"of_{name}")
    for channel, fields in {"c1": {"stopped": "gone"}, "c2": {"reason": "away"}, "c3": {"epoch": "1"}}.items():
        state.sadd("cdc:channels:of_a", channel)
        state.hset(f"cdc:channel:of_a/{channel}", mapping=fields)
    found = _metrics(api)
    assert found["cdc_channels_in_trouble", ("of_a",)] == 2
    assert found["cdc_channels_in_trouble", ("of_b",)] == 0


def test_records_that_came_too_late_are_counted(api: Api, state: redis.Redis) -> None:
    assert _metrics(api)["cdc_late_writes_total", ()] == 0
    LateWrites(state, Keys()).count(3)
    assert _metrics(api)["cdc_late_writes_total", ()] == 3


def test_get_shows_the_warnings_while_there_are_any(api: Api, state: redis.Redis) -> None:
    api.create("a", task_id="one")
    assert "warnings" not in api.ask("get", task_id="one")["data"]["task"]
    Retention(state, Keys()).warn("one", {TOPIC: "it is near"})
    assert api.ask("get", task_id="one")["data"]["task"]["warnings"] == [f"{TOPIC}: it is near"]
    Shortage(state, Keys()).tell({"one": 3})
    waiting, _ = api.ask("get", task_id="one")["data"]["task"]["warnings"]
    assert waiting.startswith("3 vchannels wait")
    assert _metrics(api)["cdc_slots_missing", ("one",)] == 3
    state.delete(Keys().shortage)
    Retention(state, Keys()).warn("one", {})
    assert "warnings" not in api.ask("get", task_id="one")["data"]["task"]


def test_without_redis_there_are_no_metrics_and_no_stack() -> None:
    answer = make_api("redis://127.0.0.1:1").client.get("/metrics")
    assert answer.status_code == 503
    assert answer.text.startswith("# ")


def _metrics(api: Api) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = api.client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
