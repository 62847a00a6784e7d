"""What should run and does not gets a ticket; what is deleted is cleaned away. By the leader."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from cdc_core.coordination.balancer import Unit, place, spread, surplus
from cdc_core.coordination.channels import ChannelState, ChannelStore
from cdc_core.coordination.leases import TICKET_MS, ChannelKey, Leases
from cdc_core.coordination.tasks import TaskStore
from cdc_core.coordination.workers import Workers, WorkerState
from cdc_core.model.task import Desired, Task
from cdc_core.names import CATALOG

log = structlog.get_logger(__name__)

Send = Callable[[ChannelKey, str, str], None]
"""Sends the Celery message: channel, ticket, worker ('' is any)."""


@dataclass(frozen=True, slots=True)
class _View:
    """Everything as Redis has it now; `now` in its milliseconds."""

    tasks: Mapping[str, Task]
    states: Sequence[ChannelState]
    workers: Sequence[WorkerState]
    now: int


class Reconciler:
    """One pass after the other; each is safe to repeat and to be stopped anywhere."""

    def __init__(self, tasks: TaskStore, channels: ChannelStore, leases: Leases, workers: Workers, send: Send) -> None:
        self._tasks = tasks
        self._channels = channels
        self._leases = leases
        self._workers = workers
        self._send = send

    def run(self) -> list[Task]:
        """One pass; answers the tasks there are. Raises redis errors and `StateUnavailable`."""
        view = self._look()
        self._clean(view)
        self._issue(view)
        self._balance(view)
        return list(view.tasks.values())

    def _look(self) -> _View:
        tasks = self._tasks.all()
        states = [state for task in tasks for state in self._channels.of_task(task.id)]
        return _View({task.id: task for task in tasks}, states, self._workers.alive(), self._channels.now())

    def _clean(self, view: _View) -> None:
        """A deleted task goes when nothing of it runs and nothing of it is unsettled."""
        for task in view.tasks.values():
            if task.desired is not Desired.DELETED:
                continue
            states = [state for state in view.states if state.key.task == task.id]
            if not any(_held(state, view.now) or state.unsettled for state in states):
                self._tasks.forget(task.id)
                log.info("task_forgotten", task=task.id)

    def _issue(self, view: _View) -> None:
        free = {state.key.member: state for state in view.states if self._wants_ticket(state, view)}
        catalogs = [member for member, state in free.items() if state.key.name == CATALOG]
        vchannels = [_unit(state) for state in free.values() if state.key.name != CATALOG]
        slots = {worker.id: worker.slots for worker in view.workers if not worker.stopping}
        placement = place(vchannels, _held_by_worker(view), slots)
        if placement.starved:
            log.warning("no_slot_free", channels=placement.starved)
        # Catalogs by name, too: of the common queue a ticket may go to who is gone, where Redis has not seen that yet.
        chosen = {**spread(catalogs, _catalogs_held(view)), **placement.assigned}
        for member, worker in chosen.items():
            self._ticket(free[member].key, worker)

    def _wants_ticket(self, state: ChannelState, view: _View) -> bool:
        if _held(state, view.now) or state.done or _good_ticket(state, view.now) or state.number("backoff") > view.now:
            return False
        if state.unsettled:
            return True
        return view.tasks[state.key.task].desired is Desired.RUNNING and not state.halted

    def _ticket(self, key: ChannelKey, worker: str) -> None:
        ticket = uuid.uuid4().hex
        if self._leases.issue(key, ticket, worker):
            self._send(key, ticket, worker)

    def _balance(self, view: _View) -> None:
        workers = [worker.id for worker in view.workers if not worker.stopping]
        given = set(surplus(_held_by_worker(view), workers))
        self._channels.ask_to_yield(state.key for state in view.states if state.key.member in given)


def _unit(state: ChannelState) -> Unit:
    """Grouped by the gate: vchannels of one target pchannel wait for each other's ticks."""
    plan = state.plan
    return Unit(state.key.member, plan.target_vchannel.pchannel if plan else CATALOG)


def _held(state: ChannelState, now: int) -> bool:
    return bool(state.owner) and state.number("deadline") > now


def _good_ticket(state: ChannelState, now: int) -> bool:
    return "ticket" in state.fields and state.number("ticket_at") + TICKET_MS > now


def _catalogs_held(view: _View) -> Mapping[str, int]:
    """How many each worker runs that may be given more."""
    owners = [state.owner for state in view.states if state.key.name == CATALOG and _held(state, view.now)]
    return {worker.id: owners.count(worker.id) for worker in view.workers if not worker.stopping}


def _held_by_worker(view: _View) -> Mapping[str, Sequence[Unit]]:
    """What each worker runs, or was just given a ticket for."""
    held: dict[str, list[Unit]] = {}
    for state in view.states:
        if state.key.name == CATALOG:
            continue
        worker = state.owner if _held(state, view.now) else ""
        if not worker and _good_ticket(state, view.now):
            worker = state.fields.get("ticket_for", "")
        if worker:
            held.setdefault(worker, []).append(_unit(state))
    return held
