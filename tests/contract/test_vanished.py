"""Collections and partitions that somebody drops on the target."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc_core.clock import ManualClock
from cdc_core.model.catalog import Collection, ObjectState, Partition
from cdc_core.model.timestamp import ZERO
from cdc_core.pipeline.collections import Collections
from cdc_core.pipeline.task_context import TaskContext
from cdc_core.pipeline.vanished import LOOK_SECONDS, MOST_PARTITIONED, Vanished
from cdc_core.sink.memory import MemoryTarget
from cdc_core.source.memory_catalog import MemoryCatalog
from tests.contract.catalogs import CREATED, a_collection

pytestmark = pytest.mark.contract

FILMS, BOOKS = a_collection(450, "films"), a_collection(460, "books")
DRAMA, CRIME = (
    Partition(number, name, CREATED, ObjectState.CREATED) for number, name in ((452, "drama"), (453, "crime"))
)
SERIES = replace(FILMS, partitions=(*FILMS.partitions, DRAMA, CRIME))


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


@pytest.fixture
def parted(looks: Looks, source: MemoryCatalog) -> Looks:
    """`films` with partitions, all on the target."""
    source.put_collection(SERIES)
    looks.collections.sweep(source.current())
    assert looks.look() == {}
    return looks


@pytest.mark.parametrize("again", [False, True])
def test_a_partition_that_was_dropped_by_hand_stops_its_collection(
    parted: Looks, target: MemoryTarget, *, again: bool
) -> None:
    """No other one; also when somebody made another partition under its name."""
    target.drop_partition("default", "films", "drama", ZERO)
    if again:
        target.create_partition("default", "films", "drama", ZERO)
    assert "default.films: partition drama was dropped on the target by hand" in parted.look()[450]
    assert parted.stopped().keys() == {450}
    target.drop_partition("default", "films", "crime", ZERO)
    assert "partition crime, drama was" in parted.look()[450]


def test_a_partition_that_the_source_drops_too_is_let_go(
    parted: Looks, source: MemoryCatalog, target: MemoryTarget
) -> None:
    """Its channels come to its drop; the other one still holds them up."""
    target.drop_partition("default", "films", "drama", ZERO)
    target.drop_partition("default", "films", "crime", ZERO)
    parted.look()
    source.put_collection(replace(FILMS, partitions=(*FILMS.partitions, CRIME)))
    assert "partition crime was" in parted.look()[450]
    assert parted.stopped().keys() == {450}
    source.put_collection(FILMS)
    assert parted.look() == {}
    assert parted.stopped() == {}


def test_a_partition_that_this_task_has_dropped_stops_nothing(
    parted: Looks, context: TaskContext, target: MemoryTarget
) -> None:
    """Though the source's catalog, read before that, still has it."""
    target.drop_partition("default", "films", "drama", ZERO)
    context.objects.mark_dropped("one", 450, 452)
    assert parted.look() == {}
    assert parted.stopped() == {}


def test_channels_that_came_to_the_drop_before_they_stood_still_go_on(
    parted: Looks, context: TaskContext, source: MemoryCatalog, target: MemoryTarget
) -> None:
    target.drop_partition("default", "films", "drama", ZERO)
    parted.look()
    source.put_collection(replace(FILMS, partitions=(*FILMS.partitions, CRIME)))
    context.objects.mark_dropped("one", 450, 452)
    assert parted.look() == {}
    assert parted.stopped() == {}


def test_a_collection_that_lost_a_partition_and_is_dropped_at_the_source_goes_on_to_its_drop(
    parted: Looks, source: MemoryCatalog, target: MemoryTarget
) -> None:
    target.drop_partition("default", "films", "drama", ZERO)
    parted.look()
    source.remove_collection(450)
    assert parted.look() == {}
    assert parted.stopped() == {}


def test_another_worker_lets_go_what_the_first_one_has_stopped(
    parted: Looks, context: TaskContext, source: MemoryCatalog, target: MemoryTarget
) -> None:
    target.drop_partition("default", "films", "drama", ZERO)
    parted.look()
    source.put_collection(replace(FILMS, partitions=(*FILMS.partitions, CRIME)))
    Vanished(context, Collections(context)).sweep(source.current())
    assert parted.stopped() == {}


def test_partitions_of_many_collections_are_looked_at_in_turn(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget
) -> None:
    """Each look at a few: two look at all."""
    many = [parted_collection(500 + 10 * number) for number in range(MOST_PARTITIONED + 3)]
    for each in many:
        source.put_collection(each)
    looks = Looks(context, source)
    for each in many:
        target.drop_partition("default", each.name, "drama", ZERO)
    assert len(looks.look()) == MOST_PARTITIONED
    assert len(looks.look()) == len(many)
    assert looks.look().keys() == {each.id for each in many}


def parted_collection(number: int) -> Collection:
    drama = Partition(number + 2, "drama", CREATED, ObjectState.CREATED)
    made = a_collection(number, f"c{number}")
    return replace(made, partitions=(*made.partitions, drama))
