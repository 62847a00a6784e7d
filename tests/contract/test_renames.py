"""Collections that are renamed at the source: within the selection, out of it and back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc_core.coordination.channels import ChannelState
from cdc_core.model.task import CollectionSelector
from cdc_core.pipeline.collections import Collections
from cdc_core.pipeline.renames import Renames
from cdc_core.pipeline.task_context import TaskContext
from cdc_core.sink.memory import MemoryTarget
from cdc_core.source.memory_catalog import MemoryCatalog
from cdc_core.transform.filter import Selection
from tests.contract.catalogs import a_collection

pytestmark = pytest.mark.contract

FILMS = a_collection(450, "films")


def swept(context: TaskContext, source: MemoryCatalog) -> tuple[Collections, Renames]:
    """A catalog that was just claimed, after its first pass."""
    collections = Collections(context)
    renames = Renames(context, collections)
    renames.sweep(source.current())
    collections.sweep(source.current())
    return collections, renames


def test_the_targets_is_renamed_and_known_by_both_names(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget
) -> None:
    source.put_collection(FILMS)
    before = swept(context, source)[0].known[450].plan
    source.put_collection(replace(FILMS, name="movies"))
    for _ in range(2):
        collections, renames = swept(context, source)
        plan = collections.known[450].plan
        assert (plan.collection, plan.target_collection) == ("movies", "movies")
        assert plan.target_collection_id == before.target_collection_id
        assert target.collections("default") == {"movies"}
        assert collections.was_called(450, "default", "films")
        assert renames.waiting == {}


def test_a_name_that_is_taken_is_waited_for(context: TaskContext, source: MemoryCatalog, target: MemoryTarget) -> None:
    """Two that change places by way of a third name end as the source has them."""
    books = a_collection(460, "books")
    source.put_collection(FILMS)
    source.put_collection(books)
    swept(context, source)
    source.put_collection(replace(FILMS, name="books"))
    source.put_collection(replace(books, name="texts"))
    collections, renames = swept(context, source)
    if renames.waiting:
        assert "waits for the name default.books to be free" in renames.waiting[450]
        renames.sweep(source.current())
    assert collections.known[450].plan.target_collection == "books"
    assert target.collections("default") == {"books", "texts"}


def test_one_that_leaves_the_selection_stands_still_until_it_is_back(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget
) -> None:
    spec = replace(context.task.spec, selectors={"default": (CollectionSelector("films", {}),)})
    context = replace(context, selection=Selection.of(spec))
    source.put_collection(FILMS)
    swept(context, source)
    source.put_collection(replace(FILMS, name="movies"))
    for _ in range(2):
        _, renames = swept(context, source)
        assert "renamed to default.movies, which is not among the task's collections" in renames.waiting[450]
        assert all("renamed to default.movies" in state.stopped for state in _vchannels(context))
    assert target.collections("default") == {"films"}
    source.put_collection(FILMS)
    _, renames = swept(context, source)
    assert renames.waiting == {}
    assert not any(state.stopped for state in _vchannels(context))


def _vchannels(context: TaskContext) -> list[ChannelState]:
    return [state for state in context.channels.of_task("one") if state.plan]
