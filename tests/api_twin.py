"""The API in this process, over a real Redis, its source and targets in memory."""

import json
from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from api.app import create_app
from cdc_core.clock import ManualClock
from cdc_core.errors import TargetUnavailable
from cdc_core.model.catalog import Catalog
from cdc_core.model.connect import KafkaConnect, MilvusConnect
from cdc_core.model.position import Position
from cdc_core.model.task import Beginning
from cdc_core.preflight.facts import KafkaFacts
from cdc_core.preflight.target_look import OpenTarget
from cdc_core.settings import Settings
from cdc_core.sink.memory import MemoryTarget
from cdc_core.source.memory import MemoryQueue
from cdc_core.source.memory_catalog import MemoryCatalog


class SourceTwin:
    """A source that is there, or not; in memory."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0
        self.catalog = MemoryCatalog()
        self.messages = MemoryQueue()

    def refresh(self) -> Catalog:
        if self.error:
            raise self.error
        return self.catalog.refresh()

    def queue(self) -> MemoryQueue:
        return self.messages

    def beginning(self) -> Beginning:
        self.asked += 1
        if self.error:
            raise self.error
        return Beginning({"by-dev-rootcoord-dml_0": Position("by-dev-rootcoord-dml_0", b"\5" * 8)}, frozenset({451}))


class TargetTwin(MemoryTarget):
    """A standby that can be dialled, or not."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.kafka = KafkaFacts(TargetUnavailable("no Kafka is here"))
        """What every topic is like."""

    def look_at_kafka(self, _connect: KafkaConnect) -> KafkaFacts:
        return self.kafka

    def open(self, _connect: MilvusConnect) -> OpenTarget:
        if self.error:
            raise self.error
        return OpenTarget(self, self, lambda: "2.3.5")


class Office:
    """Tickets as a list."""

    def __init__(self) -> None:
        self.tickets: list[str] = []

    def enqueue(self, task_id: str) -> None:
        self.tickets.append(task_id)


class Api:
    """A client of one application."""

    def __init__(self, app: Flask, source: SourceTwin, target: TargetTwin, office: Office) -> None:
        self.client: FlaskClient = app.test_client()
        self.source = source
        self.target = target
        self.office = office

    def post(self, body: Any, **options: Any) -> dict[str, Any]:
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        response = self.client.post("/cdc", data=data, **{"content_type": "application/json", **options})
        assert response.status_code == 200
        assert response.mimetype == "application/json"
        answer: dict[str, Any] = json.loads(response.data)
        return answer

    def ask(self, kind: str, **data: Any) -> dict[str, Any]:
        return self.post({"request_type": kind, "request_data": data})

    def create(self, *names: str, **more: Any) -> dict[str, Any]:
        infos = {"collection_infos": [{"name": name} for name in names]} if names else {}
        return self.ask("create", **{"milvus_connect_param": {"uri": "http://target:19530"}, **infos, **more})

    def refused(self, answer: dict[str, Any]) -> str:
        assert answer["code"] == 400
        assert "data" not in answer
        message: str = answer["message"]
        return message


def make_api(url: str, *, open_target: Callable[[MilvusConnect], OpenTarget] | None = None, **more: Any) -> Api:
    """Over the Redis at `url`; `open_target` dials other targets than the twin, `more` are settings."""
    source, target, office = SourceTwin(), TargetTwin(), Office()
    settings = Settings(redis_url=url, source_mq="kafka://127.0.0.1:9092", **more)
    dial = open_target or target.open
    app = create_app(
        settings,
        source=source,
        open_target=dial,
        kafka_look=target.look_at_kafka,
        tickets=office,
        clock=ManualClock(),
    )
    return Api(app, source, target, office)
