"""Selection: which collections a task replicates, and which of its target's tasks takes which. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cdc_core.model.task import ANY, CollectionSelector, TaskSpec


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

    def __str__(self) -> str:
        return f"{self.database}.{self.collection}"


def _common(one: str, other: str) -> str | None:
    if one == ANY:
        return other
    return one if other in (ANY, one) else None


@dataclass(frozen=True, slots=True)
class Conflict:
    """A name of a new task that a task of the same target has already."""

    pattern: Pattern
    taken_by: str
    existing: Pattern

    def __str__(self) -> str:
        if self.pattern == self.existing:
            return f"{self.pattern} is replicated by the task {self.taken_by} already"
        return f"{self.pattern} is covered by {self.existing} of the task {self.taken_by}"


@dataclass(frozen=True, slots=True)
class Selection:
    """The rules of one task, in the order in which they are asked: the most specific name first."""

    rules: tuple[tuple[Pattern, CollectionSelector], ...]
    excluded: tuple[Pattern, ...]

    @classmethod
    def of(cls, spec: TaskSpec, others: Iterable[TaskSpec] = ()) -> Selection:
        """The selection of a stored task; `others`, tasks of the same target that are older, are left out too."""
        rules = [
            (Pattern(database, selector.name), selector)
            for database, selectors in spec.selectors.items()
            for selector in selectors
        ]
        rules.sort(key=lambda rule: (rule[0].database == ANY, rule[0].collection == ANY))
        own = cls(tuple(rules), tuple(Pattern(*names) for names in spec.excluded))
        left_out = {pattern for other in others for pattern in own._overlap(cls.of(other))}
        return cls(own.rules, tuple(sorted({*own.excluded, *left_out})))

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        return tuple(pattern for pattern, _ in self.rules)

    def match(self, database: str, collection: str) -> CollectionSelector | None:
        """The entry that selects this collection: a name before `*`, a database's name before any database."""
        wanted = Pattern(database, collection)
        if any(pattern.covers(wanted) for pattern in self.excluded):
            return None
        return next((selector for pattern, selector in self.rules if pattern.covers(wanted)), None)

    def has_whole(self, database: str) -> bool:
        """Whether all collections of that database are selected, those to come too."""
        everything = Pattern(database, ANY)
        return any(pattern.covers(everything) for pattern in self.patterns) and everything not in self.excluded

    def covers(self, other: Selection) -> bool:
        """Whether everything that `other` names is replicated by this one."""
        return all(self._covering(pattern) for pattern in other.patterns)

    def conflicts(self, task_id: str, existing: Selection) -> tuple[Conflict, ...]:
        """The names of this new task that the task `task_id` of the same target replicates already."""
        found = ((pattern, existing._covering(pattern)) for pattern in self.patterns)
        return tuple(Conflict(pattern, task_id, covering) for pattern, covering in found if covering)

    def _covering(self, wanted: Pattern) -> Pattern | None:
        if any(pattern.covers(wanted) for pattern in self.excluded):
            return None
        return next((pattern for pattern in self.patterns if pattern.covers(wanted)), None)

    def _overlap(self, existing: Selection) -> set[Pattern]:
        """What both name, less what the existing one leaves out."""
        common = {mine.intersection(theirs) for mine in self.patterns for theirs in existing.patterns}
        return {
            pattern
            for pattern in common
            if pattern and not any(excluded.covers(pattern) for excluded in existing.excluded)
        }


def conflicts(spec: TaskSpec, others: Iterable[TaskSpec]) -> tuple[Conflict, ...]:
    """What forbids the new task beside the other tasks of its target; empty when it may be made."""
    new = Selection.of(spec)
    return tuple(conflict for other in others for conflict in new.conflicts(other.task_id, Selection.of(other)))


def exclusions(spec: TaskSpec, others: Iterable[TaskSpec]) -> tuple[tuple[str, str], ...]:
    """What the new task has to leave out, for `TaskSpec.excluding`; sorted, so that it is the same every time."""
    return tuple((pattern.database, pattern.collection) for pattern in Selection.of(spec, others).excluded)
