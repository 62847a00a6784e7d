"""What the catalog of a task mends on the target: what no message tells, or told while nobody listened."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from cdc_core.codec.operation import OperationKind
from cdc_core.coordination.channels import ChannelStore
from cdc_core.model.catalog import Collection, Database, Index, ObjectState, Serving
from cdc_core.model.plan import Plan
from cdc_core.model.task import CollectionSelector
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.collections import Collections
from cdc_core.pipeline.difference import Kind, State
from cdc_core.pipeline.drops import Drops
from cdc_core.pipeline.reconcile import Reconcile
from cdc_core.pipeline.task_context import TaskContext
from cdc_core.sink.memory import MemoryTarget
from cdc_core.source.memory_catalog import MemoryCatalog
from cdc_core.transform.filter import Selection
from tests.contract.catalogs import a_collection
from tests.contract.state import State as Store

pytestmark = pytest.mark.contract

SERVED = Serving((Index("of_vector", "vector", {"index_type": "FLAT", "metric_type": "L2"}),), 1)
FILMS = replace(a_collection(450, "films"), aliases=frozenset({"movies"}))


class Catalogs:
    """The parts of one catalog, over a source that can be changed."""

    def __init__(self, context: TaskContext, source: MemoryCatalog) -> None:
        self.source = source
        self.collections = Collections(context)
        self.drops = Drops(context, self.collections)
        self.drops.remove_orphans(source.current())
        self.reconcile = Reconcile(context, self.collections, source)

    def sweep(self, *busy: str) -> None:
        self.collections.sweep(self.source.current())
        self.reconcile.sweep(self.source.current(), {("default", name) for name in busy})

    def found(self) -> list[tuple[Kind, State, str]]:
        return [(each.kind, each.state, each.name) for each in self.reconcile.differences(self.source.current())]


@pytest.fixture
def catalogs(context: TaskContext, source: MemoryCatalog) -> Catalogs:
    source.put_collection(FILMS)
    source.put_serving(450, SERVED)
    return Catalogs(context, source)


def test_what_was_before_the_task_is_made(catalogs: Catalogs, target: MemoryTarget) -> None:
    """Index, load and alias of a collection that existed when the task began; and a second pass does nothing."""
    catalogs.sweep()
    assert target.indexes("default", "films") == {"of_vector": "vector"}
    assert target.is_loaded("default", "films")
    assert _aliases(target, "films") == {"movies"}
    assert [operation.kind for operation in target.applied] == [
        OperationKind.CREATE_INDEX,
        OperationKind.LOAD_COLLECTION,
    ]
    assert catalogs.found() == []
    catalogs.reconcile.again()
    catalogs.sweep()
    assert len(target.applied) == 2


def test_a_load_that_the_target_has_lost_is_made_again_after_an_outage(
    catalogs: Catalogs, target: MemoryTarget, context: TaskContext
) -> None:
    catalogs.sweep()
    target.apply(replace(target.applied[1], kind=OperationKind.RELEASE_COLLECTION))
    catalogs.sweep()
    assert not target.is_loaded("default", "films")
    context.target.has_recovered()
    catalogs.sweep()
    assert target.is_loaded("default", "films")


def test_a_collection_with_a_pending_operation_is_left_for_later(catalogs: Catalogs, target: MemoryTarget) -> None:
    catalogs.sweep("films")
    assert target.applied == []
    catalogs.sweep()
    assert target.is_loaded("default", "films")


def test_an_alias_follows_and_only_our_own_is_dropped(catalogs: Catalogs, target: MemoryTarget) -> None:
    catalogs.source.put_collection(a_collection(460, "books"))
    catalogs.sweep()
    target.put_alias("default", "films", "by_hand")
    catalogs.source.put_collection(replace(FILMS, aliases=frozenset()))
    catalogs.source.put_collection(replace(a_collection(460, "books"), aliases=frozenset({"movies", "texts"})))
    catalogs.sweep()
    assert _aliases(target, "films") == {"by_hand"}
    assert _aliases(target, "books") == {"movies", "texts"}
    catalogs.source.put_collection(a_collection(460, "books"))
    catalogs.sweep()
    assert _aliases(target, "books") == frozenset()


def test_a_database_without_collections_is_made_when_it_is_selected_whole(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget
) -> None:
    source.put_database(Database(2, "empty", {}))
    source.put_database(Database(3, "other", {}))
    spec = replace(context.task.spec, selectors={"empty": (CollectionSelector("*", {}),)})
    catalogs = Catalogs(replace(context, selection=Selection.of(spec)), source)
    assert catalogs.found() == [(Kind.DATABASE, State.MISSING, "")]
    catalogs.sweep()
    assert target.databases() == {"default", "empty"}
    assert catalogs.found() == []


def test_properties_of_a_database_follow_once_its_operations_are_done(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget
) -> None:
    """Properties that only the target has stay: somebody there may want them."""
    target.create_database("films", {"database.max.collections": "7", "database.force.deny.reading": "false"})
    source.put_database(Database(2, "films", {"database.max.collections": "8", "database.replica.number": "2"}))
    spec = replace(context.task.spec, selectors={"films": (CollectionSelector("*", {}),)})
    catalogs = Catalogs(replace(context, selection=Selection.of(spec)), source)
    assert catalogs.found() == [
        (Kind.PROPERTY, State.DIFFERENT, "database.max.collections"),
        (Kind.PROPERTY, State.MISSING, "database.replica.number"),
    ]
    catalogs.sweep()
    wanted = {"database.max.collections": "8", "database.replica.number": "2", "database.force.deny.reading": "false"}
    assert target.database_properties("films") == wanted
    assert catalogs.found() == []
    source.put_database(Database(2, "films", {"database.max.collections": "9"}))
    catalogs.reconcile.sweep(source.current(), {("films", "*")})
    assert target.database_properties("films") == wanted
    catalogs.sweep()
    assert target.database_properties("films") == {**wanted, "database.max.collections": "9"}


def test_properties_follow(catalogs: Catalogs, target: MemoryTarget) -> None:
    catalogs.sweep()
    catalogs.source.put_collection(replace(FILMS, properties={"collection.ttl.seconds": "90"}))
    catalogs.sweep()
    made = target.describe("default", "films")
    assert made is not None
    assert made.properties == {"collection.ttl.seconds": "90"}


def test_what_is_somebody_else_s_wish_is_shown_and_stays(catalogs: Catalogs, target: MemoryTarget) -> None:
    catalogs.sweep()
    catalogs.source.put_serving(450, Serving())
    assert catalogs.found() == [
        (Kind.INDEX, State.SURPLUS, "of_vector"),
        (Kind.LOAD, State.SURPLUS, ""),
    ]
    catalogs.reconcile.again()
    catalogs.sweep()
    assert target.is_loaded("default", "films")


def test_what_the_target_refuses_is_told(catalogs: Catalogs, target: MemoryTarget) -> None:
    target.create_collection(a_collection(1, "movies"))
    catalogs.sweep()
    assert "alias 'movies' of default.films is missing" in catalogs.reconcile.refused[450]
    assert target.is_loaded("default", "films"), "the rest is done"


def test_a_collection_dropped_by_hand_is_told(catalogs: Catalogs, target: MemoryTarget, context: TaskContext) -> None:
    catalogs.sweep()
    target.drop_collection("default", "films", FILMS.created)
    assert catalogs.found() == [(Kind.COLLECTION, State.MISSING, "")]
    assert context.selection.match("default", "films")


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_user_may_ask(catalogs: Catalogs, target: MemoryTarget, context: TaskContext, dry_run: bool) -> None:
    catalogs.sweep()
    target.apply(replace(target.applied[1], kind=OperationKind.RELEASE_COLLECTION))
    answers: list[str | None] = []
    question = json.dumps({"dry_run": dry_run})
    asking = threading.Thread(target=lambda: answers.append(context.requests.ask("one", question, 30.0)))
    asking.start()
    while asking.is_alive():
        catalogs.reconcile.answer(catalogs.source.current(), frozenset())
        asking.join(0.02)
    assert [(each["kind"], each["state"]) for each in json.loads(answers[0] or "")] == [("load", "missing")]
    assert target.is_loaded("default", "films") is not dry_run
    assert context.requests.open("one") == {}


def test_nobody_answers(context: TaskContext) -> None:
    assert context.requests.ask("one", "{}", 1.0) is None
    assert context.requests.open("one") == {}


@pytest.mark.parametrize("left", [ObjectState.DROPPING, None])
def test_what_a_killed_catalog_made_for_a_collection_that_is_gone_is_dropped(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget, state: Store, left: ObjectState | None
) -> None:
    """Given a catalog that was killed between making a collection and recording it, and a source that has dropped it
    since, then the next catalog takes it away, with a drop message into each of its channels.
    """
    films = a_collection(450, "films")
    _made_and_not_recorded(context, source, films, state)
    if left is not None:
        source.put_collection(replace(films, state=left))
    Catalogs(context, source)
    assert target.describe("default", "films") is None
    assert context.objects.intents("one") == {}


def test_what_a_newer_collection_has_taken_over_stays(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget, state: Store
) -> None:
    films = a_collection(450, "films")
    _made_and_not_recorded(context, source, films, state)
    newer = replace(a_collection(460, "films"), created=Tso(films.created + 1))
    source.put_collection(newer)
    collections = Collections(context)
    collections.sweep(source.current())
    Drops(context, collections).remove_orphans(source.current())
    assert target.describe("default", "films") is not None
    assert 460 in collections.known


def test_what_existed_on_the_target_before_is_never_an_orphan(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget, state: Store
) -> None:
    films = a_collection(450, "films")
    target.create_collection(films)
    _made_and_not_recorded(context, source, films, state)
    Catalogs(context, source)
    assert target.describe("default", "films") is not None


class _KilledError(Exception):
    """Instead of the end of the process."""


class _KilledChannels(ChannelStore):
    """The process ends when the collection is to be recorded."""

    def put(self, task: str, plans: Sequence[Plan]) -> None:  # noqa: ARG002
        raise _KilledError


def _made_and_not_recorded(context: TaskContext, source: MemoryCatalog, collection: Collection, state: Store) -> None:
    """And then dropped at the source."""
    source.put_collection(collection)
    killed = replace(context, channels=_KilledChannels(state.client, state.keys))
    with pytest.raises(_KilledError):
        Collections(killed).sweep(source.current())
    source.remove_collection(collection.id)


def _aliases(target: MemoryTarget, name: str) -> frozenset[str]:
    made = target.describe("default", name)
    assert made is not None
    return made.aliases
