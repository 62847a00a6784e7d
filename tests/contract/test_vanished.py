"""Collections that somebody drops on the target."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc_core.clock import ManualClock
from cdc_core.model.catalog import ObjectState
from cdc_core.model.timestamp import ZERO
from cdc_core.pipeline.collections import Collections
from cdc_core.pipeline.task_context import TaskContext
from cdc_core.pipeline.vanished import LOOK_SECONDS, Vanished
from cdc_core.sink.memory import MemoryTarget
from cdc_core.source.memory_catalog import MemoryCatalog
from tests.contract.catalogs import a_collection

pytestmark = pytest.mark.contract

FILMS, BOOKS = a_collection(450, "films"), a_collection(460, "books")


class Looks:
    """A catalog's looks, each when it is due."""

    def __init__(self, context: TaskContext, source: MemoryCatalog) -> None:
        for each in (FILMS, BOOKS):
            source.put_collection(each)
        self._clock = ManualClock()
        self._context = context
        self._source = source
        self.collections = Collections(context)
        self.collections.sweep(source.current())
        self._vanished = Vanished(context, self.collections, self._clock)

    def look(self) -> dict[int, str]:
        self._clock.advance(LOOK_SECONDS)
        self._vanished.sweep(self._source.current())
        return self._vanished.stopped

    def stopped(self) -> dict[int, set[str]]:
        """Why the channels of each collection stand still."""
        found: dict[int, set[str]] = {}
        for state in self._context.channels.of_task("one"):
            if state.plan and state.stopped:
                found.setdefault(state.plan.collection_id, set()).add(state.stopped)
        return found


@pytest.fixture
def looks(context: TaskContext, source: MemoryCatalog) -> Looks:
    return Looks(context, source)


def test_what_is_there_goes_on(looks: Looks) -> None:
    assert looks.look() == {}
    assert looks.stopped() == {}


@pytest.mark.parametrize("again", [False, True])
def test_one_that_was_dropped_by_hand_stands_still(looks: Looks, target: MemoryTarget, *, again: bool) -> None:
    """All its channels, and no other ones; also when somebody made another one under its name."""
    target.drop_collection("default", "films", ZERO)
    if again:
        target.create_collection(FILMS)
    assert "dropped on the target by hand" in looks.look()[450]
    assert looks.stopped().keys() == {450}


def test_one_that_was_renamed_there_goes_on(looks: Looks, target: MemoryTarget) -> None:
    """Its rows go by its id."""
    target.rename_collection("default", "films", "default", "movies")
    assert looks.look() == {}
    assert looks.stopped() == {}


def test_a_resume_does_not_let_its_rows_get_lost(looks: Looks, context: TaskContext, target: MemoryTarget) -> None:
    """It takes the stop back (task_desire.lua); the next look finds it again."""
    target.drop_collection("default", "films", ZERO)
    looks.look()
    context.channels.go_on(state.key for state in context.channels.of_task("one"))
    assert looks.stopped() == {}
    looks.look()
    assert looks.stopped().keys() == {450}


@pytest.mark.parametrize("left", [ObjectState.DROPPING, None])
def test_one_that_the_source_drops_too_goes_on_to_its_drop(
    looks: Looks, source: MemoryCatalog, target: MemoryTarget, left: ObjectState | None
) -> None:
    target.drop_collection("default", "films", ZERO)
    looks.look()
    if left is None:
        source.remove_collection(450)
    else:
        source.put_collection(replace(FILMS, state=left))
    looks.look()
    assert looks.stopped() == {}
