"""The Flask application, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from api.maintenance import Maintenance
from api.routes import blueprint, handlers, unexpected
from api.service import Service, TicketOffice
from api.service import Source as Beginnings
from api.source import LiveSource
from api.targets import LiveTargets
from api.tickets import Tickets
from cdc_core.clock import Clock, SystemClock
from cdc_core.coordination.channels import ChannelStore
from cdc_core.coordination.client import connect
from cdc_core.coordination.log_switch import LogSwitch
from cdc_core.coordination.requests import Requests
from cdc_core.coordination.retention import Retention
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.shortage import Shortage
from cdc_core.coordination.tasks import TaskStore
from cdc_core.coordination.workers import Workers
from cdc_core.model.connect import KafkaConnect, MilvusConnect
from cdc_core.names import Keys
from cdc_core.preflight.facts import KafkaFacts
from cdc_core.preflight.kafka_look import look_at_kafka
from cdc_core.preflight.preflight import Preflight
from cdc_core.preflight.preflight import Source as Looked
from cdc_core.preflight.target_look import OpenTarget
from cdc_core.settings import Settings


class Source(Beginnings, Looked, Protocol):
    """The source as the API needs it."""


def create_app(
    settings: Settings,
    *,
    source: Source | None = None,
    open_target: Callable[[MilvusConnect], OpenTarget] | None = None,
    kafka_look: Callable[[KafkaConnect], KafkaFacts] = look_at_kafka,
    tickets: TicketOffice | None = None,
    clock: Clock | None = None,
) -> Flask:
    """The API over the state, the broker, the source of the settings and the tasks' targets; connects to none yet."""
    client, keys, clock = connect(settings.redis_url), Keys(), clock or SystemClock()
    store = TaskStore(client, keys, Secrets(settings.secret_key.get_secret_value() if settings.secret_key else None))
    source = source or LiveSource(settings)
    preflight = Preflight(
        source,
        open_target or LiveTargets().open,
        kafka_look,
        Workers(client, keys),
        ChannelStore(client, keys),
        clock,
        settings.source_channel_prefix,
    )
    retention, shortage = Retention(client, keys), Shortage(client, keys)
    office = tickets or Tickets(settings.broker_url)
    service = Service(settings, store, source, preflight, retention, shortage, office, clock)
    app = Flask("api", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    maintenance = Maintenance(LogSwitch(client, keys), store, Requests(client, keys), clock)
    app.register_blueprint(blueprint(handlers(service, maintenance), store, retention, shortage))
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, unexpected)
    return app


def _http_error(error: HTTPException) -> tuple[Response, int]:
    """Other paths, and methods that HTTP does not know; on the API's own path HTTP 200 as ever."""
    code = error.code or 500
    content = jsonify(code=code, message=f"{error.name}; the API is POST /cdc")
    return content, 200 if request.path == "/cdc" else code
