"""Patterns: names of collections with `*` for any, and many of them at once. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from cdc_core.model.task import ANY

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, order=True)
class Pattern:
    """A database and a collection; `*` stands for any. Only a whole name is a wildcard, `a*` is not one."""

    database: str
    collection: str

    def covers(self, other: Pattern) -> bool:
        """Whether everything that `other` names is named by this one too."""
        return self.database in (ANY, other.database) and self.collection in (ANY, other.collection)

    def intersection(self, other: Pattern) -> Pattern | None:
        """What both name; None when there is nothing."""
        database = _common(self.database, other.database)
        collection = _common(self.collection, other.collection)
        return None if database is None or collection is None else Pattern(database, collection)

    @property
    def is_wildcard(self) -> bool:
        return ANY in (self.database, self.collection)

    @property
    def covering(self) -> tuple[Pattern, ...]:
        """All that cover it: itself, then a name before `*`, a database's name before any database."""
        wider = (Pattern(self.database, ANY), Pattern(ANY, self.collection), Pattern(ANY, ANY))
        return tuple(dict.fromkeys((self, *wider)))

    def __str__(self) -> str:
        return f"{self.database}.{self.collection}"


class Patterns(Generic[_Value]):
    """Values by pattern, several of one among them. Looks at what it finds, never at all: there may be thousands."""

    def __init__(self, entries: Iterable[tuple[Pattern, _Value]]) -> None:
        self._values: defaultdict[Pattern, list[_Value]] = defaultdict(list)
        for pattern, value in entries:
            self._values[pattern].append(value)
        self._databases: defaultdict[str, list[Pattern]] = defaultdict(list)
        self._collections: defaultdict[str, list[Pattern]] = defaultdict(list)
        for pattern in self._values:
            self._databases[pattern.database].append(pattern)
            self._collections[pattern.collection].append(pattern)

    def meeting(self, wanted: Pattern) -> Iterator[tuple[Pattern, _Value]]:
        """Those that have something in common with it."""
        for pattern in self._near(wanted):
            for value in self._values.get(pattern, ()):
                yield pattern, value

    def _near(self, wanted: Pattern) -> Iterable[Pattern]:
        if not wanted.is_wildcard:
            return wanted.covering
        if wanted.database != ANY:
            return (*self._databases.get(wanted.database, ()), *self._databases.get(ANY, ()))
        if wanted.collection != ANY:
            return (*self._collections.get(wanted.collection, ()), *self._collections.get(ANY, ()))
        return self._values


def _common(one: str, other: str) -> str | None:
    if one == ANY:
        return other
    return one if other in (ANY, one) else None
