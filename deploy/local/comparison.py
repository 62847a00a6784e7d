"""What two collections differ in, found by a walk along both. Pure."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SHOWN = 5  # keys named in a message

Row = tuple[Any, dict[str, Any]]
"""A primary key and all columns."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`rows_*` are distinct keys, `count_*` what count(*) says; keys as (partition, primary key)."""

    collection: str
    rows_source: int
    rows_target: int
    count_source: int
    count_target: int
    missing: tuple[tuple[str, Any], ...]
    surplus: tuple[tuple[str, Any], ...]
    different: tuple[tuple[str, Any], ...]
    schema: tuple[str, ...] = ()

    @property
    def mismatches(self) -> int:
        """What is not as it should be: rows, each copy too many or too few, properties of the collection."""
        doubled = abs(self.count_target - self.rows_target - (self.count_source - self.rows_source))
        return len(self.missing) + len(self.surplus) + len(self.different) + doubled + len(self.schema)

    @property
    def same_rows(self) -> bool:
        """But for how often each is stored."""
        return not (self.missing or self.surplus or self.different or self.schema)

    @property
    def equal(self) -> bool:
        return self.mismatches == 0

    def __str__(self) -> str:
        keys = {"missing": self.missing, "surplus": self.surplus, "different": self.different}
        parts = [
            f"rows {self.rows_source} and {self.rows_target}, count(*) {self.count_source} and {self.count_target}",
            *self.schema,
            *(_shown(name, found) for name, found in keys.items() if found),
        ]
        return f"{self.collection}: {'; '.join(parts)}"


class Tally:
    """What a walk along both sides, in the keys' order, has found so far."""

    def __init__(self) -> None:
        self.rows_source = self.rows_target = 0
        self.missing: list[tuple[str, Any]] = []
        self.surplus: list[tuple[str, Any]] = []
        self.different: list[tuple[str, Any]] = []

    def add(
        self,
        partition: str,
        source: Iterator[Row],
        target: Iterator[Row],
    ) -> None:
        """Both in the order of their keys, each key once a side."""
        ours = ((key, 0, row) for key, row in source)
        theirs = ((key, 1, row) for key, row in target)
        waiting: Row | None = None  # a row of the source whose twin would come next
        for key, side, row in heapq.merge(ours, theirs, key=lambda entry: entry[:2]):
            if side == 0:
                self.rows_source += 1
                if waiting:
                    self.missing.append((partition, waiting[0]))
                waiting = (key, row)
                continue
            self.rows_target += 1
            if waiting is None or waiting[0] != key:
                self.surplus.append((partition, key))
                continue
            if waiting[1] != row:
                self.different.append((partition, key))
            waiting = None
        if waiting:
            self.missing.append((partition, waiting[0]))


def _shown(name: str, keys: tuple[tuple[str, Any], ...]) -> str:
    return f"{len(keys)} {name}: {', '.join(map(str, keys[:_SHOWN]))}{' ...' if len(keys) > _SHOWN else ''}"
