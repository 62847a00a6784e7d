"""Names of the target: what a mapping makes of those of the source, and which mappings are refused."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from cdc_core.model.connect import MilvusConnect
from cdc_core.model.task import CollectionSelector, NameMapping, TaskSpec
from cdc_core.transform.filter import conflicts, exclusions
from cdc_core.transform.mapping import Names, mistakes, name_conflicts

pytestmark = pytest.mark.unit


def spec(*mappings: NameMapping, task: str = "one", **selected: str) -> TaskSpec:
    """Over collections given as database="a b c"; `any_` stands for `*`."""
    selectors = {
        "*" if database == "any_" else database: tuple(CollectionSelector(name, {}) for name in names.split())
        for database, names in selected.items()
    }
    return TaskSpec(task, MilvusConnect(uri="http://target:19530"), selectors, name_mapping=mappings)


def to(source: str, target: str, collections: Mapping[str, str] = {}) -> NameMapping:
    return NameMapping(source, target, collections)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (("d", "a"), ("e", "b")),
        (("d", "other"), ("e", "other")),
        (("d", "*"), ("e", "*")),
        (("x", "a"), ("x", "a")),
    ],
)
def test_names(source: tuple[str, str], target: tuple[str, str]) -> None:
    names = Names((to("d", "e", {"a": "b"}),))
    assert names.collection(*source) == target
    assert names.database(source[0]) == target[0]


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        (spec(to("d", "e"), d="*"), ""),
        (spec(to("d", "e", {"a": "b"}), d="*"), ""),
        (spec(to("d", "e", {"a": "b"}), d="a b"), "d.a and d.b would both be e.b"),
        (spec(to("d", "e", {"a": "b"}), d="a"), ""),
        (spec(to("d", "e", {"a": "b", "b": "a"}), d="*"), ""),
        (spec(to("d", "e", {"a": "x", "b": "x"}), d="a b"), "d.a and d.b would both be e.x"),
        (spec(to("d", "e"), to("d", "f"), d="*"), "source_db 'd' has several entries"),
        (spec(to("d", "e"), to("f", "e"), d="a", f="a"), "d.a and f.a would both be e.a"),
        (spec(to("d", "e"), d="a", e="a"), "d.a and e.a would both be e.a"),
        (spec(to("x", "e"), d="*"), "x.* is not among the task's collections"),
        (spec(to("d", "e", {"c": "b"}), d="a"), "d.c is not among the task's collections"),
        (spec(to("d", "e", {"a": "b"}), any_="*"), ""),
    ],
)
def test_mistakes(task: TaskSpec, complaint: str) -> None:
    found = list(mistakes(task))
    assert bool(found) == bool(complaint), found
    assert any(complaint in each for each in found) or not complaint, found


@pytest.mark.parametrize(
    ("new", "other", "conflict"),
    [
        (spec(to("d", "e", {"a": "b"}), d="a"), spec(task="two", e="b"), "d.a would be e.b"),
        (spec(to("d", "e", {"a": "b"}), d="a"), spec(task="two", e="c"), ""),
        (spec(to("d", "e"), d="*"), spec(to("f", "e"), task="two", f="*"), "d.* would be e.*"),
        (spec(d="a"), spec(to("f", "d", {"x": "a"}), task="two", f="x"), "d.a would be d.a"),
        (spec(d="a"), spec(task="two", d="b"), ""),
        (spec(d="*"), spec(task="two", d="b"), ""),
    ],
)
def test_two_tasks_never_write_to_one_name(new: TaskSpec, other: TaskSpec, conflict: str) -> None:
    found = list(name_conflicts(new, [other]))
    assert [conflict in each for each in found] == ([True] if conflict else []), found


def test_thousands_of_names_are_looked_at_in_a_moment() -> None:
    """Of two tasks of one target, all of them mapped; and of wildcards, each once."""
    count = 3_000
    names = [f"c{number}" for number in range(count)]
    mine = spec(to("d", "e", {name: f"x{name}" for name in names}), d=" ".join(names))
    theirs = spec(to("f", "e", {name: f"y{name}" for name in names}), task="two", f=" ".join(names))
    same = spec(to("f", "e", {name: f"x{name}" for name in names}), task="two", f=" ".join(names))
    began = time.process_time()
    assert list(mistakes(mine)) == []
    assert list(name_conflicts(mine, [theirs])) == []
    assert len(list(name_conflicts(mine, [same]))) == count
    assert len(list(name_conflicts(spec(d="*"), [spec(to("f", "d"), task="two", f=" ".join(names))]))) == 1
    assert exclusions(mine, [theirs]) == ()
    assert conflicts(mine, [theirs]) == ()
    assert time.process_time() - began < 5
