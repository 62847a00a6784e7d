"""What Flower shows of a running channel."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog
from celery.events import group_from

from cdc_core.coordination.channels import ChannelState
from cdc_core.coordination.leases import ChannelKey
from cdc_core.names import CATALOG, CATALOG_TASK, REPLICATING_EVENT, VCHANNEL_TASK
from workers.app import app

log = structlog.get_logger(__name__)


class Events:
    """Knows which Celery task runs which channel, and sends where it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: dict[ChannelKey, str] = {}

    @contextmanager
    def of(self, key: ChannelKey, celery_id: str) -> Iterator[None]:
        """While this runs, `key` is the Celery task `celery_id`."""
        with self._lock:
            self._ids[key] = celery_id
        try:
            yield
        finally:
            with self._lock:
                if self._ids.get(key) == celery_id:
                    del self._ids[key]

    def send(self, states: Mapping[ChannelKey, ChannelState], now_ms: int) -> None:
        """One event per channel, many in a message; the broker not answering is no matter."""
        with self._lock:
            ids = dict(self._ids)
        try:
            with app.events.default_dispatcher() as dispatcher:
                dispatcher.buffer_group = {group_from(REPLICATING_EVENT)}
                for key, state in states.items():
                    if key in ids:
                        dispatcher.send(REPLICATING_EVENT, uuid=ids[key], result=_told(state, now_ms), **_named(key))
                dispatcher.flush()
        except Exception as error:
            log.debug("events_not_sent", error=str(error))


def _named(key: ChannelKey) -> dict[str, str]:
    """For a Flower that was started after the task."""
    if key.name == CATALOG:
        return {"name": CATALOG_TASK, "args": repr((key.task,))}
    return {"name": VCHANNEL_TASK, "args": repr((key.task, key.name))}


def _told(state: ChannelState, now_ms: int) -> str:
    resolved = state.resolved.ms
    told = {
        "channel": state.key.name,
        "task": state.key.task,
        "position": state.fields.get("position", ""),
        "lag_ms": now_ms - resolved if resolved else None,
        "epoch": state.number("epoch"),
    }
    if reason := state.fields.get("reason"):
        told["reason"] = reason
    return json.dumps(told)


events = Events()
