"""What every target does, on a standby Milvus and on its twin in memory."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cdc_core.codec import merge, rewrite
from cdc_core.codec.operation import OperationKind
from cdc_core.errors import Refused
from cdc_core.model.catalog import Collection, Serving
from cdc_core.model.timestamp import Tso
from cdc_core.sink.base import MAX_MESSAGE_BYTES, TargetCollection
from cdc_core.sink.compare import difference
from tests.contract.targets import (
    TIMEOUT,
    InMemory,
    RealStandby,
    RealTopic,
    Target,
    Times,
    address,
    apply_until_taken,
    drop,
    flowing,
    fresh,
    index,
    operation,
)
from tests.messages import (
    KEY,
    VECTOR,
    DataType,
    collection,
    delete,
    insert,
    parsed,
    schema_field,
    simple_insert,
    vectors,
)

pytestmark = pytest.mark.contract
EVERY_FIELD = (
    KEY,
    schema_field(101, "flag", DataType.Bool),
    schema_field(102, "tiny", DataType.Int8),
    schema_field(103, "short", DataType.Int16),
    schema_field(104, "int", DataType.Int32),
    schema_field(105, "long", DataType.Int64),
    schema_field(106, "real", DataType.Float),
    schema_field(107, "double", DataType.Double),
    schema_field(108, "text", DataType.VarChar, max_length=100),
    schema_field(109, "json", DataType.JSON),
    schema_field(110, "list", DataType.Array, element_type=DataType.Int64, max_capacity=8),
    schema_field(111, "v", DataType.FloatVector, dim=4),
)
META = schema_field(112, "$meta", DataType.JSON, is_dynamic=True)


every_target = pytest.mark.parametrize("target", ["memory", "milvus", "kafka"], indirect=True, scope="module")
"""The objects of a Kafka topic are remembered; its rows have a suite of their own (test_kafka_sink.py)."""


@pytest.fixture(scope="module", params=["memory", "milvus"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    if request.param == "memory":
        yield InMemory()
        return
    if request.param == "kafka":
        real: Any = RealTopic(request.getfixturevalue("kafka_server"))
    else:
        real = RealStandby(request.getfixturevalue("standby_server"))
    yield real
    real.close()


@pytest.fixture(autouse=True)
def _no_violations(target: Target) -> Iterator[None]:
    yield
    if isinstance(target, InMemory):
        assert target.memory.violations == []


@pytest.fixture(scope="module")
def times(target: Target) -> Times:
    return Times(target)


@pytest.fixture
def make(target: Target, times: Times) -> Iterator[Callable[[Collection], TargetCollection]]:
    made: list[TargetCollection] = []

    def create(wanted: Collection) -> TargetCollection:
        target.catalog.create_collection(wanted)
        described = target.catalog.describe(wanted.database, wanted.name)
        assert described is not None
        made.append(described)
        return described

    yield create
    for each in made:
        drop(target, times, each)


class Rows:
    """A loaded collection of the target, and sending to it."""

    def __init__(self, target: Target, times: Times, described: TargetCollection) -> None:
        self.target, self.times, self.described = target, times, described
        target.load(described)

    def send(self, *requests: Any, tick: Tso | None = None, shard: int = 0) -> None:
        messages = [parsed(request.SerializeToString()) for request in requests]
        self.send_payloads(
            [rewrite.in_step(message, address(self.described, shard)) for message in messages],
            min(message.first for message in messages),
            max(message.last for message in messages),
            tick,
            shard,
        )

    def send_payloads(
        self, payloads: list[bytes], begin: Tso, end: Tso, tick: Tso | None = None, shard: int = 0
    ) -> None:
        pchannel = self.described.vchannels[shard].pchannel
        self.target.sink.send(pchannel, payloads, begin=begin, end=end, tick=tick, timeout=TIMEOUT)

    def settled(self, count: int) -> list[Any]:
        """Tick until so many rows are counted, and a little longer; answers the keys."""
        give_up = time.monotonic() + 20
        while True:
            self.times.tick()
            if self.target.count(self.described) == count or time.monotonic() > give_up:
                break
            time.sleep(0.1)
        if isinstance(self.target, RealStandby):
            time.sleep(0.5)
        assert self.target.count(self.described) == count
        return self.target.keys(self.described)


@pytest.fixture
def rows(target: Target, times: Times, make: Callable[[Collection], TargetCollection]) -> Rows:
    return Rows(target, times, make(collection(fresh("rows"))))


# Objects


def test_a_collection_is_made_once_and_dropped_once(target: Target, times: Times) -> None:
    """Creating an existing one and dropping a missing one are no work."""
    wanted = collection(fresh("twice"), shards=2)
    assert target.catalog.describe(wanted.database, wanted.name) is None

    target.catalog.create_collection(wanted)
    first = target.catalog.describe(wanted.database, wanted.name)
    target.catalog.create_collection(wanted)
    assert target.catalog.describe(wanted.database, wanted.name) == first
    assert first is not None
    assert {channel.pchannel for channel in first.vchannels} <= target.catalog.pchannels()
    assert wanted.name in target.catalog.collections(wanted.database)
    assert first.id in target.catalog.ids(wanted.database)

    for _ in range(2):
        drop(target, times, first)
        assert target.catalog.describe(wanted.database, wanted.name) is None
        assert first.id not in target.catalog.ids(wanted.database)


@every_target
@pytest.mark.parametrize(
    ("fields", "more"),
    [
        pytest.param((KEY, VECTOR), {}, id="simple"),
        pytest.param((*EVERY_FIELD, META), {"enable_dynamic_field": True}, id="every type, dynamic"),
        pytest.param(
            (KEY, schema_field(101, "v", DataType.BinaryVector, dim=16)),
            {},
            id="binary vector",
        ),
        pytest.param(
            (schema_field(100, "id", DataType.Int64, is_primary_key=True, autoID=True), VECTOR), {}, id="autoID"
        ),
        pytest.param(
            (schema_field(100, "id", DataType.VarChar, is_primary_key=True, max_length=64), VECTOR), {}, id="text key"
        ),
        pytest.param(
            (KEY, VECTOR, schema_field(102, "tenant", DataType.VarChar, max_length=64, is_partition_key=True)),
            {"partitions": [f"_default_{number}" for number in range(7)]},
            id="partition key",
        ),
        pytest.param((KEY, VECTOR), {"shards": 3}, id="shards"),
    ],
)
def test_the_made_collection_is_the_twin_of_the_source_s(
    make: Callable[[Collection], TargetCollection], fields: Any, more: Any
) -> None:
    """Fields, their ids, shards and partitions come out equal."""
    wanted = collection(fresh("twin"), fields, **more)
    made = make(wanted)
    assert difference(wanted, made) is None
    assert sorted(made.partitions) == sorted(each.name for each in wanted.partitions)
    assert made.consistency_level == wanted.consistency_level


@every_target
def test_a_collection_that_differs_is_left_alone_and_named(make: Callable[[Collection], TargetCollection]) -> None:
    other = collection(fresh("differs"), (KEY, schema_field(101, "v", DataType.FloatVector, dim=8)))
    make(other)
    wanted = replace(collection(other.name), created=other.created)
    assert difference(wanted, make(wanted)) == "field 'v' has dim 4, on the target 8"


@every_target
def test_databases_are_made_and_dropped_once(target: Target, times: Times) -> None:
    name = fresh("db")
    for _ in range(2):
        target.catalog.create_database(name, {})
        assert name in target.catalog.databases()
    wanted = collection("inside", database=name)
    assert target.catalog.database_properties("no_such_database") is None
    target.catalog.create_collection(wanted)
    assert target.catalog.collections(name) == {"inside"}
    with pytest.raises(Refused):
        target.catalog.drop_database(name)
    with pytest.raises(Refused):
        target.catalog.create_collection(replace(wanted, database="no_such_database"))
    inside = target.catalog.describe(name, "inside")
    assert inside is not None
    drop(target, times, inside)
    for _ in range(2):
        target.catalog.drop_database(name)
        assert name not in target.catalog.databases()
    assert target.catalog.describe(name, "inside") is None
    assert target.catalog.collections(name) == frozenset()


@every_target
def test_partitions_are_made_and_dropped_once_also_of_a_loaded_collection(target: Target, rows: Rows) -> None:
    where = rows.described.database, rows.described.name
    for _ in range(2):
        target.catalog.create_partition(*where, "p1", rows.times.next())
    described = target.catalog.describe(*where)
    assert described is not None
    assert sorted(described.partitions) == ["_default", "p1"]
    for _ in range(2):
        target.catalog.drop_partition(*where, "p1", rows.times.next())
    described = target.catalog.describe(*where)
    assert described is not None
    assert sorted(described.partitions) == ["_default"]
    with pytest.raises(Refused):
        target.catalog.create_partition("default", "no_such_collection", "p1", rows.times.next())


@every_target
def test_operations_applied_twice_are_applied_once(target: Target, rows: Rows) -> None:
    database, name = rows.described.database, rows.described.name
    other = fresh("db")
    twice = [
        index(database, name),
        operation(OperationKind.LOAD_COLLECTION, database, name, replica_number=1),
        operation(OperationKind.FLUSH, database, name, collection_names=["of_the_source"]),
        operation(OperationKind.CREATE_DATABASE, other),
    ]
    with flowing(rows.times):
        for wanted in twice + twice:
            apply_until_taken(target.catalog, wanted)
    for _ in range(2):
        target.catalog.apply(operation(OperationKind.RELEASE_COLLECTION, database, name))
        target.catalog.apply(operation(OperationKind.DROP_INDEX, database, name, index_name="of_v", field_name="v"))
        target.catalog.apply(operation(OperationKind.DROP_DATABASE, other))
    assert other not in target.catalog.databases()


@every_target
def test_operations_on_what_is_gone(target: Target) -> None:
    """Release, flush and drop find nothing to do; load and index can never succeed."""
    for kind in (OperationKind.RELEASE_COLLECTION, OperationKind.FLUSH, OperationKind.DROP_INDEX):
        target.catalog.apply(operation(kind, "default", "never_was"))
    with pytest.raises(Refused):
        target.catalog.apply(operation(OperationKind.LOAD_COLLECTION, "default", "never_was"))
    with pytest.raises(Refused):
        target.catalog.apply(index("default", "never_was"))


@every_target
def test_aliases_are_put_moved_and_dropped_once(target: Target, make: Callable[[Collection], TargetCollection]) -> None:
    one, other, alias = make(collection(fresh("one"))), make(collection(fresh("other"))), fresh("alias")
    for made, left in ((one, other), (other, one)):
        for _ in range(2):
            target.catalog.put_alias(made.database, made.name, alias)
            assert _described(target, made).aliases == {alias}
            assert _described(target, left).aliases == frozenset()
    for _ in range(2):
        target.catalog.drop_alias(other.database, alias)
        assert _described(target, other).aliases == frozenset()


@every_target
def test_an_alias_cannot_have_the_name_of_a_collection(
    target: Target, make: Callable[[Collection], TargetCollection]
) -> None:
    one, other = make(collection(fresh("one"))), make(collection(fresh("other")))
    with pytest.raises(Refused):
        target.catalog.put_alias(one.database, one.name, other.name)
    with pytest.raises(Refused):
        target.catalog.put_alias(one.database, "never_was", fresh("alias"))


@every_target
def test_a_collection_is_renamed_with_its_rows(target: Target, rows: Rows) -> None:
    name, other = rows.described.name, fresh("renamed")
    target.catalog.rename_collection("default", name, "default", other)
    found = target.catalog.describe("default", other)
    assert found is not None
    assert (found.id, found.name) == (rows.described.id, other)
    assert target.catalog.describe("default", name) is None
    with pytest.raises(Refused):
        target.catalog.rename_collection("default", name, "default", fresh("renamed"))
    target.catalog.rename_collection("default", other, "default", name)


@every_target
def test_properties_are_altered(target: Target, make: Callable[[Collection], TargetCollection]) -> None:
    made = make(collection(fresh("altered")))
    for seconds in ("3600", "7200"):
        target.catalog.alter_collection(made.database, made.name, {"collection.ttl.seconds": seconds})
        assert _described(target, made).properties["collection.ttl.seconds"] == seconds
    with pytest.raises(Refused):
        target.catalog.alter_collection(made.database, "never_was", {"collection.ttl.seconds": "1"})


@every_target
def test_what_serves_a_collection(target: Target, times: Times, make: Callable[[Collection], TargetCollection]) -> None:
    made = make(collection(fresh("served")))
    database, name = made.database, made.name
    assert target.catalog.serving(database, name) == Serving()
    with flowing(times):
        apply_until_taken(target.catalog, index(database, name))
        apply_until_taken(target.catalog, operation(OperationKind.LOAD_COLLECTION, database, name, replica_number=1))
    served = target.catalog.serving(database, name)
    assert [(each.name, each.field) for each in served.indexes] == [("of_v", "v")]
    assert served.indexes[0].params["index_type"] == "FLAT"
    assert served.replicas == 1
    target.catalog.apply(operation(OperationKind.RELEASE_COLLECTION, database, name))
    assert target.catalog.serving(database, name).replicas == 0
    with pytest.raises(Refused):
        target.catalog.serving(database, "never_was")


def _described(target: Target, made: TargetCollection) -> TargetCollection:
    found = target.catalog.describe(made.database, made.name)
    assert found is not None
    return found


@every_target
def test_partitions_are_loaded_and_released(
    target: Target, times: Times, make: Callable[[Collection], TargetCollection]
) -> None:
    """Also twice, and one that is gone: its drop comes over the channels."""
    made = make(collection(fresh("parts")))
    database, name = made.database, made.name
    target.catalog.create_partition(database, name, "p1", times.next())
    with flowing(times):
        apply_until_taken(target.catalog, index(database, name))
        for _ in range(2):
            load = operation(OperationKind.LOAD_PARTITIONS, database, name, partition_names=["p1"], replica_number=1)
            apply_until_taken(target.catalog, load)
        assert target.catalog.serving(database, name).replicas == 1
    for kind in (OperationKind.LOAD_PARTITIONS, OperationKind.RELEASE_PARTITIONS):
        target.catalog.apply(operation(kind, database, name, partition_names=["never_was"]))
    for _ in range(2):
        target.catalog.apply(operation(OperationKind.RELEASE_PARTITIONS, database, name, partition_names=["p1"]))


# Rows


def test_every_shard_has_a_channel(make: Callable[[Collection], TargetCollection]) -> None:
    assert [channel.shard for channel in make(collection(fresh("shards"), shards=2)).vchannels] == [0, 1]


def test_rows_are_visible_after_the_tick_and_not_before(rows: Rows) -> None:
    rows.send(simple_insert([1, 2, 3], rows.times.next()))
    time.sleep(1.0 if isinstance(rows.target, RealStandby) else 0)
    assert rows.target.count(rows.described) == 0
    assert rows.settled(3) == [1, 2, 3]


def test_a_resend_before_the_tick_counts_once(rows: Rows) -> None:
    at = rows.times.next()
    request = simple_insert([1, 2], at)
    for _ in range(3):
        rows.send(request)
    rows.send(request, tick=at)
    assert rows.settled(2) == [1, 2]


def test_deletes_of_one_partition_and_of_all(rows: Rows) -> None:
    rows.send(simple_insert([1, 2, 3], rows.times.next()))
    rows.send(delete([1], rows.times.next(), partition=(441, "_default")), delete([2], rows.times.next()))
    assert rows.settled(1) == [3]


def test_an_upsert_keeps_its_new_row_however_it_is_sent(rows: Rows) -> None:
    """At the source it is an insert and then a delete of one timestamp."""
    rows.send(simple_insert([1, 2], rows.times.next()))
    rows.settled(2)
    at = rows.times.next()
    rows.send(simple_insert([1], at), delete([1], at))
    at = rows.times.next()
    rows.send(delete([2], at), simple_insert([2], at))
    assert rows.settled(2) == [1, 2]


def test_a_merged_window_is_what_its_messages_were(rows: Rows) -> None:
    """40 one-row inserts, an upsert and a delete become few messages with many timestamps."""
    at = rows.times.next()
    requests: list[Any] = [simple_insert([key], at + key) for key in range(40)]
    requests += [simple_insert([5], at + 50), delete([5], at + 50), delete([6, 7], at + 60), delete([99], at + 61)]
    merged = merge.merge([parsed(request.SerializeToString()) for request in requests])
    assert len(merged) == 2
    payloads = [rewrite.in_step(message, address(rows.described)) for message in merged]
    rows.send_payloads(payloads, at, Tso(at + 61))
    rows.send_payloads(payloads, at, Tso(at + 61))
    assert rows.settled(38) == [key for key in range(40) if key not in (6, 7)]


def test_a_restamped_batch_keeps_its_order(rows: Rows) -> None:
    """Rows from long before the last tick, made new: insert, delete, insert again, upsert."""
    old = Tso.of(1_700_000_000_000)
    requests: list[Any] = [simple_insert([1, 2], old), delete([1], old + 1), simple_insert([1], old + 2)]
    requests += [simple_insert([2], old + 3), delete([2], old + 3), delete([1], old + 4)]
    messages = [parsed(request.SerializeToString()) for request in requests]
    base = rows.times.next()
    distinct = sorted({stamp for message in messages for stamp in rewrite.row_timestamps(message)})
    stamps = {stamp: base + place for place, stamp in enumerate(distinct)}
    payloads = [rewrite.restamped(message, address(rows.described), stamps) for message in messages]
    rows.send_payloads(payloads, base, Tso(base + len(stamps)))
    assert rows.settled(1) == [2]


def test_every_shard_gets_its_rows_over_its_own_channel(
    target: Target, times: Times, make: Callable[[Collection], TargetCollection]
) -> None:
    rows = Rows(target, times, make(collection(fresh("shards"), shards=3)))
    for shard in range(3):
        rows.send(simple_insert([shard], times.next()), shard=shard)
    assert rows.settled(3) == [0, 1, 2]


def test_rows_of_every_type_arrive_as_they_are(
    target: Target, times: Times, make: Callable[[Collection], TargetCollection]
) -> None:
    rows = Rows(target, times, make(collection(fresh("types"), (*EVERY_FIELD, META), enable_dynamic_field=True)))
    values: dict[str, Any] = {
        "id": [1, 2],
        "flag": [True, False],
        "tiny": [-128, 127],
        "short": [-32768, 1],
        "int": [-(2**31), 1],
        "long": [-(2**63), 2**63 - 1],
        "real": [0.5, -0.25],
        "double": [1e300, -1e-300],
        "text": ["", "ünï"],
        "json": [b'{"a":1}', b'{"b":[1,2]}'],
        "list": [[1, 2], [3]],
        "v": vectors(2),
        "$meta": [b'{"x":1}', b"{}"],
    }
    at = times.next()
    one = [{name: column[row : row + 1] for name, column in values.items()} for row in range(2)]
    requests = [insert(each, at, fields=(*EVERY_FIELD, META)) for each in one]
    merged = merge.merge([parsed(request.SerializeToString()) for request in requests])
    rows.send_payloads([rewrite.in_step(message, address(rows.described)) for message in merged], at, at)
    rows.settled(2)
    if isinstance(target, RealStandby):
        found = {row["id"]: row for row in target.rows(rows.described)}
        for place, key in enumerate(values["id"]):
            for name in ("flag", "tiny", "short", "int", "long", "real", "double", "text", "v"):
                assert found[key][name] == values[name][place], name
            assert list(found[key]["list"]) == values["list"][place]
        assert found[1]["json"] == {"a": 1}
        assert found[1]["x"] == 1


def test_a_message_that_is_too_large_is_refused_before_anything_is_sent(rows: Rows) -> None:
    at = rows.times.next()
    good = rewrite.in_step(parsed(simple_insert([1], at).SerializeToString()), address(rows.described))
    with pytest.raises(Refused):
        rows.send_payloads([good, bytes(MAX_MESSAGE_BYTES + 1)], at, at)
    assert rows.settled(0) == []


def test_drop_messages_are_taken_by_the_channels(target: Target, rows: Rows) -> None:
    """After a drop by API; other collections of the channels go on."""
    dropped = rows.described
    target.catalog.drop_collection(dropped.database, dropped.name, rows.times.next())
    at = rows.times.next()
    message = rewrite.drop_collection_message(address(dropped), 1, at)
    for _ in range(2):
        rows.send_payloads([message], at, at, tick=Tso(at + 1))


def test_a_partition_s_drop_message_is_taken(target: Target, rows: Rows) -> None:
    where = rows.described.database, rows.described.name
    target.catalog.create_partition(*where, "gone", rows.times.next())
    described = target.catalog.describe(*where)
    assert described is not None
    target.catalog.drop_partition(*where, "gone", rows.times.next())
    at = rows.times.next()
    rows.send_payloads([rewrite.drop_partition_message(address(described, 0, "gone"), 2, at)], at, at, tick=at)
    rows.send(simple_insert([1], rows.times.next()))
    assert rows.settled(1) == [1]


def test_a_standby_passes_the_check(target: Target) -> None:
    target.sink.check(TIMEOUT)
