"""The comparison of two Milvus, on two databases of a real one."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient

from deploy.local import Stack
from deploy.local.compare import NotEqualError, Side, compare, compare_sides, wait_equal, wait_same_collections

pytestmark = pytest.mark.integration

NAME = "films"


@pytest.fixture
def sides(rocksmq_stack: Stack) -> Iterator[tuple[Side, Side]]:
    with Side(rocksmq_stack.source.uri) as default:
        for database in ("ours", "theirs"):
            with contextlib.suppress(Exception):
                default.client.create_database(database)
    with Side(rocksmq_stack.source.uri, "ours") as ours, Side(rocksmq_stack.source.uri, "theirs") as theirs:
        yield ours, theirs
        for side in (ours, theirs):
            side.client.drop_collection(NAME)


def make(client: MilvusClient, key: DataType = DataType.INT64, dim: int = 8, shards: int = 1) -> None:
    schema = client.create_schema(enable_dynamic_field=True)
    schema.add_field("key", key, is_primary=True, **({"max_length": 64} if key == DataType.VARCHAR else {}))
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    schema.add_field("tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=4, max_length=16)
    schema.add_field("about", DataType.JSON)
    schema.add_field("score", DataType.DOUBLE)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(NAME, schema=schema, index_params=index, num_shards=shards)
    client.load_collection(NAME)


def a_row(key: Any, **more: Any) -> dict[str, Any]:
    number = float(hash(key) % 97)
    row = {"key": key, "vector": [number / 3] * 8, "tags": ["a", str(key)], "about": {"of": key}, "score": number}
    return {**row, "more": key, **more}


KEYS: dict[DataType, Callable[[int], Any]] = {
    DataType.INT64: lambda number: number * 7 - 3_000,
    DataType.VARCHAR: lambda number: f'{number}é"\\',
}


@pytest.mark.parametrize("kind", KEYS, ids=lambda kind: kind.name)
def test_every_row_that_is_not_the_same_is_named(kind: DataType, sides: tuple[Side, Side]) -> None:
    ours, theirs = sides
    keys = [KEYS[kind](number) for number in range(1_000)]
    for side in sides:
        make(side.client, kind)
        side.client.create_partition(NAME, "p")
    ours.client.insert(NAME, [a_row(key) for key in keys])
    theirs.client.insert(NAME, [a_row(key) for key in keys[2:]])
    theirs.client.upsert(NAME, [a_row(keys[5], more="other")])
    theirs.client.insert(NAME, [a_row(keys[0])], partition_name="p")

    found = compare_sides(ours, theirs, NAME)

    assert set(found.missing) == {("_default", keys[0]), ("_default", keys[1])}
    assert found.different == (("_default", keys[5]),)
    assert found.surplus == (("p", keys[0]),)
    assert (found.rows_source, found.count_source) == (1_000, 1_000)
    assert (found.rows_target, found.count_target) == (999, 999)
    assert found.mismatches == 4
    assert "2 missing" in str(found)
    assert not found.equal


def test_a_key_that_is_stored_twice_is_found_by_count(sides: tuple[Side, Side]) -> None:
    for side in sides:
        make(side.client, shards=2)
        side.client.insert(NAME, [a_row(key) for key in range(100)])
    assert compare_sides(*sides, NAME).equal

    sides[1].client.insert(NAME, [a_row(7)])

    found = compare_sides(*sides, NAME)
    assert (found.missing, found.surplus, found.different) == ((), (), ())
    assert (found.rows_target, found.count_target, found.mismatches) == (100, 101, 1)


def test_other_properties_and_partitions_are_named(sides: tuple[Side, Side]) -> None:
    for side, shards in zip(sides, (1, 2), strict=True):
        make(side.client, shards=shards)
    sides[0].client.create_partition(NAME, "p")

    told = str(compare_sides(*sides, NAME))

    assert "num_shards is 1, on the target 2" in told
    assert "partition 'p' is missing on the target" in told


def test_more_rows_than_one_answer_holds(sides: tuple[Side, Side]) -> None:
    """With duplicates among them: a page of them has fewer rows than its limit and is not the last."""
    for side in sides:
        make(side.client)
        for start in range(0, 30_000, 5_000):
            side.client.insert(NAME, [a_row(key) for key in range(start, start + 5_000)])
        side.client.insert(NAME, [a_row(key) for key in range(100)])

    found = compare_sides(*sides, NAME)

    assert found.equal
    assert (found.rows_source, found.count_source) == (30_000, 30_100)


def test_waiting_ends_with_what_is_different(rocksmq_stack: Stack) -> None:
    source, target = rocksmq_stack.source.uri, rocksmq_stack.target.uri
    name = "only_here"
    with Side(source) as side:
        side.client.create_collection(name, dimension=4)
        try:
            assert compare(source, source, name).equal
            assert wait_equal(source, source, name).count_target == 0
            with pytest.raises(NotEqualError, match=name):
                wait_equal(source, target, name, timeout=0.5)
            with pytest.raises(AssertionError, match=name):
                wait_same_collections(source, target, timeout=0.5)
            assert name in wait_same_collections(source, source)
        finally:
            side.client.drop_collection(name)
