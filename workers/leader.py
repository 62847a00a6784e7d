"""One of the workers leads: it issues tickets, balances, cleans up, and keeps the targets' channels alive."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import redis
import structlog

from cdc_core.coordination.client import answering
from cdc_core.coordination.leases import Ticket
from cdc_core.coordination.reconciler import Reconciler
from cdc_core.coordination.shortage import Shortage
from cdc_core.coordination.workers import Workers
from cdc_core.errors import CdcError
from cdc_core.model.connect import MilvusConnect
from cdc_core.model.task import Desired, Task, TaskState
from cdc_core.names import CATALOG, CATALOG_TASK, COMMON_QUEUE, NOBODY_LEADS, VCHANNEL_TASK, worker_queue
from cdc_core.pipeline.engine import Engine
from cdc_core.pipeline.retention_guard import RetentionGuard
from workers.app import app
from workers.config import TICKET_SECONDS
from workers.stop import STOPPING

LEAD_AGAIN_SECONDS = 2.0
PASS_SECONDS = 4.0
"""While nothing is said and nothing runs out; a pass reads every channel's record."""
MOVING_SECONDS = 0.5
"""While channels are on their way to other workers: nobody tells that they have arrived."""
MARGIN_SECONDS = 0.05
"""After the end of a lease it is over for everybody."""
REST = 3.0
"""Times what a pass took of the CPU: a thousand collections that are made one by one wake it a thousand times."""
LEAD_SECONDS = 8.0
"""A dead leader is replaced after this long."""
LOOK_SECONDS = 10.0
"""How often the leader looks which channels the targets have; new collections are ticked by who replicates them."""
GUARD_SECONDS = 30.0
"""How often it looks at the retention of the source's queue."""
SENDERS = 8
"""Connections to the broker; Celery's pool has ten."""

log = structlog.get_logger(__name__)


class Leader:
    """Two threads that do nothing while another process leads; the second one may wait for a target or the queue."""

    def __init__(self, engine: Engine, workers: Workers, shortage: Shortage, guard: RetentionGuard) -> None:
        self._engine = engine
        self._workers = workers
        self._guard = guard
        self._guarded_at = 0.0
        self._reconciler = Reconciler(engine.tasks, engine.channels, engine.leases, workers, shortage, send_tickets)
        self._tasks: list[Task] = []
        self._pass_at = 0.0
        self._woken = threading.Event()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._lead, name="leader", daemon=True),
            threading.Thread(target=self._keep_alive, name="keep-alive", daemon=True),
        ]
        engine.bus.listen(self._heard)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self._stop.set()
        self._woken.set()
        self._threads[0].join(10.0)

    def _heard(self, message: str) -> None:
        if message == NOBODY_LEADS or (self._engine.leads and " " not in message):
            self._woken.set()  # `reconcile`, or the id of a task that was changed

    def _lead(self) -> None:
        while not self._stop.is_set():
            began = time.thread_time()
            try:
                with answering():
                    self._turn()
            except CdcError as error:
                self._engine.leads = False
                log.warning("state_unavailable", error=str(error))
            except Exception:
                log.exception("leader_failed")
                self._pass_at = time.monotonic() + LEAD_AGAIN_SECONDS
            self._stop.wait(REST * (time.thread_time() - began))
            due = self._pass_at - time.monotonic() if self._engine.leads else LEAD_AGAIN_SECONDS
            if self._woken.wait(min(LEAD_AGAIN_SECONDS, max(0.0, due))):
                self._woken.clear()
                self._pass_at = 0.0
        self._step_down()

    def _turn(self) -> None:
        if STOPPING.is_set():
            self._step_down()
            return
        self._engine.tasks.check()  # who leads an emptied state would tick the target past rows that are not there
        led = self._engine.leads
        self._engine.leads = self._engine.leases.lead(LEAD_SECONDS)
        if self._engine.leads:
            if not led:
                log.info("leads", worker=self._engine.worker)
                self._pause_not_auto_started()
            if not led or time.monotonic() >= self._pass_at:
                self._pass()

    def _pass(self) -> None:
        self._tasks = self._reconciler.run()
        rest = MOVING_SECONDS if self._reconciler.moving else min(PASS_SECONDS, self._reconciler.rest + MARGIN_SECONDS)
        self._pass_at = time.monotonic() + rest

    def _step_down(self) -> None:
        led, self._engine.leads = self._engine.leads, False
        try:
            self._engine.leases.lead(0)
            if led:
                self._engine.bus.publish(NOBODY_LEADS)
        except redis.RedisError as error:
            log.debug("leader_key_left", error=str(error))

    def _pause_not_auto_started(self) -> None:
        """No worker was alive, and this is the first one that comes back."""
        if any(worker.id != self._engine.worker for worker in self._workers.alive()):
            return
        for task in self._engine.tasks.all():
            started = task.desired is Desired.RUNNING and task.state is TaskState.RUNNING
            if started and task.spec.disable_auto_start:
                reason = "all workers were down and disable_auto_start is set: resume the task to go on"
                self._engine.tasks.stop(task.id, reason)

    def _keep_alive(self) -> None:
        while not self._stop.wait(LOOK_SECONDS if self._engine.leads and self._tasks else 1.0):
            if not self._engine.leads:
                continue
            for target in self._standing():
                self._look(target)
            if time.monotonic() - self._guarded_at > GUARD_SECONDS:
                self._guarded_at = time.monotonic()
                self._guard_retention()

    def _standing(self) -> Iterable[MilvusConnect]:
        """Each target once, however many tasks it has: one that hangs takes half a minute to look at."""
        found = (task.spec.target for task in self._tasks if task.desired is not Desired.DELETED)
        return {each.identity: each for each in found if isinstance(each, MilvusConnect)}.values()

    def _guard_retention(self) -> None:
        """Also of paused tasks: they read nothing."""
        try:
            with answering():
                ids = [task.id for task in self._tasks if task.desired is not Desired.DELETED]
                self._guard.look(self._engine.source_queue(), ids)
        except CdcError as error:
            log.warning("retention_not_looked_at", error=str(error))
        except Exception:
            log.exception("retention_guard_failed")

    def _look(self, target: MilvusConnect) -> None:
        try:
            self._engine.keep_alive([target])
        except CdcError as error:
            log.warning("target_not_kept_alive", target=target.identity, error=str(error))
        except Exception:
            log.exception("keep_alive_failed", target=target.identity)


def send_tickets(tickets: Sequence[Ticket]) -> None:
    """Several at the same time: each is a trip to the broker, and hundreds wait for them when a worker ends."""
    with ThreadPoolExecutor(SENDERS, "tickets") as threads:
        list(threads.map(_send, tickets))


def _send(ticket: Ticket) -> None:
    """It is issued again if the broker does not answer."""
    key, queue = ticket.key, worker_queue(ticket.worker) if ticket.worker else COMMON_QUEUE
    name, args = (CATALOG_TASK, [key.task]) if key.name == CATALOG else (VCHANNEL_TASK, [key.task, key.name])
    try:
        app.send_task(name, args=[*args, ticket.text], queue=queue, expires=TICKET_SECONDS)
    except Exception as error:
        log.warning("ticket_not_sent", channel=key.name, error=str(error))
