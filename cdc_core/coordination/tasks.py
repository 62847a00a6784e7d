"""The tasks in Redis: made, looked at, and what is wanted of them changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import redis

from cdc_core.coordination.client import answering
from cdc_core.coordination.dead_letters import DeadLetters
from cdc_core.coordination.late_writes import LateWrites
from cdc_core.coordination.leases import ChannelKey
from cdc_core.coordination.origin import Origin
from cdc_core.coordination.scripts import script
from cdc_core.coordination.secrets import Secrets
from cdc_core.errors import CdcError
from cdc_core.model.channel import VChannel
from cdc_core.model.plan import Plan
from cdc_core.model.position import Position
from cdc_core.model.task import Beginning, Desired, Task, TaskSpec, TaskState
from cdc_core.names import CATALOG, OP_COLLECTION_ID, SCHEMA_VERSION, Keys, object_note


class SchemaError(CdcError):
    """What Redis holds was written by another version of this system."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"the Redis of the state holds schema version {found}, this process works on {SCHEMA_VERSION}: "
            "run the version that wrote it, or give this one another Redis database"
        )


class Created(StrEnum):
    """How `create` ended."""

    CREATED = "CREATED"
    EXISTS = "EXISTS"
    """A task of that id exists; nothing was changed."""
    DELETING = "DELETING"
    """A task of that id is still being deleted."""
    STALE = "STALE"
    """Tasks were made or deleted since `snapshot`: look at them again."""
    LIMIT = "LIMIT"
    """There are as many tasks as there may be."""


class Changed(StrEnum):
    """How `set_desired` ended."""

    CHANGED = "CHANGED"
    ALREADY = "ALREADY"
    """It is paused, or running, already."""
    UNKNOWN = "UNKNOWN"
    """There is no such task, or it is being deleted."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a channel is, at the source and, where it is known, on the target; the op channel's id is -10."""

    channel: str
    collection_id: int
    position: Position
    target_position: Position | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All tasks that are not being deleted, oldest first, and the revision they were seen at."""

    revision: str
    tasks: tuple[Task, ...]


class TaskStore:
    """All tasks of one state. Thread-safe; every change is one atomic script.

    The client decodes its answers (`coordination.client.connect`). Every call raises `StateUnavailable` when Redis
    does not answer and `SchemaError` when it holds another version's state; what returns tasks raises
    `SecretsError` when they were encrypted with another key.
    """

    def __init__(self, client: redis.Redis, keys: Keys, secrets: Secrets) -> None:
        self.dead_letters = DeadLetters(client, keys)
        self.late_writes = LateWrites(client, keys)
        self._client = client
        self._keys = keys
        self._secrets = secrets
        self._origin = Origin(client, keys)
        self._create = script(client, "task_create")
        self._desire = script(client, "task_desire")
        self._stop = script(client, "task_stop")
        self._forget = script(client, "forget")

    def check(self) -> None:
        """Redis answers and holds this version's state, the one it held at the first check.

        :raises StateLost: it does not hold that any more.
        """
        with answering():
            schema, origin = cast("list[str | None]", self._client.mget(self._keys.schema, self._keys.origin))
            _check_schema(schema)
            self._origin.check(origin)

    def create(self, task: Task, revision: str, limit: int) -> Created:
        """Store it, with its catalog's record, if the tasks are still those of `Snapshot.revision`."""
        keys, id_ = self._keys, task.id
        names = [keys.schema, keys.tasks, keys.tasks_revision, keys.task(id_), keys.channels(id_)]
        names += [keys.channel(id_, CATALOG), keys.wake, keys.source_clock]
        spec = json.dumps(self._secrets.seal(task.spec.to_dict()))
        args = [SCHEMA_VERSION, keys.task(""), str(limit), revision]
        args += [id_, spec, json.dumps(task.beginning.to_dict()), repr(task.created), CATALOG]
        args += [str(max((tail.timestamp.ms for tail in task.beginning.tails.values()), default=0))]
        with answering():
            return Created(_answer(self._create(keys=names, args=args)))

    def get(self, task_id: str) -> Task | None:
        """The task, also one that is being deleted; None when there is none."""
        with answering():
            pipe = self._client.pipeline(transaction=False)
            pipe.get(self._keys.schema)
            pipe.hgetall(self._keys.task(task_id))
            schema, fields = pipe.execute()
        _check_schema(schema)
        return self._task(fields)

    def all(self) -> list[Task]:
        """Every task, also those being deleted, oldest first."""
        return self._read()[1]

    def snapshot(self) -> Snapshot:
        """The tasks that are not being deleted, and the revision for `create`."""
        revision, tasks = self._read()
        return Snapshot(revision, tuple(task for task in tasks if task.desired is not Desired.DELETED))

    def set_desired(self, task_id: str, desired: Desired) -> Changed:
        """Pause, resume or delete. A resume clears the reasons and back-offs of the task and of its channels."""
        keys = self._keys
        names = [keys.schema, keys.tasks_revision, keys.task(task_id), keys.channels(task_id), keys.wake]
        args = [SCHEMA_VERSION, desired.value, task_id, keys.channel(task_id, "")]
        with answering():
            return Changed(_answer(self._desire(keys=names, args=args)))

    def stop(self, task_id: str, reason: str) -> None:
        """Pause it because it cannot go on by itself; the reason says what to do before a resume."""
        with answering():
            self._stop(keys=[self._keys.task(task_id), self._keys.wake], args=[reason, task_id])

    def forget(self, task_id: str) -> None:
        """Remove everything of a deleted task of which nothing runs any more."""
        keys = self._keys
        with answering():
            channels = cast("set[str]", self._client.smembers(keys.channels(task_id)))
            names: list[str] = []
            for pattern in (keys.objects_of(task_id), keys.barriers_of(task_id)):
                names += cast("Iterator[str]", self._client.scan_iter(match=pattern, count=1000))
            names += [keys.channels(task_id), keys.wanted(task_id), keys.barriers(task_id), keys.ops(task_id)]
            names += [keys.intents(task_id), keys.requests(task_id)]
            names += [keys.dead_letters(task_id), keys.dead_letter_places(task_id), keys.retention(task_id)]
            made = self._made_only_by(task_id)
            pipe = self._client.pipeline()
            for target, note in made:
                pipe.hdel(keys.target(target), note)
            for name in channels:  # with the hold that a killed worker may have left at a gate
                member = ChannelKey(task_id, name).member
                channel = keys.channel(task_id, name)
                self._forget(keys=[channel, keys.channels(task_id)], args=[name, member], client=pipe)
            pipe.delete(*names)
            pipe.srem(keys.tasks, task_id)
            pipe.delete(keys.task(task_id))
            pipe.execute()

    def _made_only_by(self, task_id: str) -> set[tuple[str, str]]:
        """Targets, and the notes there of its collections: whoever comes next makes them anew. Not those that a task of
        that target has taken over already."""
        ids = cast("set[str]", self._client.smembers(self._keys.tasks)) | {task_id}
        notes: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
        for task, channels in self._channels(list(ids), ("plan",)).items():
            for plan in (Plan.from_json(text) for (text,) in channels.values() if text):
                note = object_note(plan.target_database, plan.target_collection)
                notes[task == task_id].add((plan.target, note))
        return notes[True] - notes[False]

    def checkpoints(self, task_id: str) -> list[Checkpoint]:
        """Of every channel that has one, the op channel first, then by name."""
        found = self._channels([task_id], ("position", "target_position"))[task_id]
        points = [_checkpoint(name, *fields) for name, fields in found.items() if fields[0]]
        return sorted(points, key=lambda point: (point.collection_id != OP_COLLECTION_ID, point.channel))

    def troubles(self, task_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """By task and channel: why it has stopped, or what it waits for."""
        found = self._channels(task_ids, ("unsettled_reason", "stopped", "reason"))
        return {
            task: {name: _trouble(*reasons) for name, reasons in channels.items() if any(reasons)}
            for task, channels in found.items()
        }

    def _read(self) -> tuple[str, list[Task]]:
        """The revision is read first: a change during the reading makes it stale."""
        with answering():
            pipe = self._client.pipeline(transaction=False)
            pipe.get(self._keys.schema)
            pipe.get(self._keys.tasks_revision)
            pipe.smembers(self._keys.tasks)
            schema, revision, ids = pipe.execute()
            _check_schema(schema)
            pipe = self._client.pipeline(transaction=False)
            for task_id in ids:
                pipe.hgetall(self._keys.task(task_id))
            found = [self._task(fields) for fields in pipe.execute()]
        tasks = sorted((task for task in found if task), key=lambda task: (task.created, task.id))
        return revision or "0", tasks

    def _task(self, fields: Mapping[str, str]) -> Task | None:
        if "spec" not in fields:
            return None
        return Task(
            TaskSpec.from_dict(self._secrets.unseal(json.loads(fields["spec"]))),
            Beginning.from_dict(json.loads(fields["begin"])),
            Desired(fields["desired"]),
            TaskState(fields["state"]),
            fields.get("reason", ""),
            float(fields["created"]),
        )

    def _channels(self, task_ids: Iterable[str], fields: Sequence[str]) -> dict[str, dict[str, list[str | None]]]:
        """Fields of all channels of some tasks, in two trips."""
        tasks = list(task_ids)
        with answering():
            pipe = self._client.pipeline(transaction=False)
            for task in tasks:
                pipe.smembers(self._keys.channels(task))
            names = [(task, name) for task, found in zip(tasks, pipe.execute(), strict=True) for name in sorted(found)]
            pipe = self._client.pipeline(transaction=False)
            for task, name in names:
                pipe.hmget(self._keys.channel(task, name), fields)
            answer: dict[str, dict[str, list[str | None]]] = {task: {} for task in tasks}
            for (task, name), values in zip(names, pipe.execute(), strict=True):
                answer[task][name] = values
        return answer


def _answer(raw: Any) -> str:
    word, _, version = str(raw).partition(" ")
    if word == "SCHEMA":
        raise SchemaError(version)
    return word


def _check_schema(found: str | None) -> None:
    if found not in (None, SCHEMA_VERSION):
        raise SchemaError(str(found))


def _trouble(given_up: str | None, stopped: str | None, reason: str | None) -> str:
    if given_up:
        return f"{given_up} (a part of it may be on the target: drop the collection there and make the task anew)"
    return stopped or reason or ""


def _checkpoint(name: str, position: str | None, target: str | None) -> Checkpoint:
    at = Position.from_base64(position or "")
    on_target = Position.from_base64(target) if target else None
    if name == CATALOG:
        return Checkpoint(at.channel, OP_COLLECTION_ID, at, on_target)
    return Checkpoint(name, VChannel.parse(name).collection_id, at, on_target)
