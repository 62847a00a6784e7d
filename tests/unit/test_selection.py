"""Selection: names, wildcards, databases, and several tasks of one target."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.model.position import Position
from cdc_core.model.task import CollectionSelector, MilvusConnect, TaskSpec
from cdc_core.transform.filter import Selection, conflicts, exclusions
from cdc_core.transform.pattern import Pattern

pytestmark = pytest.mark.unit


def spec(*names: str, task_id: str = "t", excluded: tuple[str, ...] = ()) -> TaskSpec:
    """A task over names written `database.collection`."""
    selectors: dict[str, tuple[CollectionSelector, ...]] = {}
    for name in names:
        database, collection = name.split(".")
        selectors[database] = (*selectors.get(database, ()), CollectionSelector(collection, {}))
    left_out = tuple((name.split(".")[0], name.split(".")[1]) for name in excluded)
    return TaskSpec(task_id, MilvusConnect(uri="http://target:19530"), selectors, True, left_out)


@pytest.mark.parametrize(
    ("names", "excluded", "collection", "selected_by"),
    [
        (["default.a"], [], "default.a", "a"),
        (["default.a"], [], "default.b", None),
        (["default.a"], [], "other.a", None),
        (["default.a", "default.b"], [], "default.b", "b"),
        (["default.*"], [], "default.anything", "*"),
        (["default.*"], [], "other.anything", None),
        (["*.a"], [], "other.a", "a"),
        (["*.a"], [], "other.b", None),
        (["*.*"], [], "x.y", "*"),
        (["one.*", "two.a"], [], "two.a", "a"),
        (["one.*", "two.a"], [], "two.b", None),
        (["*.*", "one.a"], [], "one.a", "a"),
        (["default.*"], ["default.a"], "default.a", None),
        (["default.*"], ["default.a"], "default.b", "*"),
        (["*.*"], ["one.*"], "one.a", None),
        (["*.*"], ["*.a"], "one.a", None),
        (["*.*"], ["*.a"], "one.b", "*"),
        (["default.a*"], [], "default.ab", None),
        (["default.A"], [], "default.a", None),
        (["a_b.c"], [], "a.b_c", None),
    ],
)
def test_what_a_selection_matches(
    names: list[str], excluded: list[str], collection: str, selected_by: str | None
) -> None:
    found = Selection.of(spec(*names, excluded=tuple(excluded))).match(*collection.split("."))
    assert (found.name if found else None) == selected_by


def test_a_name_keeps_its_positions_beside_a_wildcard() -> None:
    place = {"p_1v0": Position("p", b"\1")}
    task = TaskSpec(
        "t", MilvusConnect(uri="h:1"), {"default": (CollectionSelector("*", {}), CollectionSelector("a", place))}
    )
    selection = Selection.of(task)
    named, other = selection.match("default", "a"), selection.match("default", "b")
    assert named is not None
    assert named.positions == place
    assert other is not None
    assert other.positions == {}


@pytest.mark.parametrize(
    ("new", "existing", "refused"),
    [
        (["default.a"], ["default.a"], ["default.a is replicated by the task old already"]),
        (["default.a", "default.b"], ["default.b"], ["default.b is replicated by the task old already"]),
        (["default.a"], ["default.*"], ["default.a is covered by default.* of the task old"]),
        (["default.*"], ["default.*"], ["default.* is replicated by the task old already"]),
        (["default.*"], ["*.*"], ["default.* is covered by *.* of the task old"]),
        (["one.a"], ["*.a"], ["one.a is covered by *.a of the task old"]),
        (["one.a"], ["two.a"], []),
        (["default.*"], ["default.a"], []),
        (["*.*"], ["default.*"], []),
        (["one.*"], ["*.a"], []),
        (["a_b.c"], ["a.b_c"], []),
    ],
)
def test_what_an_existing_task_forbids(new: list[str], existing: list[str], refused: list[str]) -> None:
    assert [str(conflict) for conflict in conflicts(spec(*new), [spec(*existing, task_id="old")])] == refused


def test_a_name_that_the_existing_pattern_leaves_out_is_free() -> None:
    existing = spec("default.*", task_id="old", excluded=("default.a",))
    assert conflicts(spec("default.a"), [existing]) == ()
    assert not Selection.of(existing).covers(Selection.of(spec("default.a")))
    assert Selection.of(existing).covers(Selection.of(spec("default.b")))


@pytest.mark.parametrize(
    ("new", "existing", "left_out"),
    [
        (["default.*"], ["default.a", "other.b"], [("default", "a")]),
        (["*.*"], ["default.a", "one.*"], [("default", "a"), ("one", "*")]),
        (["one.*"], ["*.a"], [("one", "a")]),
        (["*.a"], ["one.*"], [("one", "a")]),
        (["default.a"], ["default.b"], []),
    ],
)
def test_what_a_new_task_leaves_out(new: list[str], existing: list[str], left_out: list[tuple[str, str]]) -> None:
    others = [spec(*existing, task_id="old")]
    assert list(exclusions(spec(*new), others)) == left_out
    stored = spec(*new).excluding(exclusions(spec(*new), others))
    assert Selection.of(stored) == Selection.of(spec(*new), others)


names = st.sampled_from(["a", "b", "*"])
patterns = st.builds(Pattern, names, names)
tasks = st.lists(patterns, min_size=1, max_size=3, unique=True).map(lambda chosen: spec(*map(str, chosen)))


@given(st.lists(tasks, max_size=6))
def test_no_collection_is_ever_replicated_twice_to_one_target(wanted: list[TaskSpec]) -> None:
    """However tasks are made: those that were accepted never select the same collection."""
    accepted: list[TaskSpec] = []
    for task in wanted:
        if not conflicts(task, accepted):
            accepted.append(task.excluding(exclusions(task, accepted)))
    for database in "abc":
        for collection in "abc":
            takers = [task for task in accepted if Selection.of(task).match(database, collection)]
            assert len(takers) <= 1
