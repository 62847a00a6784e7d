"""The life of a worker process, in Celery's signals. The order of shutdown is written here."""

from __future__ import annotations

from typing import Any

import structlog
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from cdc_core.clock import SystemClock
from cdc_core.coordination.client import weaknesses
from cdc_core.coordination.log_switch import LogSwitch
from cdc_core.coordination.retention import Retention
from cdc_core.coordination.shortage import Shortage
from cdc_core.coordination.workers import Workers
from cdc_core.pipeline.retention_guard import RetentionGuard
from workers.leader import Leader
from workers.process import KEYS, engine, settings, state
from workers.stop import STOPPING
from workers.supervisor import Supervisor

log = structlog.get_logger(__name__)
_parts: dict[str, Any] = {}


@worker_ready.connect
def start(**_: object) -> None:
    """The pool takes tasks: begin to lead, supervise, listen."""
    try:
        _start()
    except Exception as error:
        log.critical("worker_cannot_start", exc_info=True)
        raise SystemExit(1) from error  # Celery would go on, and take what nobody runs


def _start() -> None:
    for weakness in weaknesses(state()):
        log.warning("redis_may_forget", weakness=weakness, consequence="a crash of Redis can lose or double rows")
    workers = Workers(state(), KEYS)
    _parts["supervisor"] = Supervisor(
        engine(), workers, settings().worker_slots, LogSwitch(state(), KEYS), SystemClock()
    )
    guard = RetentionGuard(engine().channels, Retention(state(), KEYS), settings().source_channel_prefix)
    _parts["leader"] = Leader(engine(), workers, Shortage(state(), KEYS), guard)
    engine().start()
    _parts["supervisor"].start()
    _parts["leader"].start()
    log.info("worker_ready", worker=engine().worker, slots=settings().worker_slots)


@worker_shutting_down.connect
def drain(**_: object) -> None:
    """SIGTERM: 1. channels are told to leave, a few at a time, 2. each settles and releases, 3. Celery waits for them.

    In a signal handler: nothing is done here but setting flags.
    """
    STOPPING.set()
    for name in ("leader", "supervisor"):
        if part := _parts.get(name):
            part.wake()


@worker_shutdown.connect
def end(**_: object) -> None:
    """4. Everything has been released: the leader's key, the heartbeat, the connections."""
    for name in ("leader", "supervisor"):
        if part := _parts.pop(name, None):
            part.close()
    engine().close()
