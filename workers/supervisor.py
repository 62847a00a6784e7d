"""One thread per process: renews all leases in one call, says that it is alive, and is the watchdog."""

from __future__ import annotations

import faulthandler
import os
import socket
import threading
from collections.abc import Mapping

import redis
import structlog

from cdc_core.clock import Clock
from cdc_core.coordination.client import answering
from cdc_core.coordination.leases import RENEW_SECONDS, ChannelKey, Order
from cdc_core.coordination.log_switch import WAKE as LOG_WAKE
from cdc_core.coordination.log_switch import LogSwitch
from cdc_core.coordination.workers import Workers
from cdc_core.errors import CdcError, StateLost
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.engine import Engine
from cdc_core.pipeline.lease import Lease
from cdc_core.telemetry.logging import set_level
from workers.events import events
from workers.stop import STOPPING

RETRY_SECONDS = 1.0
"""After a renewal that failed: a lease lasts for a few of them."""
LEAVE_AT_ONCE = 20
LEAVE_SECONDS = 0.2
"""A process that ends gives away so many at a time: all at once, they would wait seconds for their new workers."""
WATCHDOG_SECONDS = 30.0
"""A channel that does not return so long after its lease was lost hangs: the process ends, others take over."""

log = structlog.get_logger(__name__)


class Supervisor:
    """Obeys what a renewal answers, at once when the bus says that a task has changed."""

    def __init__(self, engine: Engine, workers: Workers, slots: int, log_switch: LogSwitch, clock: Clock) -> None:
        self._engine = engine
        self._workers = workers
        self._slots = slots
        self._clock = clock
        self._woken = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._log_switch = log_switch
        self._about = {"host": socket.gethostname(), "pid": str(os.getpid())}
        engine.bus.listen(self._heard)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        """After the last channel has ended."""
        self._stop.set()
        self._woken.set()
        self._thread.join(10.0)
        try:
            self._workers.leave(self._engine.worker)
        except redis.RedisError as error:
            log.warning("heartbeat_left_behind", error=str(error))

    def _heard(self, message: str) -> None:
        if message == LOG_WAKE or (" " not in message and any(key.task == message for key in self._engine.running)):
            self._woken.set()

    def _run(self) -> None:
        wait = 0.0
        while not self._stop.is_set():
            self._woken.wait(wait)
            self._woken.clear()
            try:
                with answering():
                    self._beat()
                wait = LEAVE_SECONDS if STOPPING.is_set() else RENEW_SECONDS
            except StateLost as error:
                self._lose_all(error)
                wait = RETRY_SECONDS
            except CdcError as error:
                log.warning("state_unavailable", error=str(error))
                wait = RETRY_SECONDS
            except Exception:
                log.exception("supervisor_failed")
                wait = RETRY_SECONDS
            self._watch(self._engine.running)

    def _beat(self) -> None:
        running = self._engine.running
        self._engine.tasks.check()
        if STOPPING.is_set():
            self._hand_over(running)
        self._renew(running)
        if level := self._log_switch.read().level:
            set_level(level)
        self._workers.beat(self._engine.worker, self._slots, stopping=STOPPING.is_set(), about=self._about)
        if clock := self._engine.source_clock:
            self._workers.report_source_clock(Tso.of(clock[0]), clock[1])
        if not STOPPING.is_set():
            self._tell(running)

    def _lose_all(self, error: StateLost) -> None:
        """They were of the state that is gone."""
        lost = [lease for lease in self._engine.running.values() if lease.order is not Order.LOST]
        if lost:
            log.error("leases_lost", channels=len(lost), error=str(error))
        for lease in lost:
            lease.tell(Order.LOST)

    def _hand_over(self, running: Mapping[ChannelKey, Lease]) -> None:
        """The next few, however long those before them take."""
        staying = [lease for lease in running.values() if not lease.stopping]
        for lease in staying[:LEAVE_AT_ONCE]:
            lease.tell(Order.YIELD)

    def _renew(self, running: Mapping[ChannelKey, Lease]) -> None:
        sent_at = self._clock.monotonic()
        held = [(key, lease.epoch) for key, lease in running.items()]
        for (key, _), order in zip(held, self._engine.leases.renew(held), strict=True):
            lease = running[key]
            if order is not Order.LOST:
                lease.renewed(sent_at)
            lease.tell(order)

    def _tell(self, running: Mapping[ChannelKey, Lease]) -> None:
        states = {state.key: state for state in self._engine.channels.read(running)}
        trouble = self._engine.source_trouble or ""
        for key, state in states.items():
            reason = trouble or self._engine.trouble_of(state)
            if state.plan and reason != state.fields.get("reason", "") and key in self._engine.running:
                self._engine.channels.explain(key, reason)
        events.send(states, self._engine.channels.now())

    def _watch(self, running: Mapping[ChannelKey, Lease]) -> None:
        now = self._clock.monotonic()
        hung = [key.name for key, lease in running.items() if lease.left < -WATCHDOG_SECONDS or _long_lost(lease, now)]
        if hung:
            log.critical("channels_hang", channels=hung)
            faulthandler.dump_traceback()
            os._exit(70)  # a hung thread cannot be ended; what it holds is taken over by others


def _long_lost(lease: Lease, now: float) -> bool:
    return lease.lost_at is not None and now - lease.lost_at > WATCHDOG_SECONDS
