"""What the catalog of a task makes of the source's: partitions that rows wait for, operations on a name used twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from cdc_core.codec.operation import Operation
from cdc_core.codec.protobuf import common_pb2, milvus_pb2
from cdc_core.coordination.barriers import Barrier
from cdc_core.coordination.objects import GONE, Wanted
from cdc_core.errors import TargetUnavailable
from cdc_core.model.catalog import Collection, ObjectState, Partition
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.collections import Collections
from cdc_core.pipeline.drops import Drops
from cdc_core.pipeline.operation_feed import OperationFeed
from cdc_core.pipeline.operations import Operations
from cdc_core.pipeline.task_context import TaskContext
from cdc_core.sink.memory import MemoryTarget
from cdc_core.source.memory import MemoryQueue
from cdc_core.source.memory_catalog import MemoryCatalog
from tests.contract.catalogs import CREATED, a_collection
from tests.contract.state import State

pytestmark = pytest.mark.contract

OPS = "by-dev-replicate-msg"


def with_partition(collection: Collection, number: int, state: ObjectState = ObjectState.CREATED) -> Collection:
    made = Partition(number, f"p{number}", CREATED, state)
    return replace(collection, partitions=(*collection.partitions, made))


def swept(context: TaskContext, source: MemoryCatalog) -> Collections:
    collections = Collections(context)
    collections.sweep(source.current())
    return collections


def test_rows_wait_for_a_partition_that_was_made_after_the_catalog_was_read(
    context: TaskContext, source: MemoryCatalog
) -> None:
    """Given a catalog that was read, when a partition is made and rows of it come before the answers are given, then
    it is not taken for gone, and the next pass makes it.
    """
    source.put_collection(a_collection(450, "films"))
    collections = swept(context, source)
    wanted, read = collections.wanted(), source.refresh()
    source.put_collection(with_partition(a_collection(450, "films"), 7))
    context.objects.want("one", Wanted(450, 7))
    collections.answer_wanted(wanted, read)
    assert 7 not in context.objects.partitions("one", 450)
    wanted, read = collections.wanted(), source.refresh()
    collections.sweep(read)
    collections.answer_wanted(wanted, read)
    assert context.objects.partitions("one", 450)[7] not in ("", GONE)
    assert context.objects.wanted("one") == []


@pytest.mark.parametrize("left", [ObjectState.CREATED, ObjectState.DROPPING])
def test_a_partition_of_a_dropped_collection_is_gone(
    context: TaskContext, source: MemoryCatalog, left: ObjectState
) -> None:
    """Given a collection that was dropped while its rows were still to be read: the source leaves its partitions as
    they were. Rows of one that the target never had need not go anywhere, and wait for nothing.
    """
    source.put_collection(a_collection(450, "films"))
    collections = swept(context, source)
    source.put_collection(replace(with_partition(a_collection(450, "films"), 7, left), state=ObjectState.DROPPING))
    context.objects.want("one", Wanted(450, 7))
    wanted, read = collections.wanted(), source.refresh()
    collections.sweep(read)
    collections.answer_wanted(wanted, read)
    assert context.objects.partitions("one", 450)[7] == GONE


def test_a_partition_that_a_killed_catalog_has_made_is_dropped_with_the_sources(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget
) -> None:
    """Given a catalog that was killed between making a partition and recording it, when the source has dropped its own
    before the next catalog looks, then the drop takes the target's away, too.
    """
    source.put_collection(a_collection(450, "films"))
    collections = swept(context, source)
    target.create_partition("default", "films", "p7", CREATED)
    source.put_collection(with_partition(a_collection(450, "films"), 7, ObjectState.DROPPING))
    context.objects.put("one", 450, {7: GONE})
    for plan in collections.known[450].plans:
        context.barriers.arrive("one", Barrier(450, 7, "p7", CREATED + 1), plan.vchannel.name)
    collections = swept(context, source)
    assert Drops(context, collections).sweep()
    made = target.describe("default", "films")
    assert made is not None
    assert set(made.partitions) == {"_default"}
    assert not context.barriers.open("one")


def test_an_operation_goes_to_the_collection_that_had_the_name_then(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget, state: State
) -> None:
    """Given a collection whose drop was read on all channels and not applied yet, and a new one of its name, then an
    index of the new one waits until that is made.
    """
    old = a_collection(450, "films")
    source.put_collection(old)
    collections = swept(context, source)
    new = replace(a_collection(460, "films"), created=Tso(CREATED + 1_000))
    source.put_collection(replace(old, state=ObjectState.DROPPING))
    source.put_collection(new)
    for plan in collections.known[450].plans:
        state.client.hset(state.keys.channel("one", plan.vchannel.name), "done", "1")
    queue = MemoryQueue()
    feed = OperationFeed(queue, OPS, Position("", b""), context.dead_letters, lambda: None)
    operations = Operations(context, collections, feed, source.refresh)
    try:
        queue.append(OPS, index_of("films", Tso(new.created + 1)))
        _sweep_until(operations, lambda: operations.waiting)
        assert target.applied == []
        target.drop_collection("default", "films", Tso(new.created - 1))
        collections.forget(450)
        collections.sweep(source.refresh())
        for plan in collections.known[460].plans:
            state.client.hset(state.keys.channel("one", plan.vchannel.name), "resolved", Tso(new.created + 1_000).text)
        _sweep_until(operations, lambda: not operations.waiting)
        assert [each.collection for each in target.applied] == ["films"]
        assert target.indexes("default", "films") == {"vector": "vector"}
    finally:
        feed.close()


def test_an_operation_asks_idle_channels_how_far_they_are(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget, state: State
) -> None:
    """Given a collection that is idle and recorded as behind an operation, then the gates of its channels are told to
    look, for a while and not for ever.
    """
    source.put_collection(a_collection(450, "films"))
    [plan] = swept(context, source).known[450].plans
    asked = f"gate {state.keys.gate(context.target.identity, plan.target_vchannel.pchannel)}"
    queue = MemoryQueue()
    feed = OperationFeed(queue, OPS, Position("", b""), context.dead_letters, lambda: None)
    operations = Operations(context, swept(context, source), feed, source.refresh)
    queue.append(OPS, index_of("films", Tso(CREATED + 1_000)))

    def said_in_a_pass() -> list[str]:
        with state.heard() as said:
            operations.sweep()
        return said

    try:
        with state.heard() as said:
            _sweep_until(operations, lambda: operations.waiting)
        assert asked in said
        _sweep_until(operations, lambda: asked not in said_in_a_pass())
        assert operations.waiting
        assert target.applied == []
    finally:
        feed.close()


def test_a_database_that_was_made_again_is_not_dropped(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget, state: State
) -> None:
    """Given the drop of a database and then, in a new one of its name, a collection that was made on the target before
    the drop was read, then its operations are not held up, and what it has stays.
    """
    new = replace(a_collection(460, "films"), created=Tso(CREATED + 1_000))
    source.put_collection(new)
    collections = swept(context, source)
    for plan in collections.known[460].plans:
        state.client.hset(state.keys.channel("one", plan.vchannel.name), "resolved", Tso(new.created + 1_000).text)
    queue = MemoryQueue()
    feed = OperationFeed(queue, OPS, Position("", b""), context.dead_letters, lambda: None)
    operations = Operations(context, collections, feed, source.refresh)
    try:
        base = common_pb2.MsgBase(msg_type=common_pb2.DropDatabase, msgID=1, timestamp=new.created - 500)
        queue.append(OPS, milvus_pb2.DropDatabaseRequest(base=base, db_name="default").SerializeToString())
        queue.append(OPS, index_of("films", Tso(new.created + 1)))
        _sweep_until(operations, lambda: target.applied and not operations.waiting)
        assert [each.kind.name for each in target.applied] == ["CREATE_INDEX"]
        assert operations.troubles == {}
    finally:
        feed.close()


def test_an_operation_that_the_target_does_not_answer_holds_up_nothing_else(
    context: TaskContext, source: MemoryCatalog, target: MemoryTarget, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a target that answers nothing about one collection, then operations of another one are applied, those of
    the first one in their order once it answers, and meanwhile the reason is shown.
    """
    films, books = a_collection(450, "films"), a_collection(460, "books")
    source.put_collection(films)
    source.put_collection(books)
    collections = swept(context, source)
    at = Tso(CREATED + 5_000)
    for known in collections.known.values():
        for plan in known.plans:
            state.client.hset(state.keys.channel("one", plan.vchannel.name), "resolved", at.text)
    apply, hangs, outages = target.apply, ["films"], context.target.outages

    def hanging(operation: Operation) -> None:
        if operation.collection in hangs:
            raise TargetUnavailable(f"no answer about {operation.collection}")
        apply(operation)

    monkeypatch.setattr(target, "apply", hanging)
    queue = MemoryQueue()
    feed = OperationFeed(queue, OPS, Position("", b""), context.dead_letters, lambda: None)
    operations = Operations(context, collections, feed, source.refresh)
    try:
        for number, name in enumerate(["films", "films", "books"]):
            queue.append(OPS, index_of(name, Tso(at - 10 + number), field=f"f{number}"))
        _sweep_until(operations, lambda: target.applied)
        assert [each.collection for each in target.applied] == ["books"]
        assert "no answer about films" in "".join(operations.troubles.values())
        hangs.clear()
        _sweep_until(operations, lambda: not operations.waiting)
        assert [each.request.field_name for each in target.applied] == ["f2", "f0", "f1"]
        assert operations.troubles == {}
        assert context.target.outages > outages, "what the target may have forgotten is to be looked at"
    finally:
        feed.close()


def index_of(collection: str, at: Tso, field: str = "vector") -> bytes:
    base = common_pb2.MsgBase(msg_type=common_pb2.CreateIndex, msgID=1, timestamp=at)
    request = milvus_pb2.CreateIndexRequest(base=base, collection_name=collection, field_name=field)
    return request.SerializeToString()


def _sweep_until(operations: Operations, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while True:
        operations.sweep()
        if condition():
            return
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
