"""Selection: which collections a task replicates, and which of its target's tasks takes which. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cdc_core.model.task import ANY, CollectionSelector, TaskSpec
from cdc_core.transform.pattern import Pattern, Patterns


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
    _selectors: dict[Pattern, CollectionSelector] = field(init=False, repr=False, compare=False)
    _left_out: frozenset[Pattern] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_selectors", dict(reversed(self.rules)))  # the first of a name counts
        object.__setattr__(self, "_left_out", frozenset(self.excluded))

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
        older = [cls.of(other) for other in others]
        return cls(own.rules, tuple(sorted({*own.excluded, *own._overlap(older)}))) if older else own

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        return tuple(pattern for pattern, _ in self.rules)

    def match(self, database: str, collection: str) -> CollectionSelector | None:
        """The entry that selects this collection: a name before `*`, a database's name before any database."""
        found = self._covering(Pattern(database, collection))
        return self._selectors[found] if found else None

    def has_whole(self, database: str) -> bool:
        """Whether all collections of that database are selected, those to come too."""
        everything = Pattern(database, ANY)
        return any(pattern in self._selectors for pattern in everything.covering) and everything not in self._left_out

    def covers(self, other: Selection) -> bool:
        """Whether everything that `other` names is replicated by this one."""
        return all(self._covering(pattern) for pattern in other.patterns)

    def conflicts(self, task_id: str, existing: Selection) -> tuple[Conflict, ...]:
        """The names of this new task that the task `task_id` of the same target replicates already."""
        found = ((pattern, existing._covering(pattern)) for pattern in self.patterns)
        return tuple(Conflict(pattern, task_id, covering) for pattern, covering in found if covering)

    def leaves_out(self, wanted: Pattern) -> bool:
        """Whether all of it is left to another task of the target."""
        return not self._left_out.isdisjoint(wanted.covering)

    def _covering(self, wanted: Pattern) -> Pattern | None:
        if self.leaves_out(wanted):
            return None
        return next((pattern for pattern in wanted.covering if pattern in self._selectors), None)

    def _overlap(self, others: Iterable[Selection]) -> Iterator[Pattern]:
        """What others name, too, less what they leave out."""
        own = Patterns((pattern, None) for pattern in self.patterns)
        for other in others:
            for theirs in other.patterns:
                for mine, _ in own.meeting(theirs):
                    common = mine.intersection(theirs)
                    if common and not other.leaves_out(common):
                        yield common


def conflicts(spec: TaskSpec, others: Iterable[TaskSpec]) -> tuple[Conflict, ...]:
    """What forbids the new task beside the other tasks of its target; empty when it may be made."""
    new = Selection.of(spec)
    return tuple(conflict for other in others for conflict in new.conflicts(other.task_id, Selection.of(other)))


def exclusions(spec: TaskSpec, others: Iterable[TaskSpec]) -> tuple[tuple[str, str], ...]:
    """What the new task has to leave out, for `TaskSpec.excluding`; sorted, so that it is the same every time."""
    return tuple((pattern.database, pattern.collection) for pattern in Selection.of(spec, others).excluded)
