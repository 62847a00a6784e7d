"""The Flask application, put together."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from api.maintenance import Maintenance
from api.routes import blueprint, handlers, unexpected
from api.service import Service, Source, TicketOffice
from api.source import LiveSource
from api.tickets import Tickets
from cdc_core.clock import Clock, SystemClock
from cdc_core.coordination.client import connect
from cdc_core.coordination.log_switch import LogSwitch
from cdc_core.coordination.requests import Requests
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import TaskStore
from cdc_core.names import Keys
from cdc_core.settings import Settings


def create_app(
    settings: Settings,
    *,
    source: Source | None = None,
    tickets: TicketOffice | None = None,
    clock: Clock | None = None,
) -> Flask:
    """The API over the state, the broker and the source of the settings; connects to none of them yet."""
    client, keys, clock = connect(settings.redis_url), Keys(), clock or SystemClock()
    store = TaskStore(client, keys, Secrets(settings.secret_key.get_secret_value() if settings.secret_key else None))
    service = Service(settings, store, source or LiveSource(settings), tickets or Tickets(settings.broker_url), clock)
    app = Flask("api", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    maintenance = Maintenance(LogSwitch(client, keys), store, Requests(client, keys), clock)
    app.register_blueprint(blueprint(handlers(service, maintenance), store))
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, unexpected)
    return app


def _http_error(error: HTTPException) -> tuple[Response, int]:
    """Other paths, and methods that HTTP does not know; on the API's own path HTTP 200 as ever."""
    code = error.code or 500
    content = jsonify(code=code, message=f"{error.name}; the API is POST /cdc")
    return content, 200 if request.path == "/cdc" else code
