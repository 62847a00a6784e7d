"""What every target does that takes rows by key: on Milvus servers with ordinary settings, on the twin in memory."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cdc_core.codec.merge import merge
from cdc_core.codec.operation import OperationKind
from cdc_core.errors import Refused, TargetUnavailable
from cdc_core.model.address import Address, Row
from cdc_core.model.catalog import Collection
from cdc_core.model.message import Message
from cdc_core.model.timestamp import Tso
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.compare import difference
from cdc_core.sink.milvus_rows import DELETE_KEYS
from tests.contract.row_targets import AnyMilvus, InMemory, RowTarget
from tests.contract.targets import TIMEOUT, fresh, index, operation
from tests.messages import KEY, VECTOR, DataType, collection, delete, insert, parsed, schema_field

pytestmark = pytest.mark.contract

NOW = Tso.of(1_700_000_000_000)
TEXT_KEY = schema_field(100, "id", DataType.VarChar, is_primary_key=True, max_length=64)
OWN_KEY = schema_field(100, "id", DataType.Int64, is_primary_key=True, autoID=True)
TENANT = schema_field(102, "tenant", DataType.Int64, is_partition_key=True)
META = schema_field(120, "$meta", DataType.JSON, is_dynamic=True)
PARTITIONS = {"_default": 11, "p1": 12, "p2": 13}
"""What they are called at the source."""


@pytest.fixture(scope="module", params=["memory", "milvus", "lite"])
def target(request: pytest.FixtureRequest) -> Iterator[RowTarget]:
    found: RowTarget = (
        InMemory()
        if request.param == "memory"
        else AnyMilvus(request.getfixturevalue({"milvus": "ordinary_server", "lite": "lite_server"}[request.param]))
    )
    yield found
    found.close()


class Rows:
    """A collection of the target that can be read, and writing to it as a source's messages do."""

    def __init__(self, target: RowTarget, wanted: Collection) -> None:
        self.target, self.wanted = target, wanted
        target.catalog.create_collection(wanted)
        self.made = self.described()
        self.at = NOW

    def described(self) -> TargetCollection:
        found = self.target.catalog.describe(self.wanted.database, self.wanted.name)
        assert found is not None
        return found

    def later(self) -> Tso:
        self.at = Tso(self.at + 1)
        return self.at

    def row(self, request: Any) -> Row:
        return self.of(parsed(request.SerializeToString()))

    def of(self, message: Message) -> Row:
        name = message.partition_name
        number = self.made.partitions.get(name, -1)
        return Row(message, Address(self.made.id, message.vchannel, self.made.name, "default", number, name))

    def insert(
        self, keys: Sequence[int], value: float = 0.0, partition: str = "_default", at: Tso | None = None
    ) -> Row:
        request = insert(
            {"id": keys, "v": [[value] * 4] * len(keys)},
            at or self.later(),
            partition=(PARTITIONS[partition], partition),
        )
        return self.row(request)

    def delete(self, keys: Sequence[int], partition: str = "", at: Tso | None = None) -> Row:
        return self.row(delete(keys, at or self.later(), partition=(PARTITIONS.get(partition, -1), partition)))

    def write(self, *rows: Row) -> None:
        self.target.sink.write(rows, TIMEOUT)

    def values(self) -> dict[tuple[str, Any], float]:
        """The first number of each row's vector."""
        return {place: row["v"][0] for place, row in self.target.held(self.made).items()}


@pytest.fixture
def make(target: RowTarget) -> Iterator[Callable[..., Rows]]:
    made: list[Rows] = []

    def create(fields: Sequence[Any] = (KEY, VECTOR), *, read: bool = True, **more: Any) -> Rows:
        rows = Rows(target, collection(fresh("rows"), fields, **more))
        made.append(rows)
        if read:
            target.open(rows.made)
        return rows

    yield create
    for rows in made:
        target.catalog.drop_collection("default", rows.wanted.name, NOW)
        assert target.catalog.describe("default", rows.wanted.name) is None


@pytest.fixture(scope="module")
def shared(target: RowTarget) -> Iterator[Rows]:
    """With the partitions p1 and p2, for all tests that write rows only: a real one takes seconds to make."""
    rows = _parted(Rows(target, collection(fresh("shared"))))
    yield rows
    target.catalog.drop_collection("default", rows.wanted.name, NOW)


@pytest.fixture
def rows(shared: Rows) -> Rows:
    """The shared one without any rows."""
    if there := {key for _, key in shared.values()}:
        shared.write(shared.delete(list(there)))
    assert shared.values() == {}
    return shared


def _parted(rows: Rows) -> Rows:
    for name in ("p1", "p2"):
        rows.target.catalog.create_partition("default", rows.wanted.name, name, NOW)
    rows.target.open(rows.made)
    rows.made = rows.described()
    return rows


# Order


def test_the_last_one_stands_within_a_call_and_over_calls(rows: Rows) -> None:
    """An insert that is followed by a delete is gone, a delete that is followed by an insert is there."""
    rows.write(
        rows.insert([1, 2, 3], 1.0), rows.delete([1]), rows.insert([4], 1.0), rows.delete([5]), rows.insert([5], 2.0)
    )
    assert rows.values() == {("_default", key): value for key, value in {2: 1.0, 3: 1.0, 4: 1.0, 5: 2.0}.items()}
    rows.write(rows.delete([2]), rows.insert([3], 3.0))
    rows.write(rows.insert([2], 4.0))
    assert rows.values() == {("_default", key): value for key, value in {2: 4.0, 3: 3.0, 4: 1.0, 5: 2.0}.items()}


def test_an_upsert_is_its_new_row(rows: Rows) -> None:
    """A source writes an insert and a delete of one timestamp, in this order; both and many of them in one call."""
    rows.write(rows.insert([1, 2], 1.0))
    pairs: list[Row] = []
    for number in range(3):
        at = rows.later()
        pairs += [rows.insert([1], 10.0 + number, at=at), rows.delete([1], "_default", at=at)]
    rows.write(*pairs)
    assert rows.values() == {("_default", 1): 12.0, ("_default", 2): 1.0}


def test_rows_of_several_times_in_one_message(rows: Rows) -> None:
    """As merging makes them: a key several times in one insert, and a delete in between."""
    request = insert({"id": [1, 2, 1, 3], "v": [[1.0] * 4, [1.0] * 4, [2.0] * 4, [2.0] * 4]}, [10, 10, 30, 30])
    rows.write(rows.row(request), rows.row(delete([1, 2, 3], [20, 20, 20])))
    assert rows.values() == {("_default", 1): 2.0, ("_default", 3): 2.0}


def test_a_call_sent_again_and_older_ones_replayed_end_the_same(rows: Rows) -> None:
    """After a crash everything from a checkpoint on comes again, in the same order."""
    first = [rows.insert([1, 2, 3], 1.0)]
    second = [rows.delete([1]), rows.insert([2], 2.0)]
    third = [rows.insert([1], 3.0), rows.delete([3])]
    for call in (first, first, second, second, third, third):
        rows.write(*call)
    ended = {("_default", 1): 3.0, ("_default", 2): 2.0}
    assert rows.values() == ended
    for call in (second, third):
        rows.write(*call)
    assert rows.values() == ended
    for call in (first, second, third):
        rows.write(*call)
    assert rows.values() == ended


@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_of_changes_ends_as_row_by_row(rows: Rows, seed: int) -> None:
    """Random rows, deletes and upserts over three partitions, merged as a vchannel merges them."""
    rng, twin = random.Random(seed), _parted(Rows(InMemory(), rows.wanted))
    for _ in range(12):
        messages = [message for _ in range(rng.randint(1, 8)) for message in _change(rows, rng)]
        merged = merge(messages)
        rows.write(*map(rows.of, merged))
        twin.write(*map(twin.of, merged))
    assert rows.values() == twin.values()
    assert len(twin.values()) > 10


def _change(rows: Rows, rng: random.Random) -> list[Message]:
    partition, at = rng.choice(list(PARTITIONS)), rows.later()
    first = 0 if rows.target.keys_are_by_partition else PARTITIONS[partition] * 100
    keys = rng.sample(range(first, first + 40), rng.randint(1, 12))
    match rng.choice(["insert", "insert", "upsert", "delete", "delete everywhere"]):
        case "insert":
            return [rows.insert(keys, float(at - NOW), partition, at).message]
        case "upsert":
            deleted = rows.delete(keys, partition, at)
            return [rows.insert(keys, float(at - NOW), partition, at).message, deleted.message]
        case "delete":
            return [rows.delete(keys, partition, at).message]
    return [rows.delete(keys, at=at).message]


# Partitions


def test_a_partition_is_meant_where_one_is_named(rows: Rows) -> None:
    rows.write(rows.insert([1, 2], 1.0), rows.insert([3, 4], 1.0, "p1"), rows.insert([5], 1.0, "p2"))
    rows.write(rows.delete([3], "p1"), rows.delete([5]))
    assert rows.values() == {("_default", 1): 1.0, ("_default", 2): 1.0, ("p1", 4): 1.0}
    if rows.target.keys_are_by_partition:
        rows.write(rows.delete([1, 2], "p1"), rows.delete([4]))
        assert rows.values() == {("_default", 1): 1.0, ("_default", 2): 1.0}


def test_a_key_may_be_in_several_partitions(rows: Rows) -> None:
    """An upsert into another one leaves the old row, as at the source. Milvus Lite has each key once, and a delete
    takes it wherever it is.
    """
    for partition in ("_default", "p1", "p2"):
        rows.write(rows.insert([1, 2], 1.0, partition))
    rows.write(rows.delete([1], "p1"))
    at = rows.later()
    rows.write(rows.insert([2], 2.0, "p2", at), rows.delete([2], "p2", at))
    if not rows.target.keys_are_by_partition:
        assert rows.values() == {("p2", 2): 2.0}
        return
    assert rows.values() == {
        ("_default", 1): 1.0,
        ("p2", 1): 1.0,
        ("_default", 2): 1.0,
        ("p1", 2): 1.0,
        ("p2", 2): 2.0,
    }
    rows.write(rows.delete([2]), rows.insert([2], 3.0, "p1"))
    assert {place: value for place, value in rows.values().items() if place[1] == 2} == {("p1", 2): 3.0}


def test_a_partition_is_dropped_with_its_rows_and_one_that_is_not_there_is_refused(make: Callable[..., Rows]) -> None:
    rows = _parted(make(read=False))
    rows.write(rows.insert([1], 1.0, "p1"), rows.insert([2], 1.0))
    for _ in range(2):
        rows.target.catalog.drop_partition("default", rows.wanted.name, "p1", NOW)
    assert sorted(rows.described().partitions) == ["_default", "p2"]
    assert rows.values() == {("_default", 2): 1.0}
    if not isinstance(rows.target, InMemory):
        with pytest.raises(Refused, match="p1"):
            rows.write(rows.insert([1], 1.0, "p1"))


def test_with_a_partition_key_the_key_finds_its_partition(make: Callable[..., Rows]) -> None:
    """The messages name the source's partitions, of which the target may have another number."""
    names = [f"_default_{number}" for number in range(3)]
    rows = make((KEY, VECTOR, TENANT), partitions=names)
    fields = (KEY, VECTOR, TENANT)

    def inserted(keys: Sequence[int], tenant: int) -> Row:
        columns = {"id": keys, "v": [[1.0] * 4] * len(keys), "tenant": [tenant] * len(keys)}
        return rows.row(insert(columns, rows.later(), fields=fields, partition=(7, f"_default_{tenant % 3}")))

    rows.write(inserted([1, 2, 3], 5), inserted([4], 8))
    rows.write(rows.row(delete([1], rows.later(), partition=(7, "_default_2"))), rows.delete([2]))
    rows.write(rows.row(delete([3], rows.later())), inserted([3], 6))
    held = rows.target.held(rows.made)
    assert {key: row["tenant"] for (_, key), row in held.items()} == {3: 6, 4: 8}
    assert set(names) <= set(rows.described().partitions)


# Collections


def test_keys_that_the_source_makes_are_given(make: Callable[..., Rows]) -> None:
    rows = make((OWN_KEY, VECTOR))
    assert difference(rows.wanted, rows.made) is None
    big = 2**62 + 1
    rows.write(rows.row(insert({"id": [big, 7], "v": [[1.0] * 4] * 2}, rows.later(), fields=(OWN_KEY, VECTOR))))
    assert set(rows.values()) == {("_default", big), ("_default", 7)}


SCALARS = (
    schema_field(102, "flag", DataType.Bool),
    schema_field(103, "tiny", DataType.Int8),
    schema_field(104, "short", DataType.Int16),
    schema_field(105, "int", DataType.Int32),
    schema_field(106, "long", DataType.Int64),
    schema_field(107, "real", DataType.Float),
    schema_field(108, "double", DataType.Double),
    schema_field(109, "text", DataType.VarChar, max_length=100),
    schema_field(110, "json", DataType.JSON),
    schema_field(111, "flags", DataType.Array, element_type=DataType.Bool, max_capacity=8),
    schema_field(112, "ints", DataType.Array, element_type=DataType.Int32, max_capacity=8),
    schema_field(113, "longs", DataType.Array, element_type=DataType.Int64, max_capacity=8),
    schema_field(114, "doubles", DataType.Array, element_type=DataType.Double, max_capacity=8),
    schema_field(115, "texts", DataType.Array, element_type=DataType.VarChar, max_capacity=8, max_length=20),
)
VALUES: dict[str, list[Any]] = {
    "id": ["a", 'b"\\\n\t', "ü'"],
    "v": [[0.25] * 4, [1.0, -2.0, 3.0, 0.0], [4.0] * 4],
    "flag": [True, False, True],
    "tiny": [-128, 127, 0],
    "short": [-(2**15), 2**15 - 1, 0],
    "int": [-(2**31), 2**31 - 1, 0],
    "long": [-(2**63), 2**63 - 1, 0],
    "real": [0.5, -0.25, 1e10],
    "double": [1 / 3, 1e300, 0.0],
    "text": ["", "ä€😀", '"\\'],
    "json": [b'{"a": [1, {"b": null}]}', b"{}", b'{"x": "y"}'],
    "flags": [[True], [], [False, True]],
    "ints": [[1, -2], [], [3]],
    "longs": [[], [2**63 - 1], [1]],
    "doubles": [[0.1], [], []],
    "texts": [["a", ""], [], ["ü"]],
    "$meta": [b'{"more": 1}', b"{}", b'{"other": "x"}'],
}


def test_every_type_arrives_as_it_was(make: Callable[..., Rows]) -> None:
    """Also cut out of a message, and with empty arrays that have no type, which end a 2.3.5 server if they come so."""
    fields = (TEXT_KEY, VECTOR, *SCALARS, META)
    rows = make(fields, enable_dynamic_field=True)
    assert difference(rows.wanted, rows.made) is None
    request = insert(VALUES, rows.later(), fields=fields)
    rows.write(rows.row(request), rows.row(delete(["a"], rows.later())))
    held = rows.target.held(rows.made)
    assert {key for _, key in held} == set(VALUES["id"][1:])
    for column in request.fields_data:
        for value in column.scalars.array_data.data:
            kind = value.WhichOneof("data")
            if not getattr(value, kind).data:
                value.Clear()
    rows.write(rows.row(request))
    twin = Rows(InMemory(), rows.wanted)
    twin.write(twin.row(insert(VALUES, twin.later(), fields=fields)))
    assert rows.target.held(rows.made) == twin.target.held(twin.made)
    rows.write(rows.row(delete(VALUES["id"], rows.later())))
    assert rows.target.held(rows.made) == {}


def test_bits(make: Callable[..., Rows], target: RowTarget) -> None:
    """Binary vectors: one value of bytes for all rows. Milvus Lite has none, and says so for good."""
    fields = (KEY, schema_field(101, "bits", DataType.BinaryVector, dim=16))
    if isinstance(target, AnyMilvus) and target.is_lite:
        with pytest.raises(Refused, match="Binary"):
            target.catalog.create_collection(collection(fresh("bits"), fields))
        return
    rows = make(fields)
    wide = [insert({"id": [n, 100 + n], "bits": [bytes([n, 1]), bytes([n, 2])]}, NOW, fields=fields) for n in range(5)]
    rows.write(*map(rows.row, wide), rows.row(delete([101, 3], rows.later())))
    expected = {n: bytes([n, 1]) for n in (0, 1, 2, 4)} | {100 + n: bytes([n, 2]) for n in (0, 2, 3, 4)}
    assert {key: row["bits"] for (_, key), row in target.held(rows.made).items()} == expected


def test_keys_of_any_size_and_more_than_one_call_of_them(rows: Rows) -> None:
    extreme = [-(2**63), 2**63 - 2, 0]  # a 2.3.5 leaves the very largest out of what it answers, though it counts it
    many = list(range(1, DELETE_KEYS + 500))
    rows.write(rows.insert(extreme, 1.0), rows.insert(many[:300], 1.0), rows.insert(many[-300:], 1.0))
    assert len(rows.values()) == 603
    rows.write(rows.delete([*extreme[:2], *many]))
    assert set(rows.values()) == {("_default", 0)}


# Failures


def test_a_refused_collection_does_not_hide_what_the_others_did(make: Callable[..., Rows], rows: Rows) -> None:
    gone, other = make(read=False), rows
    gone.target.catalog.drop_collection("default", gone.wanted.name, NOW)
    with pytest.raises(Refused, match=gone.wanted.name):
        gone.write(gone.insert([1]), other.insert([2], 2.0))
    assert other.values() == {("_default", 2): 2.0}


def test_a_call_without_time_is_not_begun(rows: Rows) -> None:
    with pytest.raises(TargetUnavailable) as caught:
        rows.target.sink.write([rows.insert([1])], 0.0)
    assert not caught.value.unclear
    assert rows.values() == {}


def test_a_target_that_hangs_is_given_up_in_time(rows: Rows) -> None:
    """After the seconds that were given, for all its calls together: the lease of the caller ends then."""
    began = time.monotonic()
    with rows.target.hanging(), pytest.raises(TargetUnavailable) as caught:
        rows.target.sink.write([rows.insert([1], 1.0), rows.delete([2])], 1.0)
    assert caught.value.unclear
    assert time.monotonic() - began < 1.0 + 2.0, "it ended with another time-out"
    rows.write(rows.insert([1], 2.0))
    assert rows.values() == {("_default", 1): 2.0}


def test_rows_find_a_collection_that_was_renamed_and_not_the_one_that_has_its_name(make: Callable[..., Rows]) -> None:
    """Calls go by name, rows by id: so they do not end up in another collection."""
    rows = make()
    if isinstance(rows.target, AnyMilvus) and rows.target.is_lite:
        assert rows.made.id == 0, "Milvus Lite gives no ids: there is nothing to find it by"
        return
    former = rows.wanted
    rows.wanted = replace(former, name=fresh("renamed"))
    rows.target.catalog.rename_collection("default", former.name, "default", rows.wanted.name)
    impostor = Rows(rows.target, former)
    rows.target.open(impostor.made)
    rows.write(rows.insert([1], 1.0))
    rows.made = rows.described()
    assert (rows.values(), impostor.values()) == ({("_default", 1): 1.0}, {})
    rows.target.catalog.drop_collection("default", former.name, NOW)


def test_what_was_answered_outlives_a_kill_and_calls_go_on(rows: Rows, target: RowTarget) -> None:
    rows.write(rows.insert(list(range(100)), 1.0), rows.delete([0]))
    target.restart()
    give_up = time.monotonic() + 120
    again = [rows.insert([1], 2.0), rows.delete([2])]
    while True:
        try:
            rows.write(*again)
            break
        except TargetUnavailable:
            assert time.monotonic() < give_up
    target.open(rows.made)
    expected = {("_default", key): 1.0 for key in range(3, 100)} | {("_default", 1): 2.0}
    while (found := _or_none(rows.values)) != expected:
        assert time.monotonic() < give_up, found
        time.sleep(0.3)


def _or_none(read: Callable[[], Any]) -> Any:
    """A server that has just come up does not answer yet, or not for all of its channels."""
    try:
        return read()
    except Exception as error:
        return error


# Objects


def test_a_collection_is_made_once_whatever_its_shards_and_its_own_keys_are_refused(
    target: RowTarget, make: Callable[..., Rows]
) -> None:
    rows = make(read=False, shards=2)
    target.catalog.create_collection(rows.wanted)
    assert (rows.described(), rows.made.vchannels, target.catalog.pchannels()) == (rows.made, (), frozenset())
    assert difference(replace(rows.wanted, vchannels=rows.wanted.vchannels[:1]), rows.made) is None
    if isinstance(target, AnyMilvus):
        own = fresh("own")
        target.client.create_collection(own, 4, auto_id=True, vector_field_name="v", enable_dynamic_field=False)
        made = target.catalog.describe("default", own)
        assert made is not None
        assert "autoID" in (difference(collection(own), made) or "")
        target.catalog.drop_collection("default", own, NOW)


def test_operations_are_done_twice_without_harm(target: RowTarget, make: Callable[..., Rows]) -> None:
    rows = make(read=False)
    name, alias, database = rows.wanted.name, fresh("alias"), fresh("db")
    for wanted in [
        index("default", name),
        operation(OperationKind.LOAD_COLLECTION, "default", name, replica_number=1),
        operation(OperationKind.FLUSH, "default", name, collection_names=["of_the_source"]),
        operation(OperationKind.CREATE_DATABASE, database),
    ]:
        for _ in range(2):
            target.catalog.apply(wanted)
    served = target.catalog.serving("default", name)
    called = "v" if isinstance(target, AnyMilvus) and target.is_lite else "of_v"  # Lite: as the field
    assert ([(each.name, each.field) for each in served.indexes], served.replicas) == ([(called, "v")], 1)
    for _ in range(2):
        target.catalog.put_alias("default", name, alias)
        assert rows.described().aliases == {alias}
    target.catalog.alter_collection("default", name, {"collection.ttl.seconds": "3600"})
    assert rows.described().properties["collection.ttl.seconds"] == "3600"
    assert target.catalog.collections(database) == frozenset()
    assert target.catalog.describe(database, name) is None
    for _ in range(2):
        target.catalog.apply(operation(OperationKind.RELEASE_COLLECTION, "default", name))
        assert not target.catalog.serving("default", name).replicas
    for _ in range(2):
        target.catalog.drop_alias("default", alias)
        target.catalog.apply(operation(OperationKind.DROP_INDEX, "default", name, index_name="of_v", field_name="v"))
        target.catalog.apply(operation(OperationKind.DROP_DATABASE, database))
    assert database not in target.catalog.databases()
    assert target.catalog.collections(database) == frozenset()
    assert target.catalog.describe(database, name) is None


def test_a_look_writes_nothing(target: RowTarget) -> None:
    target.sink.check(TIMEOUT)
