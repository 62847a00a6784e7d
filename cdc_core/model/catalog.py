"""What exists at the source: databases, collections, partitions, aliases, and what serves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from cdc_core.model.channel import VChannel
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso

DEFAULT_DATABASE = "default"


class ObjectState(IntEnum):
    """Of a collection or a partition, as rootcoord writes it."""

    CREATED = 0
    CREATING = 1
    DROPPING = 2
    DROPPED = 3


@dataclass(frozen=True, slots=True)
class Database:
    id: int
    name: str
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Partition:
    id: int
    name: str
    created: Tso
    state: ObjectState


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of the source.

    `schema` is a serialized `schema.CollectionSchema` with the user's fields (id >= 100, in id order, `$meta`
    included where there is one); `start_positions` are keyed by pchannel.
    """

    id: int
    database: str
    name: str
    created: Tso
    state: ObjectState
    schema: bytes
    vchannels: tuple[VChannel, ...]
    start_positions: Mapping[str, Position]
    consistency_level: int
    properties: Mapping[str, str]
    partitions: tuple[Partition, ...]
    aliases: frozenset[str] = frozenset()

    @property
    def shards(self) -> int:
        return len(self.vchannels)


@dataclass(frozen=True, slots=True)
class Index:
    """Of one field, by its name; `params` as the user gave them (`index_type`, `metric_type`, `params`, ...)."""

    name: str
    field: str
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Serving:
    """What makes a collection searchable: its indexes, and in how many replicas it is loaded, 0 when it is not."""

    indexes: tuple[Index, ...] = ()
    replicas: int = 0


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything at one etcd revision."""

    revision: int
    databases: Mapping[int, Database]
    collections: Mapping[int, Collection]
