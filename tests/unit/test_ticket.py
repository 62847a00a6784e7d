"""What a worker takes out of a queue, and what it throws away."""

import base64
import json
from typing import Any

import pytest

from cdc_core.names import CATALOG_TASK, VCHANNEL_TASK
from workers.ticket import is_ticket

pytestmark = pytest.mark.unit


def message(task: str = CATALOG_TASK, arguments: Any = ("one", "api"), **changed: Any) -> bytes:
    """As kombu puts it into Redis."""
    body = base64.b64encode(json.dumps([arguments, {}, {"callbacks": None}]).encode()).decode()
    whole = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": "8f", "expires": "2026-01-01T00:00:00"},
        "properties": {
            "correlation_id": "8f",
            "delivery_info": {"exchange": "", "routing_key": "cdc"},
            "body_encoding": "base64",
            "delivery_tag": "3c",
        },
    }
    return json.dumps(whole | changed).encode()


def test_invitations_to_our_tasks_are_tickets() -> None:
    assert is_ticket(message())
    assert is_ticket(message(VCHANNEL_TASK, ["one", "by-dev-rootcoord-dml_0_451v0", "a1"]))
    assert is_ticket(message().decode())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00",
        b"hello",
        b"3",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        message()[:-20],
        message(body="%%%%"),
        message(body=3),
        message(body=base64.b64encode(b"[1, 2").decode()),
        message("celery.backend_cleanup"),
        message(["cdc.catalog"]),
        message(arguments=["one"]),
        message(arguments=["one", 3]),
        message(arguments="ab"),
        message(VCHANNEL_TASK),
        message(headers=[]),
        message(headers={"task": CATALOG_TASK}),
        message(properties={}),
        message(properties={"delivery_tag": 1, "delivery_info": {}, "body_encoding": "base64"}),
        message(**{"content-type": "application/x-python-serialize"}),
        message(headers={"task": CATALOG_TASK, "id": "8f", "x": {"__type__": "uuid", "__value__": 3}}),
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_nothing_else_is(raw: bytes) -> None:
    assert not is_ticket(raw)
