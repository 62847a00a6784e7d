"""What the request types do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from api.create import spec_of
from api.errors import RefusedError, UnknownTaskError, shortened
from api.views import dead_letters_view, positions_view, report_view, task_view, warnings_view
from cdc_core.clock import Clock
from cdc_core.coordination.retention import Retention
from cdc_core.coordination.shortage import Shortage
from cdc_core.coordination.tasks import Changed, Created, Snapshot, TaskStore
from cdc_core.errors import StateUnavailable
from cdc_core.model.connect import KafkaConnect
from cdc_core.model.task import Beginning, Desired, Task, TaskSpec, TaskState
from cdc_core.preflight.judge import judge
from cdc_core.preflight.preflight import Preflight
from cdc_core.settings import Settings
from cdc_core.transform.filter import conflicts, exclusions
from cdc_core.transform.mapping import name_conflicts

_ATTEMPTS = 20
"""Each failed one means that another create or delete went through."""


class Source(Protocol):
    """The source as `create` needs it."""

    def beginning(self) -> Beginning:
        """Where a task that is made now begins; may block some seconds. :raises SourceUnavailable:"""
        ...


class TicketOffice(Protocol):
    """Where the workers are invited."""

    def enqueue(self, task_id: str) -> None:
        """Invite a worker to the task's catalog; raises nothing."""
        ...


class Service:
    """The tasks, for one client's request at a time. Thread-safe; raises `CdcError`s."""

    def __init__(
        self,
        settings: Settings,
        store: TaskStore,
        source: Source,
        preflight: Preflight,
        retention: Retention,
        shortage: Shortage,
        tickets: TicketOffice,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._store = store
        self._source = source
        self._preflight = preflight
        self._retention = retention
        self._shortage = shortage
        self._tickets = tickets
        self._clock = clock

    def create(self, data: dict[str, Any]) -> dict[str, Any]:
        """Validate, look for conflicts, look ahead, fix the beginning, store, invite a worker.

        An existing id is answered. With `validate_only` it ends with the look ahead, and answers what was seen.
        """
        spec = spec_of(data, self._settings)
        if data.get("validate_only"):
            return self._validated(spec)
        beginning: Beginning | None = None
        for _ in range(_ATTEMPTS):
            snapshot = self._store.snapshot()
            if any(task.id == spec.task_id for task in snapshot.tasks):
                return {"task_id": spec.task_id}
            fitted = self._fitted(spec, snapshot)
            beginning = beginning or self._begin(fitted, snapshot)
            task = Task(fitted, beginning, Desired.RUNNING, TaskState.INITIAL, "", self._clock.now())
            created = self._store.create(task, snapshot.revision, self._settings.max_tasks)
            if created is Created.CREATED:
                self._tickets.enqueue(spec.task_id)
                return {"task_id": spec.task_id}
            if created is Created.DELETING:
                raise RefusedError(f"the task {spec.task_id} is still being deleted, try again")
            if created is Created.LIMIT:
                raise self._limit()
        raise StateUnavailable("tasks are made and deleted faster than this one could be; try again")

    def _validated(self, spec: TaskSpec) -> dict[str, Any]:
        """As if there were no task of that id. :raises RefusedError: as a create, for what the request itself says."""
        snapshot = self._store.snapshot()
        others = Snapshot(snapshot.revision, tuple(task for task in snapshot.tasks if task.id != spec.task_id))
        fitted = self._fitted(spec, others)
        return report_view(judge(fitted, self._preflight.look(fitted, others.tasks)))

    def _begin(self, spec: TaskSpec, snapshot: Snapshot) -> Beginning:
        """A target that is away is waited for by the task, a source that is away is no beginning.

        :raises RefusedError: it can never work as it is. :raises SourceUnavailable:
        """
        facts = self._preflight.look(spec, snapshot.tasks)
        if refusing := judge(spec, facts).refusing:
            raise RefusedError.of(map(str, refusing))
        if facts.source.error:
            raise facts.source.error
        return self._source.beginning()

    def delete(self, task_id: str, *, ignore_not_found: bool) -> dict[str, Any]:
        if self._store.set_desired(task_id, Desired.DELETED) is Changed.UNKNOWN and not ignore_not_found:
            raise UnknownTaskError(task_id)
        return {}

    def pause(self, task_id: str) -> dict[str, Any]:
        self._change(task_id, Desired.PAUSED, "the task has paused")
        return {}

    def resume(self, task_id: str) -> dict[str, Any]:
        self._change(task_id, Desired.RUNNING, "the task has running")
        self._tickets.enqueue(task_id)
        return {}

    def get(self, task_id: str) -> dict[str, Any]:
        if not task_id:
            raise RefusedError("task_id is empty")
        task = self._store.get(task_id)
        if task is None or task.desired is Desired.DELETED:
            raise RefusedError(f"not found: [{shortened(task_id)}]")
        (view,) = self._views([task])
        view |= dead_letters_view(self._store.dead_letters.of_task(task_id))
        missing = self._shortage.of([task_id]).get(task_id, 0)
        view |= warnings_view(self._retention.warnings([task_id])[task_id], missing)
        return {"task": view, "Task": view}

    def tasks(self) -> dict[str, Any]:
        return {"tasks": self._views(self._store.snapshot().tasks)}

    def position(self, task_id: str) -> dict[str, Any]:
        """Of one task, or of all."""
        if task_id and not self._known(task_id):
            raise UnknownTaskError(task_id)
        ids = [task_id] if task_id else [task.id for task in self._store.snapshot().tasks]
        return positions_view(point for id_ in ids for point in self._store.checkpoints(id_))

    def _known(self, task_id: str) -> bool:
        task = self._store.get(task_id)
        return task is not None and task.desired is not Desired.DELETED

    def _fitted(self, spec: TaskSpec, snapshot: Snapshot) -> TaskSpec:
        """Beside the other tasks of its target. :raises RefusedError:"""
        if len(snapshot.tasks) >= self._settings.max_tasks:
            raise self._limit()
        others = [task.spec for task in snapshot.tasks if task.spec.target.identity == spec.target.identity]
        found = [*map(str, conflicts(spec, others)), *name_conflicts(spec, others)]
        if spec.enable_user_role:
            same = [other.task_id for other in others if other.enable_user_role]
            found += [
                f"extra_info.enable_user_role: the task {task} does that for this target already" for task in same
            ]
        if isinstance(spec.target, KafkaConnect):
            found += _other_forms(spec.target, others)
        if found:
            raise RefusedError.of(found)
        return spec.excluding(exclusions(spec, others))

    def _limit(self) -> RefusedError:
        return RefusedError(f"the number of tasks is at its limit of {self._settings.max_tasks}")

    def _change(self, task_id: str, desired: Desired, already: str) -> None:
        changed = self._store.set_desired(task_id, desired)
        if changed is Changed.UNKNOWN:
            raise UnknownTaskError(task_id)
        if changed is Changed.ALREADY:
            raise RefusedError(f"{already}, task_id: {task_id}")

    def _views(self, tasks: Sequence[Task]) -> list[dict[str, Any]]:
        troubles = self._store.troubles([task.id for task in tasks])
        return [task_view(task, troubles[task.id]) for task in tasks]


def _other_forms(target: KafkaConnect, others: Sequence[TaskSpec]) -> list[str]:
    """All tasks of a topic write the same kind of messages: its readers could not tell them apart."""
    told = (target.format, target.vectors)
    return [
        f"extension: the task {other.task_id} writes format {other.target.format} with vectors {other.target.vectors} "
        f"to the topic {target.topic!r}; expected the same, or another topic"
        for other in others
        if isinstance(other.target, KafkaConnect) and (other.target.format, other.target.vectors) != told
    ]
