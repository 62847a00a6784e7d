"""A seeded script of changes at the source and of troubles of ours: data, so that a failing one can be cut and kept."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.workload import DEFAULT_PARTITION, SHAPES, Shape

DATABASES = ("one", "two", "three")
_MOST_COLLECTIONS = 4
_MOST_PARTITIONS = 3
_NAMES = tuple(f"c{number}" for number in range(6))
_ALIASES = tuple(f"x{number}" for number in range(3))
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: `do` names a method of `Player`, the rest are its arguments."""

    do: str
    args: tuple[Any, ...]

    def __str__(self) -> str:
        """For people: `repr` is what can be kept in a test."""
        return f"{self.do} {' '.join(_shown(each) for each in self.args)}"


@dataclass(slots=True)
class _Table:
    """What the source has of a collection; `keys` by partition, unknown for what the source numbers itself."""

    shape: int
    keys: dict[str, list[int]] = field(default_factory=lambda: {DEFAULT_PARTITION: []})
    indexed: bool = True
    loaded: bool = True

    @property
    def kind(self) -> Shape:
        return SHAPES[self.shape]


class Script:
    """Makes steps of which every one succeeds at a healthy source. Pure: equal seeds make equal scripts."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._databases: dict[str, dict[str, _Table]] = {}
        self._aliases: dict[tuple[str, str], str] = {}
        self._down: set[int] = set()
        self._paused = False
        self._next_key = 0

    def steps(self, count: int) -> Iterator[Step]:
        """So many, and what brings everything of ours back."""
        yield from self._create_database()
        made = 0
        while made < count:
            for step in self._rng.choices(list(self._chances), list(self._chances.values()))[0](self):
                made += 1
                yield step
        yield from self._bring_back()

    # of the source

    def _create_database(self) -> Iterator[Step]:
        if left := [name for name in DATABASES if name not in self._databases]:
            self._databases[left[0]] = {}
            yield Step("create_database", (left[0],))
            yield from self._create_collection(left[0])

    def _drop_database(self) -> Iterator[Step]:
        if len(self._databases) > 1:
            name = self._rng.choice(sorted(self._databases))
            for collection in list(self._databases[name]):
                yield from self._drop(name, collection)
            del self._databases[name]
            yield Step("drop_database", (name,))

    def _create_collection(self, database: str = "") -> Iterator[Step]:
        database = database or self._rng.choice(sorted(self._databases))
        free = [name for name in _NAMES if name not in self._databases[database]]
        if len(self._databases[database]) < _MOST_COLLECTIONS:
            yield from self._create(database, self._rng.choice(free), self._rng.randrange(len(SHAPES)))

    def _create(self, database: str, name: str, shape: int) -> Iterator[Step]:
        self._databases[database][name] = _Table(shape)
        yield Step("create_collection", (database, name, shape))

    def _drop_collection(self) -> Iterator[Step]:
        if found := self._some():
            yield from self._drop(*found)

    def _drop(self, database: str, name: str) -> Iterator[Step]:
        for (where, alias), collection in list(self._aliases.items()):
            if (where, collection) == (database, name):
                yield from self._unalias(database, alias)
        del self._databases[database][name]
        yield Step("drop_collection", (database, name))

    def _recreate_collection(self) -> Iterator[Step]:
        """Under its name, of the same shape or another one, with rows at once."""
        if found := self._some():
            shape = self._databases[found[0]][found[1]].shape
            yield from self._drop(*found)
            yield from self._create(*found, self._rng.choice([shape, self._rng.randrange(len(SHAPES))]))
            yield from self._insert_into(*found)

    def _rename_collection(self) -> Iterator[Step]:
        if found := self._some():
            database, name = found
            new = self._rng.choice([each for each in _NAMES if each not in self._databases[database]])
            self._databases[database][new] = self._databases[database].pop(name)
            for key, collection in self._aliases.items():
                if (key[0], collection) == (database, name):
                    self._aliases[key] = new
            yield Step("rename_collection", (database, name, new))

    def _create_alias(self) -> Iterator[Step]:
        """Or move it."""
        if found := self._some():
            database, name = found
            alias = self._rng.choice(_ALIASES)
            known = (database, alias) in self._aliases
            self._aliases[database, alias] = name
            yield Step("alter_alias" if known else "create_alias", (database, name, alias))

    def _drop_alias(self) -> Iterator[Step]:
        if self._aliases:
            yield from self._unalias(*self._rng.choice(sorted(self._aliases)))

    def _unalias(self, database: str, alias: str) -> Iterator[Step]:
        del self._aliases[database, alias]
        yield Step("drop_alias", (database, alias))

    def _create_partition(self) -> Iterator[Step]:
        if found := self._some(lambda table: table.kind.partitions and len(table.keys) <= _MOST_PARTITIONS):
            name = f"p{self._key()}"
            self._table(found).keys[name] = []
            yield Step("create_partition", (*found, name))

    def _drop_partition(self) -> Iterator[Step]:
        """With the rows that were written to it a moment ago."""
        if found := self._some(lambda table: len(table.keys) > 1):
            name = self._rng.choice(sorted(self._table(found).keys.keys() - {DEFAULT_PARTITION}))
            yield from self._insert_into(*found, name)
            del self._table(found).keys[name]
            yield Step("drop_partition", (*found, name))
            if self._rng.random() < 0.4:
                self._table(found).keys[name] = []
                yield Step("create_partition", (*found, name))
                yield from self._insert_into(*found, name)

    def _change_index(self) -> Iterator[Step]:
        if found := self._some():
            table = self._table(found)
            yield from self._set_loaded(found, loaded=False)
            if table.indexed:
                table.indexed = False
                yield Step("drop_index", found)
            if self._rng.random() < 0.7:
                yield from self._serve(found)

    def _serve(self, found: tuple[str, str]) -> Iterator[Step]:
        table = self._table(found)
        if not table.indexed:
            table.indexed = True
            yield Step("create_index", (*found, self._rng.choice(["L2", "IP"])))
        yield from self._set_loaded(found, loaded=True)

    def _change_load(self) -> Iterator[Step]:
        if found := self._some(lambda table: table.indexed):
            yield from self._set_loaded(found, loaded=not self._table(found).loaded)

    def _set_loaded(self, found: tuple[str, str], *, loaded: bool) -> Iterator[Step]:
        table = self._table(found)
        if table.loaded != loaded:
            table.loaded = loaded
            yield Step("load" if loaded else "release", found)

    def _flush(self) -> Iterator[Step]:
        if found := self._some():
            yield Step("flush", found)

    def _insert(self) -> Iterator[Step]:
        if found := self._some():
            yield from self._insert_into(*found)

    def _insert_into(self, database: str, name: str, partition: str = "") -> Iterator[Step]:
        table = self._databases[database][name]
        partition = partition or self._rng.choice(sorted(table.keys))
        keys = [self._key() for _ in range(self._rng.randint(1, 60))]
        table.keys[partition] += keys
        yield Step("insert", (database, name, partition, keys, self._rng.randrange(1 << 30)))

    def _upsert(self) -> Iterator[Step]:
        if found := self._some(lambda table: not table.kind.auto_id):
            partition, keys = self._some_keys(found)
            keys += [self._key() for _ in range(self._rng.randint(0, 3))]
            if keys:
                known = self._table(found).keys[partition]
                known += [key for key in keys if key not in known]
                yield Step("upsert", (*found, partition, keys, self._rng.randrange(1 << 30)))

    def _delete_keys(self) -> Iterator[Step]:
        if found := self._some(lambda table: not table.kind.auto_id):
            partition, keys = self._some_keys(found)
            if keys:
                known = self._table(found).keys
                known[partition] = [key for key in known[partition] if key not in keys]
                yield Step("delete_keys", (*found, partition if self._rng.random() < 0.5 else "", keys))

    def _delete_matching(self) -> Iterator[Step]:
        if found := self._some(lambda table: table.loaded):
            yield Step("delete_matching", (*found, self._rng.randint(0, 40)))

    # of ours

    def _kill_worker(self) -> Iterator[Step]:
        if up := sorted(set(range(WORKERS)) - self._down):
            number = self._rng.choice(up)
            self._down.add(number)
            yield Step("end_worker", (number, self._rng.choice(["kill", "kill", "terminate"])))

    def _start_worker(self) -> Iterator[Step]:
        if self._down:
            number = self._rng.choice(sorted(self._down))
            self._down.remove(number)
            yield Step("start_worker", (number,))

    def _pause_or_resume(self) -> Iterator[Step]:
        self._paused = not self._paused
        yield Step("pause" if self._paused else "resume", ())

    def _rest(self) -> Iterator[Step]:
        yield Step("rest", (round(self._rng.uniform(0, 1.5), 2),))

    def _bring_back(self) -> Iterator[Step]:
        while self._down:
            yield from self._start_worker()
        if self._paused:
            yield from self._pause_or_resume()
        for database, tables in self._databases.items():
            for name in tables:
                yield from self._serve((database, name))

    # what there is

    @property
    def expected(self) -> dict[str, list[str]]:
        """Collections by database, when all steps are done."""
        return {database: sorted(tables) for database, tables in self._databases.items()}

    def _some(self, good: Callable[[_Table], bool] = lambda _table: True) -> tuple[str, str] | None:
        found = [
            (database, name)
            for database, tables in self._databases.items()
            for name, table in tables.items()
            if good(table)
        ]
        return self._rng.choice(sorted(found)) if found else None

    def _table(self, found: tuple[str, str]) -> _Table:
        return self._databases[found[0]][found[1]]

    def _some_keys(self, found: tuple[str, str]) -> tuple[str, list[int]]:
        table = self._table(found)
        partition = self._rng.choice(sorted(table.keys))
        known = table.keys[partition]
        return partition, self._rng.sample(known, min(len(known), self._rng.randint(1, 20)))

    def _key(self) -> int:
        self._next_key += 1
        return self._next_key

    _chances: dict[Callable[[Script], Iterator[Step]], float] = {
        _insert: 30,
        _upsert: 12,
        _delete_keys: 9,
        _delete_matching: 3,
        _rest: 8,
        _create_collection: 4,
        _drop_collection: 2,
        _recreate_collection: 3,
        _rename_collection: 3,
        _create_partition: 6,
        _drop_partition: 5,
        _create_alias: 3,
        _drop_alias: 1,
        _change_index: 1.5,
        _change_load: 2,
        _flush: 1,
        _create_database: 1,
        _drop_database: 0.7,
        _kill_worker: 2.5,
        _start_worker: 3,
        _pause_or_resume: 3,
    }


def _shown(argument: Any) -> str:
    if isinstance(argument, list):
        return f"[{argument[0]} ... {len(argument)} keys]"
    return str(argument)
