"""Names: what a database or a collection of the source is called on the target. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from cdc_core.model.catalog import Collection
from cdc_core.model.task import ANY, NameMapping, TaskSpec
from cdc_core.transform.filter import Selection
from cdc_core.transform.pattern import Pattern, Patterns


@dataclass(frozen=True, slots=True)
class Names:
    """The mapping of one task. A database without an entry, and a collection without one in its, keep their names."""

    mappings: tuple[NameMapping, ...] = ()
    _by_source: dict[str, NameMapping] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        first = {mapping.source_db: mapping for mapping in reversed(self.mappings)}
        object.__setattr__(self, "_by_source", first)

    def database(self, database: str) -> str:
        found = self._by_source.get(database)
        return found.target_db if found else database

    def collection(self, database: str, name: str) -> tuple[str, str]:
        """Database and collection of the target; `*` stays `*`."""
        found = self._by_source.get(database)
        return (found.target_db, found.collections.get(name, name)) if found else (database, name)

    def of(self, collection: Collection) -> Collection:
        """The same under the target's names."""
        database, name = self.collection(collection.database, collection.name)
        return replace(collection, database=database, name=name)


def mistakes(spec: TaskSpec) -> Iterator[str]:
    """What is wrong with the mapping of a new task, in words."""
    selection = Selection.of(spec)
    entries = Counter(mapping.source_db for mapping in spec.name_mapping)
    for database in sorted(database for database, count in entries.items() if count > 1):
        yield f"name_mapping: source_db {database!r} has several entries, give one"
    selected = Patterns((pattern, None) for pattern in selection.patterns)
    for mapping in spec.name_mapping:
        for collection in mapping.collections or (ANY,):
            wanted = Pattern(mapping.source_db, collection)
            if not any(selected.meeting(wanted)):
                yield f"name_mapping: {wanted} is not among the task's collections"
    taken: dict[Pattern, Pattern] = {}
    for source, target in _targets(spec):
        if source.is_wildcard:
            continue
        if target in taken:
            yield f"name_mapping: {taken[target]} and {source} would both be {target}"
        taken.setdefault(target, source)


def name_conflicts(spec: TaskSpec, others: Iterable[TaskSpec]) -> Iterator[str]:
    """Names of the target that another task of it writes, from other collections of the source; each of ours once."""
    ours = list(_targets(spec))
    for other in others:
        theirs = Patterns((target, source) for source, target in _targets(other))
        for source, target in ours:
            foreign = (each for each in theirs.meeting(target) if not source.intersection(each[1]))
            for their_target, their_source in islice(foreign, 1):
                yield (
                    f"{source} would be {target} on the target, "
                    f"where the task {other.task_id} writes {their_source} as {their_target}"
                )


def _targets(spec: TaskSpec) -> Iterator[tuple[Pattern, Pattern]]:
    """What is selected and what it is called, mapped collections one by one.

    What a `*` may yet find is not known here: it is refused when it is found (pipeline/collections.py).
    """
    names, selection = Names(spec.name_mapping), Selection.of(spec)
    mapped = {Pattern(mapping.source_db, name) for mapping in spec.name_mapping for name in mapping.collections}
    for each in sorted({*selection.patterns, *mapped}):
        if each.is_wildcard or selection.match(each.database, each.collection):
            yield each, Pattern(*names.collection(each.database, each.collection))
