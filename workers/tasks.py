"""The Celery tasks: a ticket invites this worker to claim a channel and run it to its end."""

from __future__ import annotations

from typing import Any

from cdc_core.coordination.leases import ChannelKey
from cdc_core.names import CATALOG, CATALOG_TASK, VCHANNEL_TASK
from workers.app import app
from workers.events import events
from workers.process import engine
from workers.stop import STOPPING


@app.task(name=CATALOG_TASK, bind=True, ignore_result=True)
def catalog(self: Any, task: str, ticket: str) -> None:
    """Keeps the target's objects right for one task, for weeks."""
    _run(self.request.id, ChannelKey(task, CATALOG), ticket)


@app.task(name=VCHANNEL_TASK, bind=True, ignore_result=True)
def vchannel(self: Any, task: str, name: str, ticket: str) -> None:
    """Replicates one vchannel of one task, for weeks."""
    _run(self.request.id, ChannelKey(task, name), ticket)


def _run(celery_id: str, key: ChannelKey, ticket: str) -> None:
    with events.of(key, celery_id):
        engine().run(key.task, key.name, ticket, STOPPING.is_set)
