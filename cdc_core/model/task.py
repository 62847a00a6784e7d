"""A task: what is replicated, whereto, from where on, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from cdc_core.model.connect import Connect, DialConfig, KafkaConnect, KafkaSasl, MilvusConnect
from cdc_core.model.position import Position
from cdc_core.model.rate import NO_LIMITS, RateLimits

__all__ = [
    "ANY",
    "Beginning",
    "BufferConfig",
    "CollectionSelector",
    "Desired",
    "DialConfig",
    "KafkaConnect",
    "KafkaSasl",
    "MilvusConnect",
    "NameMapping",
    "OnUndecodable",
    "RateLimits",
    "Task",
    "TaskSpec",
    "TaskState",
]

ANY = "*"
"""As a collection's name: all of them; as a database's name: any database."""


class Desired(StrEnum):
    """What the user wants of a task."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    DELETED = "DELETED"


class TaskState(StrEnum):
    """What the API shows. Initial becomes Running when the task's catalog has been claimed for the first time."""

    INITIAL = "Initial"
    RUNNING = "Running"
    PAUSED = "Paused"


class OnUndecodable(StrEnum):
    """What becomes of a message of the source that cannot be read; it is recorded as a dead letter in any case."""

    STOP = "stop"
    """Whose it is goes no further: a collection's channel, or the operations."""
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class CollectionSelector:
    """One entry of a selection: a collection's name or `*`, and where to start, keyed by vchannel."""

    name: str
    positions: Mapping[str, Position]
    use_start_position: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "positions": {channel: position.to_base64() for channel, position in self.positions.items()},
            "use_start_position": self.use_start_position,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CollectionSelector:
        positions = {channel: Position.from_base64(text) for channel, text in data["positions"].items()}
        return cls(data["name"], positions, data["use_start_position"])


@dataclass(frozen=True, slots=True)
class NameMapping:
    """Another database, and other collection names in it, on the target."""

    source_db: str
    target_db: str
    collections: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        return {"source_db": self.source_db, "target_db": self.target_db, "collections": dict(self.collections)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NameMapping:
        return cls(data["source_db"], data["target_db"], dict(data["collections"]))


@dataclass(frozen=True, slots=True)
class BufferConfig:
    """How much may wait before it is sent: seconds and bytes; 0 takes the default."""

    period: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What the user asked for with `create`; it never changes.

    `selectors` are keyed by database, `*` for any. `by_database` says which field the user filled: `db_collections`
    or `collection_infos`. `excluded` are (database, collection) patterns that other tasks of the same target covered
    when this one was made.
    """

    task_id: str
    target: Connect
    selectors: Mapping[str, tuple[CollectionSelector, ...]]
    by_database: bool = False
    excluded: tuple[tuple[str, str], ...] = ()
    op_position: Position | None = None
    name_mapping: tuple[NameMapping, ...] = ()
    enable_user_role: bool = False
    buffer_config: BufferConfig = BufferConfig()
    disable_auto_start: bool = False
    on_undecodable: OnUndecodable = OnUndecodable.STOP
    rate_limits: RateLimits = NO_LIMITS

    @property
    def ignores_partitions(self) -> bool:
        return isinstance(self.target, MilvusConnect) and self.target.ignore_partition

    def excluding(self, excluded: tuple[tuple[str, str], ...]) -> TaskSpec:
        return replace(self, excluded=excluded)

    def to_dict(self) -> dict[str, Any]:
        kind = "milvus" if isinstance(self.target, MilvusConnect) else "kafka"
        return {
            "task_id": self.task_id,
            "target": {kind: self.target.to_dict()},
            "selectors": {
                database: [selector.to_dict() for selector in selectors]
                for database, selectors in self.selectors.items()
            },
            "by_database": self.by_database,
            "excluded": [list(pattern) for pattern in self.excluded],
            "op_position": self.op_position.to_base64() if self.op_position else None,
            "name_mapping": [mapping.to_dict() for mapping in self.name_mapping],
            "enable_user_role": self.enable_user_role,
            "buffer_config": {"period": self.buffer_config.period, "size": self.buffer_config.size},
            "disable_auto_start": self.disable_auto_start,
            "on_undecodable": self.on_undecodable.value,
            "rate_limits": self.rate_limits.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskSpec:
        target = data["target"]
        return cls(
            task_id=data["task_id"],
            target=MilvusConnect.from_dict(target["milvus"])
            if "milvus" in target
            else KafkaConnect.from_dict(target["kafka"]),
            selectors={
                database: tuple(CollectionSelector.from_dict(selector) for selector in selectors)
                for database, selectors in data["selectors"].items()
            },
            by_database=data["by_database"],
            excluded=tuple((database, collection) for database, collection in data["excluded"]),
            op_position=Position.from_base64(data["op_position"]) if data["op_position"] else None,
            name_mapping=tuple(NameMapping.from_dict(mapping) for mapping in data["name_mapping"]),
            enable_user_role=data["enable_user_role"],
            buffer_config=BufferConfig(**data["buffer_config"]),
            disable_auto_start=data["disable_auto_start"],
            on_undecodable=OnUndecodable(data.get("on_undecodable", OnUndecodable.STOP)),  # not in older specs
            rate_limits=RateLimits(**data.get("rate_limits", {})),  # nor these
        )


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where replication begins, fixed before `create` answers.

    Everything behind `tails` (keyed by pchannel, the op channel among them) is replicated. A collection that is not
    in `existing` is newer than the task and starts at its own start position.
    """

    tails: Mapping[str, Position]
    existing: frozenset[int]

    def to_dict(self) -> dict[str, Any]:
        return {
            "tails": {channel: position.to_base64() for channel, position in self.tails.items()},
            "existing": sorted(self.existing),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Beginning:
        tails = {channel: Position.from_base64(text) for channel, text in data["tails"].items()}
        return cls(tails, frozenset(data["existing"]))


@dataclass(frozen=True, slots=True)
class Task:
    """A task as it stands; `reason` says why it is Paused, or what it waits for; `created` is unix seconds."""

    spec: TaskSpec
    beginning: Beginning
    desired: Desired
    state: TaskState
    reason: str
    created: float

    @property
    def id(self) -> str:
        return self.spec.task_id

    def to_dict(self) -> dict[str, Any]:
        return {
            "spec": self.spec.to_dict(),
            "beginning": self.beginning.to_dict(),
            "desired": self.desired.value,
            "state": self.state.value,
            "reason": self.reason,
            "created": self.created,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Task:
        return cls(
            TaskSpec.from_dict(data["spec"]),
            Beginning.from_dict(data["beginning"]),
            Desired(data["desired"]),
            TaskState(data["state"]),
            data["reason"],
            data["created"],
        )
