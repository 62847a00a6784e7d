"""What the synthetic source has: collections, their shards, and which of them get rows from when on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cdc_core.codec.protobuf import common_pb2, schema_pb2
from cdc_core.model.catalog import Collection, ObjectState, Partition
from cdc_core.model.channel import VChannel
from cdc_core.model.timestamp import Tso

TICK_MS = 200
"""As a Milvus ticks."""
PREFIX = "by-dev"
SHARDS = 2
DIM = 128
LOAD_KEY = "bench:load"
"""In the state's Redis: the present `Load`."""

_FIRST_ID = 440_000_000_000_000_000
_FIELDS = (
    schema_pb2.FieldSchema(fieldID=100, name="id", data_type=schema_pb2.DataType.Int64, is_primary_key=True),
    schema_pb2.FieldSchema(
        fieldID=101,
        name="vector",
        data_type=schema_pb2.DataType.FloatVector,
        type_params=[common_pb2.KeyValuePair(key="dim", value=str(DIM))],
    ),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """In the environment of every worker (`to_environment`). `began` in unix ms, a multiple of a tick."""

    began: int
    vchannels: int
    source_pchannels: int = 16
    target_pchannels: int = 16

    @classmethod
    def from_environment(cls) -> Shape:
        numbers = os.environ["BENCH_SHAPE"].split(",")
        return cls(*map(int, numbers))

    def to_environment(self) -> Mapping[str, str]:
        numbers = (self.began, self.vchannels, self.source_pchannels, self.target_pchannels)
        return {"BENCH_SHAPE": ",".join(map(str, numbers))}

    @property
    def pchannels(self) -> tuple[str, ...]:
        return tuple(f"{PREFIX}-rootcoord-dml_{number}" for number in range(self.source_pchannels))

    def collections(self) -> list[Collection]:
        """In the order of their ids; the first ones are those that get rows."""
        names = self.pchannels
        made = []
        for number in range(self.vchannels // SHARDS):
            id_ = _FIRST_ID + number * 100
            created = Tso.of(self.began)
            schema = schema_pb2.CollectionSchema(name=f"c{number}", fields=_FIELDS)
            channels = [VChannel(names[(number * SHARDS + s) % len(names)], id_, s) for s in range(SHARDS)]
            made.append(
                Collection(
                    id=id_,
                    database="default",
                    name=f"c{number}",
                    created=created,
                    state=ObjectState.CREATED,
                    schema=schema.SerializeToString(),
                    vchannels=tuple(channels),
                    start_positions={},
                    consistency_level=2,
                    properties={},
                    partitions=(Partition(id_ + 1, "_default", created, ObjectState.CREATED),),
                )
            )
        return made


@dataclass(frozen=True, slots=True)
class Load:
    """Of the ticks `first` to `last` every `every`-th brings `rows` rows to each vchannel of the first collections."""

    first: int = 0
    last: int = -1
    collections: int = 0
    rows: int = 10
    every: int = 5

    @classmethod
    def parse(cls, text: str | None) -> Load:
        return cls(*map(int, text.split(","))) if text else cls()

    def __str__(self) -> str:
        return f"{self.first},{self.last},{self.collections},{self.rows},{self.every}"

    def is_due(self, collection: int, tick: int) -> bool:
        """Whether the collection of that number gets rows with that tick."""
        return (
            self.first <= tick <= self.last and collection < self.collections and (tick + collection) % self.every == 0
        )

    @property
    def total(self) -> int:
        """Rows in all."""
        ticks = range(self.first, self.last + 1)
        return (
            sum(self.is_due(number, tick) for number in range(self.collections) for tick in ticks) * self.rows * SHARDS
        )
