"""Whether what lies in a queue of the broker is a ticket."""

from __future__ import annotations

import base64
import json
from typing import Any

from cdc_core.names import CATALOG_TASK, VCHANNEL_TASK

_TASKS = {CATALOG_TASK: 2, VCHANNEL_TASK: 3}
"""Each with the number of its arguments, which are texts."""


def is_ticket(raw: bytes | str) -> bool:
    """Whether Celery can take it for an invitation to run one of our tasks. Pure.

    A message of its protocol 2 as kombu puts it into Redis:
    https://docs.celeryq.dev/en/stable/internals/protocol.html
    """
    try:
        message = json.loads(raw, object_hook=_plain)
        headers, properties = message["headers"], message["properties"]
        wanted = _TASKS[headers["task"]]
        arguments, named, _ = json.loads(base64.b64decode(message["body"], validate=True), object_hook=_plain)
        return bool(
            message["content-type"] == "application/json"
            and properties["body_encoding"] == "base64"
            and isinstance(properties["delivery_info"], dict)
            and _are_texts([headers["id"], properties["delivery_tag"], *arguments])
            and isinstance(arguments, list)
            and len(arguments) == wanted
            and not named
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    """Kombu makes objects of these, or fails to."""
    if "__type__" in found:
        raise ValueError("no ticket holds objects")
    return found
