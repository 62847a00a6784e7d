"""The routes: `POST /cdc` by request type, the probes, the metrics and the document."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from flask import Blueprint, Response, jsonify, request
from marshmallow import Schema

from api import body
from api.errors import RefusedError, code_of, shortened
from api.maintenance import Maintenance
from api.metrics import CONTENT_TYPE, exposition
from api.openapi import document
from api.schemas import CreateSchema, DeleteSchema, ListSchema, MaintenanceSchema, TaskSchema, load
from api.service import Service
from cdc_core.coordination.retention import Retention
from cdc_core.coordination.shortage import Shortage
from cdc_core.coordination.tasks import TaskStore
from cdc_core.errors import CdcError

_logger = structlog.get_logger(__name__)

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

Handler = tuple[Schema, Callable[[dict[str, Any]], dict[str, Any]]]


def handlers(service: Service, maintenance: Maintenance) -> dict[str, Handler]:
    """Request type -> the shape of its data, and what it does."""
    return {
        "create": (CreateSchema(), service.create),
        "delete": (
            DeleteSchema(),
            lambda data: service.delete(data["task_id"], ignore_not_found=data["ignore_not_found"]),
        ),
        "pause": (TaskSchema(), lambda data: service.pause(data["task_id"])),
        "resume": (TaskSchema(), lambda data: service.resume(data["task_id"])),
        "get": (TaskSchema(), lambda data: service.get(data["task_id"])),
        "position": (TaskSchema(), lambda data: service.position(data["task_id"])),
        "list": (ListSchema(), lambda _: service.tasks()),
        "maintenance": (MaintenanceSchema(), lambda data: maintenance.handle(data["operation"], data["params"])),
    }


def blueprint(types: Mapping[str, Handler], store: TaskStore, retention: Retention, shortage: Shortage) -> Blueprint:
    """All routes. `POST /cdc` answers HTTP 200 (413 to a body that is too large); the body's `code` tells."""
    routes = Blueprint("cdc", __name__)

    @routes.route("/cdc", methods=_METHODS, provide_automatic_options=False)
    def cdc() -> Response:
        if request.method != "POST":
            return answer(405, f"the method {request.method} is not supported, expected POST")
        return _handle(types, store)

    @routes.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @routes.get("/readyz")
    def readyz() -> tuple[Response, int]:
        try:
            store.check()
        except CdcError as error:
            return jsonify(status="not ready", reason=str(error)), 503
        return jsonify(status="ok"), 200

    @routes.get("/metrics")
    def metrics() -> tuple[Response, int]:
        try:
            store.check()
            return Response(exposition(store, retention, shortage), content_type=CONTENT_TYPE), 200
        except CdcError as error:
            return Response(f"# {error}\n", content_type=CONTENT_TYPE), 503

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(document({kind: schema for kind, (schema, _) in types.items()}))

    return routes


def answer(code: int, message: str = "", data: dict[str, Any] | None = None) -> Response:
    """The body of every answer of `POST /cdc`."""
    content: dict[str, Any] = {"code": code}
    if message:
        content["message"] = message
    if data is not None:
        content["data"] = data
    return jsonify(content)


def _handle(types: Mapping[str, Handler], store: TaskStore) -> Response:
    started = time.monotonic()
    kind = "unknown"
    try:
        name, data = _envelope(body.parse(request), types)
        kind = name
        schema, run = types[kind]
        loaded = load(schema, data)
        store.check()
        response, code, message = run(loaded), 200, ""
    except CdcError as error:
        response, code, message = None, code_of(error), _worded(kind, error)
    log = _logger.bind(request_type=kind, code=int(code), seconds=round(time.monotonic() - started, 3))
    if code == 200:
        log.info("request")
        return answer(200, data=response)
    log.warning("request refused" if code < 500 else "request failed", message=message)
    refusal = answer(int(code), message)
    if code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        refusal.status_code = code
    return refusal


def _envelope(content: dict[str, Any], types: Mapping[str, Handler]) -> tuple[str, dict[str, Any]]:
    kind, data = content.get("request_type"), content.get("request_data", {})
    expected = f"expected one of {', '.join(types)}"
    if kind is None:
        raise RefusedError(f"request_type is missing, {expected}")
    if not isinstance(kind, str) or kind not in types:
        raise RefusedError(f"request_type: {shortened(str(kind))!r} is unknown, {expected}")
    if unknown := sorted(set(content) - {"request_type", "request_data"}):
        raise RefusedError.of(f"{shortened(name)}: unknown field" for name in unknown)
    if not isinstance(data, dict):
        raise RefusedError("request_data: expected an object")
    return kind, data


def _worded(kind: str, error: CdcError) -> str:
    return str(error) if kind == "unknown" else f"fail to handle the {kind} request, error: {error}"


def unexpected(error: Exception) -> Response:
    """A defect of ours: the log has the stack, the client the fact."""
    _logger.error("request failed unexpectedly", exc_info=error)
    return answer(500, f"internal error ({type(error).__name__}), see the log of the API")
