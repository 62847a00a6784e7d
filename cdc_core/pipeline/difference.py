"""What keeps the target's collection from serving as the source's does. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cdc_core.model.catalog import Collection, Index, Serving
from cdc_core.sink.base import TargetCollection


class Kind(StrEnum):
    """Of an object."""

    DATABASE = "database"
    COLLECTION = "collection"
    PARTITION = "partition"
    INDEX = "index"
    LOAD = "load"
    ALIAS = "alias"
    PROPERTY = "property"


class State(StrEnum):
    """Of the target's object, seen from the source."""

    MISSING = "missing"
    SURPLUS = "surplus"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Difference:
    """One object; `database` and `collection` are the source's names, `detail` says what is where."""

    kind: Kind
    state: State
    database: str
    collection: str
    name: str = ""
    detail: str = ""

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        where = ".".join(filter(None, (self.database, self.collection)))
        return f"{self.kind}{name} of {where} is {self.state}" + (f": {self.detail}" if self.detail else "")

    def to_dict(self) -> dict[str, str]:
        return {
            "kind": self.kind.value,
            "state": self.state.value,
            "database": self.database,
            "collection": self.collection,
            "name": self.name,
            "detail": self.detail,
        }


def of_names(source: Collection, target: TargetCollection, own: frozenset[str]) -> Iterator[Difference]:
    """Aliases and properties. `own` aliases were made by the task: only they can be surplus."""
    about = (source.database, source.name)
    for alias in sorted(source.aliases - target.aliases):
        yield Difference(Kind.ALIAS, State.MISSING, *about, alias)
    for alias in sorted((target.aliases - source.aliases) & own):
        yield Difference(Kind.ALIAS, State.SURPLUS, *about, alias)
    yield from _of_maps(Kind.PROPERTY, source, source.properties, target.properties)


def of_partitions(source: Collection, target: TargetCollection, mapped: frozenset[int]) -> Iterator[Difference]:
    """By name; `mapped` target ids were made for partitions of the source: only they can be surplus."""
    about = (source.database, source.name)
    wanted = {partition.name for partition in source.partitions if partition.state == 0}
    for name in sorted(wanted - set(target.partitions)):
        yield Difference(Kind.PARTITION, State.MISSING, *about, name)
    for name, number in sorted(target.partitions.items()):
        if name not in wanted and number in mapped:
            yield Difference(Kind.PARTITION, State.SURPLUS, *about, name)


def of_serving(source: Collection, ours: Serving, theirs: Serving) -> Iterator[Difference]:
    """Indexes and the load."""
    about = (source.database, source.name)
    mine, other = _by_name(ours), _by_name(theirs)
    for name, index in mine.items():
        if name not in other:
            yield Difference(Kind.INDEX, State.MISSING, *about, name, f"on field {index.field!r}")
        elif found := _index_difference(index, other[name]):
            yield Difference(Kind.INDEX, State.DIFFERENT, *about, name, found)
    for name in sorted(other.keys() - mine.keys()):
        yield Difference(Kind.INDEX, State.SURPLUS, *about, name, f"on field {other[name].field!r}")
    if ours.replicas and not theirs.replicas:
        yield Difference(Kind.LOAD, State.MISSING, *about)
    if theirs.replicas and not ours.replicas:
        yield Difference(Kind.LOAD, State.SURPLUS, *about)


def _by_name(serving: Serving) -> dict[str, Index]:
    return {index.name: index for index in serving.indexes}


def _index_difference(ours: Index, theirs: Index) -> str:
    if ours.field != theirs.field:
        return f"on field {ours.field!r}, on the target {theirs.field!r}"
    for name in ("index_type", "metric_type"):
        mine, other = ours.params.get(name), theirs.params.get(name)
        if mine != other:
            return f"{name} {mine}, on the target {other}"
    return ""


def _of_maps(
    kind: Kind, source: Collection, ours: Mapping[str, str], theirs: Mapping[str, str]
) -> Iterator[Difference]:
    for name, value in sorted(ours.items()):
        if name not in theirs:
            yield Difference(kind, State.MISSING, source.database, source.name, name, value)
        elif theirs[name] != value:
            detail = f"{value}, on the target {theirs[name]}"
            yield Difference(kind, State.DIFFERENT, source.database, source.name, name, detail)
