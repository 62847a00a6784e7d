"""What a user of a replicated Milvus may do, and what the standby holds afterwards; on Kafka and on RocksMQ."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient

from deploy.local.system import Refused
from tests.every_kind import every_value, make_every_kind
from tests.replication import OwnDatabase, Replication, a_name, await_that
from tests.workload import SHAPES, Shape, Workload, make_collection, rows

pytestmark = pytest.mark.integration

on_kafka = pytest.mark.parametrize("replication", ["kafka"], indirect=True)
"""Where the source's queue makes no difference."""
_QUIET_SECONDS = 3.0  # what would arrive has arrived within a tenth of this, as a rule


@pytest.fixture
def name(replication: Replication) -> Iterator[str]:
    """Of a collection in `default`, dropped at the end."""
    found = a_name()
    yield found
    if replication.source.has_collection(found):
        replication.source.drop_collection(found)
    replication.gone([found])


# what a collection is


@on_kafka
def test_every_kind_of_column_arrives(replication: Replication, name: str) -> None:
    """Given a column of every type and keys that the schema does not name, then description and rows are equal."""
    source = replication.source
    make_every_kind(source, name)
    _index(source, name, "L2")
    source.insert(name, [every_value(number) for number in range(300)])
    source.upsert(name, [every_value(number, 1) for number in range(100, 150)])
    replication.equal([name])
    assert replication.target.describe_collection(name)["description"] == "of every kind"


@on_kafka
@pytest.mark.parametrize(
    ("kind", "metric", "vector"),
    [
        (DataType.BINARY_VECTOR, "HAMMING", lambda number: number.to_bytes(4, "little")),
        (DataType.FLOAT16_VECTOR, "L2", lambda number: number.to_bytes(2, "little") * 32),
    ],
    ids=["binary", "float16"],
)
def test_other_vectors_arrive(
    replication: Replication, name: str, kind: DataType, metric: str, vector: Callable[[int], bytes]
) -> None:
    source = replication.source
    schema = source.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", kind, dim=32)
    source.create_collection(name, schema=schema)
    _index(source, name, metric)
    source.insert(name, [{"id": number, "vector": vector(number)} for number in range(200)])
    replication.equal([name])


@on_kafka
@pytest.mark.parametrize(
    "shape",
    [
        Shape(auto_id=True),
        Shape(auto_id=True, varchar_key=True, shards=2),
        Shape(varchar_key=True, dynamic=True, shards=4),
        Shape(partition_key=True, shards=2),
    ],
    ids=["auto-id", "auto-varchar", "varchar-4-shards", "partition-key"],
)
def test_keys_and_shards_of_every_kind_arrive(replication: Replication, shape: Shape) -> None:
    """Given inserts, deletes and upserts, then both sides are described alike, with as many partitions, and equal."""
    with Workload(replication.stack.source.uri, seed=1, collections=1, shapes=[shape]) as work:
        work.run(operations=30)
        replication.equal(work.names)
    replication.gone(work.names)


@on_kafka
def test_properties_and_descriptions_arrive(replication: Replication, name: str) -> None:
    source = replication.source
    schema = source.create_schema(description="with properties")
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=8)
    source.create_collection(
        name, schema=schema, consistency_level="Eventually", properties={"collection.ttl.seconds": "86400"}
    )
    await_that(lambda: replication.target.has_collection(name), "the collection is on the target")
    ours, theirs = source.describe_collection(name), replication.target.describe_collection(name)
    for what in ("properties", "description", "consistency_level", "num_shards"):
        assert theirs[what] == ours[what], what
    assert ours["properties"]["collection.ttl.seconds"] == "86400"


def test_large_rows_and_many_arrive(replication: Replication, name: str) -> None:
    """Given inserts of several MB, which are never merged, between single rows, which are."""
    source = replication.source
    schema = source.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("text", DataType.VARCHAR, max_length=60_000)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=8)
    source.create_collection(name, schema=schema, num_shards=2)
    _index(source, name, "L2")
    key = 0
    for _ in range(4):
        for size, count in ((50_000, 100), (10, 1), (10, 1), (1_000, 3_000)):
            batch = [{"id": key + n, "text": "x" * size, "vector": [float(n)] * 8} for n in range(count)]
            source.insert(name, batch)
            key += count
    assert replication.equal([name])[0].count_target == key


# databases


@on_kafka
def test_databases_come_and_go(replication: Replication) -> None:
    """Given a task over a database that is made later, then it and what is in it are made, replicated and dropped."""
    name = a_name("db")
    task = replication.create({name: [{"name": "*"}]})
    replication.source.create_database(name)
    await_that(lambda: name in replication.target.list_databases(), "the database is on the target")
    with Workload(replication.stack.source.uri, seed=2, collections=2, database=name) as work:
        work.run(operations=30)
        replication.equal(work.names, name)
    replication.gone(work.names, name)
    await_that(lambda: _dropped(replication.source, name), "the source lets go of the database")
    await_that(lambda: name not in replication.target.list_databases(), "the database is gone on the target")
    replication.delete(task)


@on_kafka
def test_one_name_in_two_databases_are_two_collections(replication: Replication, own: OwnDatabase, name: str) -> None:
    own.task()
    for client, count in ((replication.source, 10), (own.source, 20)):
        make_collection(client, name, Shape())
        client.insert(name, list(rows(count)))
    assert replication.equal([name])[0].count_target == 10
    assert own.equal(name)[0].count_target == 20


# operations


@on_kafka
def test_operations_arrive_in_order_with_the_rows(replication: Replication, name: str) -> None:
    """Given an index made, loaded, flushed, released, dropped and made anew, then the target follows every step; what
    a flush wrote at the source is flushed at the target.
    """
    source, target = replication.source, replication.target
    make_collection(source, name, Shape(shards=2))
    source.insert(name, list(rows(500)))
    source.flush(name)
    await_that(lambda: _flushed_rows(target, name) == 500, "500 rows are flushed on the target")
    replication.equal([name])
    source.release_collection(name)
    await_that(lambda: "NotLoad" in str(target.get_load_state(name)["state"]), "it is released on the target")
    source.drop_index(name, "vector")
    await_that(lambda: not target.list_indexes(name), "the index is gone on the target")
    source.insert(name, list(rows(100, 500)))
    _index(source, name, "IP", kind="HNSW", params={"M": 8, "efConstruction": 32})
    replication.equal([name])
    assert _index_of(target, name) == _index_of(source, name)


def test_operations_of_a_backlog_arrive(replication: Replication, own: OwnDatabase) -> None:
    """Given a paused task, when everything was done to a collection meanwhile, then after the resume all is alike."""
    task = own.task()
    make_collection(own.source, "steps", Shape(shards=2))
    own.equal("steps")
    replication.api.pause(task)
    own.source.insert("steps", list(rows(300)))
    own.source.flush("steps")
    own.source.release_collection("steps")
    own.source.drop_index("steps", "vector")
    own.source.delete("steps", ids=list(range(50)))
    _index(own.source, "steps", "IP")
    own.source.insert("steps", list(rows(10, 300)))
    replication.api.resume(task)
    assert own.equal("steps")[0].count_target == 260
    with closing(own.target()) as target:
        assert _index_of(target, "steps")["metric_type"] == "IP"


# where replication begins


def test_an_older_collection_is_replicated_from_now_on(own: OwnDatabase) -> None:
    """Given rows from before the task and rows from after it, then only those after it are on the target."""
    make_collection(own.source, "older", Shape(shards=2), load=False)
    own.source.insert("older", list(rows(100)))
    own.task()
    own.source.insert("older", list(rows(50, 100)))
    await_that(lambda: "older" in own.on_target(), "the collection is on the target")
    _index(own.source, "older", "L2")
    with closing(own.target()) as target:
        await_that(lambda: _keys(target, "older") == set(range(100, 150)), "the later rows are on the target")


def test_an_older_collection_is_replicated_from_its_own_start(own: OwnDatabase) -> None:
    make_collection(own.source, "whole", Shape(shards=2, partitions=True), load=False)
    own.source.insert("whole", list(rows(100)))
    own.source.create_partition("whole", "p")
    own.source.insert("whole", list(rows(20, 100)), partition_name="p")
    own.task({"name": "whole", "use_start_position": True})
    await_that(lambda: "whole" in own.on_target(), "the collection is on the target")
    own.source.insert("whole", list(rows(50, 120)))
    _index(own.source, "whole", "L2")
    assert own.equal("whole")[0].count_target == 170


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_what_happens_while_all_workers_are_down_is_made_up_for(replication: Replication, name: str, end: str) -> None:
    """Given no worker, when collections and partitions are made and dropped and rows are written, then nothing is
    missing when the workers are back, not even of what was made and dropped twice under one name.
    """
    source = replication.source
    kept, dropped, again = (a_name(word) for word in ("kept", "dropped", "again"))
    for each in (kept, dropped, again):
        make_collection(source, each, Shape(shards=2))
        source.create_partition(each, "p")
        source.insert(each, list(rows(50)))
    replication.equal([kept, dropped, again])
    for worker in replication.system.workers:
        getattr(worker, end)()
    source.insert(kept, list(rows(50, 50)), partition_name="p")
    source.release_partitions(kept, ["p"])
    source.drop_partition(kept, "p")
    source.create_partition(kept, "p")
    source.insert(kept, list(rows(30, 200)), partition_name="p")
    make_collection(source, name, Shape(shards=4))
    source.insert(name, list(rows(77)))
    source.drop_collection(dropped)
    for number in range(2):
        source.insert(again, list(rows(40, 100)), partition_name="p")
        source.drop_collection(again)
        make_collection(source, again, Shape(shards=1 + number))
        source.create_partition(again, "p")
        source.insert(again, list(rows(10 + number, 300)))
    replication.system.start()
    found = replication.equal([kept, name, again])
    assert [each.count_target for each in found] == [80, 77, 11]
    replication.gone([dropped])
    for each in (kept, again):
        source.drop_collection(each)
    replication.gone([kept, again])


def test_positions_of_one_task_are_where_another_goes_on(replication: Replication, own: OwnDatabase) -> None:
    """Given a task that was paused under load and deleted, when its positions are given to a new one, then no row is
    missing and none is there twice.
    """
    first = own.task()
    with Workload(
        replication.stack.source.uri, seed=3, collections=2, database=own.name, shapes=SHAPES[:2], drops=False
    ) as work:
        work.start()
        time.sleep(3)
        replication.api.pause(first)
        replication.at_rest(first)
        positions = replication.api.position(first)["positions"]
        replication.delete(first)
        work.stop()
        infos = [{"name": name, "positions": _positions(own.source, name, positions)} for name in work.names]
        own.task(*infos)
        own.equal(*work.names)


# partitions


def test_partitions_come_and_go_with_rows_in_flight(replication: Replication, name: str) -> None:
    """Given a partition that is dropped right behind rows of it, and made again under the same name right after."""
    source, rng = replication.source, random.Random(5)
    make_collection(source, name, Shape(shards=2))
    key = 0
    for _ in range(12):
        source.create_partition(name, "p")
        for _ in range(rng.randint(1, 4)):
            count = rng.randint(1, 300)
            source.insert(name, list(rows(count, key)), partition_name=rng.choice(["p", "_default"]))
            key += count
        source.delete(name, ids=[rng.randrange(key) for _ in range(20)])
        source.release_partitions(name, ["p"])
        source.drop_partition(name, "p")
    source.create_partition(name, "p")
    source.insert(name, list(rows(5, key)), partition_name="p")
    replication.equal([name])


@on_kafka
def test_partitions_may_be_ignored(own: OwnDatabase) -> None:
    """Given `ignore_partition`, then rows of all partitions arrive in the target's default one, and stay there."""
    own.task(connect={"ignore_partition": True})
    make_collection(own.source, "flat", Shape(shards=2))
    own.source.create_partition("flat", "p")
    own.source.insert("flat", list(rows(40)), partition_name="p")
    own.source.insert("flat", list(rows(30, 40)))
    own.source.delete("flat", ids=list(range(10)), partition_name="p")
    with closing(own.target()) as target:
        await_that(lambda: _keys(target, "flat") == set(range(10, 70)), "the rows are on the target")
        assert target.list_partitions("flat") == ["_default"]
        own.source.release_partitions("flat", ["p"])
        own.source.drop_partition("flat", "p")
        own.source.insert("flat", list(rows(5, 100)))
        await_that(lambda: _keys(target, "flat") == {*range(10, 70), *range(100, 105)}, "later rows are there too")


# tasks


@on_kafka
def test_a_collection_that_differs_on_the_target_is_refused_alone(replication: Replication, own: OwnDatabase) -> None:
    """Given a collection that exists on the target with another schema, then `get` names the difference and the other
    collections go on; when the source's is made anew, alike, it is replicated.
    """
    first = own.task()
    make_collection(own.source, "other", Shape())
    await_that(lambda: "other" in own.on_target(), "the collection is on the target")
    replication.delete(first)
    own.source.drop_collection("other")
    make_collection(own.source, "other", Shape(varchar_key=True))
    make_collection(own.source, "good", Shape())
    own.source.insert("good", list(rows(30)))
    second = own.task()
    make_collection(own.source, "later", Shape())
    await_that(lambda: "VARCHAR" in str(replication.api.get(second).get("reason")).upper(), "the difference is named")
    assert f"{own.name}.other" in replication.api.get(second)["reason"]
    assert replication.api.get(second)["state"] == "Running"
    own.source.insert("later", list(rows(20)))
    own.equal("later")
    own.source.drop_collection("other")
    make_collection(own.source, "other", Shape())
    own.source.insert("other", list(rows(10)))
    own.equal("other")


@on_kafka
def test_a_task_takes_the_collections_that_it_names(replication: Replication, own: OwnDatabase) -> None:
    """Given two tasks of one target, one over two collections, one over a third, then no other one is replicated; when
    one is paused, the other goes on.
    """
    first = own.task({"name": "a"}, {"name": "b"})
    second = own.task({"name": "c"})
    with pytest.raises(Refused) as refusal:
        own.task({"name": "b"})
    assert refusal.value.code == 400
    for each in ("a", "b", "c", "d"):
        make_collection(own.source, each, Shape(shards=2))
        own.source.insert(each, list(rows(60)))
    own.equal("a", "b", "c")
    assert own.on_target() == {"a", "b", "c"}
    replication.api.pause(first)
    for each in ("a", "b", "c"):
        own.source.insert(each, list(rows(40, 60)))
    own.equal("c")
    replication.api.resume(first)
    own.equal("a", "b", "c")
    assert own.on_target() == {"a", "b", "c"}
    assert {replication.api.get(task)["state"] for task in (first, second)} == {"Running"}


def test_a_paused_task_does_nothing_and_a_deleted_one_is_gone(replication: Replication, own: OwnDatabase) -> None:
    api, task = replication.api, own.task()
    make_collection(own.source, "rest", Shape(shards=2))
    own.source.insert("rest", list(rows(50)))
    own.equal("rest")
    api.pause(task)
    assert api.get(task)["state"] == "Paused"
    assert _code(lambda: api.pause(task)) == 400
    replication.at_rest(task)
    own.source.insert("rest", list(rows(50, 50)))
    make_collection(own.source, "new", Shape())
    with closing(own.target()) as target:
        time.sleep(_QUIET_SECONDS)
        assert _keys(target, "rest") == set(range(50))
        assert not target.has_collection("new")
        api.resume(task)
        assert api.get(task)["state"] == "Running"
        assert _code(lambda: api.resume(task)) == 400
        own.equal("rest", "new")
        replication.delete(task)
        assert _code(lambda: api.get(task)) == 400
        own.source.insert("rest", list(rows(50, 100)))
        time.sleep(_QUIET_SECONDS)
        assert _keys(target, "rest") == set(range(100))
    last = own.task({"name": "rest"}, {"name": "new"})
    await_that(lambda: len(_collections_of(api.position(last))) == 2, "a new task has taken the collections over")


def _index(client: MilvusClient, name: str, metric: str, kind: str = "", params: dict[str, Any] | None = None) -> None:
    """And load."""
    index = client.prepare_index_params()
    flat = "BIN_FLAT" if metric == "HAMMING" else "FLAT"
    index.add_index("vector", index_type=kind or flat, metric_type=metric, params=params or {})
    client.create_index(name, index)
    client.load_collection(name)


def _index_of(client: MilvusClient, name: str) -> dict[str, Any]:
    (index,) = client.list_indexes(name)
    found = client.describe_index(name, index)
    return {key: found[key] for key in ("index_type", "metric_type", "field_name", "M") if key in found}


def _keys(client: MilvusClient, name: str) -> set[int]:
    """Those that the target shows; none while it is not loaded."""
    if "Loaded" not in str(client.get_load_state(name)["state"]):
        return set()
    found = client.query(name, "id >= 0", ["id"], limit=10_000, consistency_level="Eventually")
    count = client.query(name, "", ["count(*)"], consistency_level="Eventually")[0]["count(*)"]
    keys = {row["id"] for row in found}
    return keys if count == len(keys) else {-1}


def _flushed_rows(client: MilvusClient, name: str) -> int:
    return sum(segment.num_rows for segment in client.list_persistent_segments(name))


def _positions(client: MilvusClient, name: str, positions: list[dict[str, Any]]) -> dict[str, str]:
    """Of one collection, as `create` takes them."""
    number = client.describe_collection(name)["collection_id"]
    return {each["channel_name"]: each["msg_id"] for each in positions if each["collection_id"] == number}


def _collections_of(position: dict[str, Any]) -> set[int]:
    """Which a task replicates, by its positions."""
    return {each["collection_id"] for each in position["positions"]}


def _dropped(client: MilvusClient, database: str) -> bool:
    """Milvus refuses while collections in it are being dropped."""
    try:
        client.drop_database(database)
    except Exception:
        return False
    return True


def _code(call: Callable[[], object]) -> int:
    with pytest.raises(Refused) as refusal:
        call()
    return refusal.value.code
