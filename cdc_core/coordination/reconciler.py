"""What should run and does not gets a ticket; what is deleted is cleaned away. By the leader."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import structlog

from cdc_core.coordination.balancer import Unit, place, spread, surplus
from cdc_core.coordination.channels import ChannelState, ChannelStore
from cdc_core.coordination.leases import TICKET_MS, Leases, Ticket
from cdc_core.coordination.shortage import Shortage
from cdc_core.coordination.tasks import TaskStore
from cdc_core.coordination.workers import Workers, WorkerState
from cdc_core.model.task import Desired, Task
from cdc_core.names import CATALOG

log = structlog.get_logger(__name__)

Send = Callable[[Sequence[Ticket]], None]
"""Sends a Celery message for each."""


@dataclass(frozen=True)
class _View:
    """Everything as Redis has it now; `now` in its milliseconds."""

    tasks: Mapping[str, Task]
    states: Sequence[ChannelState]
    workers: Sequence[WorkerState]
    now: int

    @property
    def slots(self) -> Mapping[str, int]:
        """Of the workers that are not ending."""
        return {worker.id: worker.slots for worker in self.workers if not worker.stopping}

    @cached_property
    def held(self) -> Mapping[str, Sequence[Unit]]:
        """What each worker runs, or was just given a ticket for."""
        held: dict[str, list[Unit]] = {}
        for state in self.states:
            if state.key.name == CATALOG:
                continue
            worker = state.owner if _held(state, self.now) else ""
            if not worker and _good_ticket(state, self.now):
                worker = state.fields.get("ticket_for", "")
            if worker:
                held.setdefault(worker, []).append(_unit(state))
        return held


class Reconciler:
    """One pass after the other; each is safe to repeat and to be stopped anywhere."""

    def __init__(
        self,
        tasks: TaskStore,
        channels: ChannelStore,
        leases: Leases,
        workers: Workers,
        shortage: Shortage,
        send: Send,
    ) -> None:
        self._tasks = tasks
        self._channels = channels
        self._leases = leases
        self._workers = workers
        self._shortage = shortage
        self._send = send
        self.moving = False
        """Whether the last pass has set channels in motion: the next one has more to do, soon."""
        self.rest = 0.0
        """Seconds after the last pass in which no lease, ticket or back-off ends by itself; infinite without any."""

    def run(self) -> list[Task]:
        """One pass; answers the tasks there are. Raises redis errors and `StateUnavailable`."""
        view = self._look()
        self._clean(view)
        self.moving = self._issue(view) or self._balance(view)
        ends = (end - view.now for state in view.states for end in _ends(state) if end > view.now)
        self.rest = min(ends, default=math.inf) / 1000
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

    def _issue(self, view: _View) -> bool:
        """Whether there were vchannels that nobody ran and that have a place now."""
        free = {state.key.member: state for state in view.states if self._wants_ticket(state, view)}
        catalogs = [member for member, state in free.items() if state.key.name == CATALOG]
        vchannels = [_unit(state) for state in free.values() if state.key.name != CATALOG]
        placement = place(vchannels, view.held, view.slots)
        if placement.starved:
            log.warning("no_slot_free", channels=placement.starved)
        self._shortage.tell(
            Counter(free[unit.name].key.task for unit in vchannels if unit.name not in placement.assigned)
        )
        # Catalogs by name, too: of the common queue a ticket may go to who is gone, where Redis has not seen that yet.
        chosen = {**spread(catalogs, _catalogs_held(view)), **placement.assigned}
        tickets = [Ticket(free[member].key, worker) for member, worker in chosen.items()]
        if tickets:
            self._send(self._leases.issue(tickets))
        return bool(placement.assigned)

    def _wants_ticket(self, state: ChannelState, view: _View) -> bool:
        if _held(state, view.now) or state.done or _good_ticket(state, view.now) or state.number("backoff") > view.now:
            return False
        if state.unsettled:
            return True
        return view.tasks[state.key.task].desired is Desired.RUNNING and not state.halted

    def _balance(self, view: _View) -> bool:
        """Whether there are vchannels to be given away. Not while others wait for a place (balancer.surplus)."""
        given = set(surplus(view.held, view.slots))
        chosen = (state for state in view.states if state.key.member in given)
        self._channels.ask_to_yield(state.key for state in chosen if "yield" not in state.fields)
        return bool(given)


def _unit(state: ChannelState) -> Unit:
    """Grouped by the gate: vchannels of one target pchannel wait for each other's ticks."""
    plan = state.plan
    return Unit(state.key.member, plan.target_vchannel.pchannel if plan else CATALOG)


def _held(state: ChannelState, now: int) -> bool:
    return bool(state.owner) and state.number("deadline") > now


def _good_ticket(state: ChannelState, now: int) -> bool:
    return "ticket" in state.fields and state.number("ticket_at") + TICKET_MS > now


def _ends(state: ChannelState) -> Iterator[int]:
    """When its lease, its ticket and its back-off end, those that it has."""
    if state.owner:
        yield state.number("deadline")
    elif "ticket" in state.fields:
        yield state.number("ticket_at") + TICKET_MS
    if "backoff" in state.fields:
        yield state.number("backoff")


def _catalogs_held(view: _View) -> Mapping[str, int]:
    """How many each worker runs that may be given more."""
    owners = [state.owner for state in view.states if state.key.name == CATALOG and _held(state, view.now)]
    return {worker.id: owners.count(worker.id) for worker in view.workers if not worker.stopping}
