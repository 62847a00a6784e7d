"""What is left of rows in the end, against a model that takes them one by one."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc_core.codec import keys
from cdc_core.codec.merge import merge
from cdc_core.codec.protobuf import msg_pb2
from cdc_core.errors import Refused
from cdc_core.model.address import Address, Row
from cdc_core.model.message import Kind, Message
from cdc_core.model.timestamp import Tso
from cdc_core.sink import key_filter
from cdc_core.sink.row_changes import EVERYWHERE, Changes, collapse
from cdc_core.sink.upserts import MERGED_BYTES, upserts
from tests.messages import delete, parsed, simple_insert, vectors

pytestmark = pytest.mark.unit

Rows = dict[tuple[str, int], float]
"""(partition, key) -> the first number of the vector."""

PARTITIONS = {"_default": 441, "p1": 442, "p2": 443}
START = Tso.of(1_700_000_000_000)
FEW_KEYS = st.lists(st.integers(0, 7), min_size=1, max_size=5)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["insert", "delete", "upsert"]),
        st.sampled_from([*PARTITIONS, EVERYWHERE]),
        FEW_KEYS,
        st.integers(0, 3),
    ),
    max_size=12,
)


@settings(max_examples=150)
@given(CHANGES, st.dictionaries(st.tuples(st.sampled_from(list(PARTITIONS)), st.integers(0, 7)), st.just(-1.0)))
def test_as_row_by_row(changes: Sequence[tuple[str, str, list[int], int]], before: Rows) -> None:
    """Inserts, deletes in one and in all partitions, and upserts as a source writes them: the insert comes first and
    has the timestamp of its delete; small messages merged, as they are sent."""
    written = _messages(changes)
    rows = [_row(message) for message in merge(written)]
    assert _applied(collapse(rows, "id", by_key=False), before) == _one_by_one(written, before)


@settings(max_examples=50)
@given(CHANGES)
def test_with_a_partition_key_no_partition_is_named(changes: Sequence[tuple[str, str, list[int], int]]) -> None:
    found = collapse([_row(message) for message in merge(_messages(changes))], "id", by_key=True)
    assert {*found.deletes, *found.upserts} <= {EVERYWHERE}


def test_a_message_of_final_rows_travels_whole() -> None:
    rows = [_insert_row([1, 2], START), _insert_row([3], Tso(START + 1))]
    picked = collapse(rows, "id", by_key=False).upserts["_default"]
    assert [each.rows for each in picked] == [None, None]


def test_what_an_upsert_replaces_anyway_is_not_deleted() -> None:
    upserted = [_delete_row([1, 2], START, "_default"), _insert_row([1], START)]
    assert collapse(upserted, "id", by_key=False).deletes == {"_default": [2]}
    assert collapse(upserted, "id", by_key=True).deletes == {EVERYWHERE: [2]}
    everywhere = [_delete_row([1], START, EVERYWHERE), _insert_row([1], START)]
    assert collapse(everywhere, "id", by_key=False).deletes == {EVERYWHERE: [1]}, "it may be in other partitions, too"


def test_a_message_without_the_target_s_key_is_refused() -> None:
    with pytest.raises(Refused, match="no column 'other'"):
        collapse([_insert_row([1], START)], "other", by_key=False)
    with pytest.raises(Refused, match="no column 'v'"):
        collapse([_insert_row([1], START)], "v", by_key=False)
    request = simple_insert([1, 2], START)
    del request.timestamps[1]
    with pytest.raises(Refused, match="2 keys, 1 timestamps, 2 rows"):
        collapse([_row(parsed(request.SerializeToString()))], "id", by_key=False)


def test_small_messages_travel_together_and_a_key_once_in_a_call() -> None:
    rows = [_insert_row([key, 1000], Tso(START + key)) for key in range(50)]
    picked = collapse(rows, "id", by_key=False).upserts["_default"]
    (call,) = upserts(picked)
    found = keys.of_insert(msg_pb2.InsertRequest(fields_data=call.fields_data), "id")
    assert (call.num_rows, sorted(found)) == (51, [*range(50), 1000])


def test_joining_changes_no_message_and_different_columns_are_not_joined() -> None:
    rows = [_insert_row([key], Tso(START + key)) for key in range(3)]
    picked = collapse(rows, "id", by_key=False).upserts["_default"]
    before = picked[0].request.SerializeToString()
    assert [call.num_rows for call in upserts(picked)] == [3]
    assert picked[0].request.SerializeToString() == before
    other = simple_insert([3], Tso(START + 3))
    other.fields_data.reverse()
    mixed = [*rows, _row(parsed(other.SerializeToString()))]
    calls = list(upserts(collapse(mixed, "id", by_key=False).upserts["_default"]))
    assert [call.num_rows for call in calls] == [3, 1]


def test_large_messages_travel_apart() -> None:
    wide = {"id": [1], "v": vectors(1, 4)}
    request = simple_insert(wide["id"], START)
    request.fields_data[1].vectors.float_vector.data.extend([0.5] * (MERGED_BYTES // 4))
    big = [_row(parsed(request.SerializeToString())), _insert_row([2], START), _insert_row([3], START)]
    calls = list(upserts(collapse(big, "id", by_key=False).upserts["_default"]))
    assert [call.num_rows for call in calls] == [1, 2]


def test_rows_that_are_no_columns_are_refused() -> None:
    request = simple_insert([1], START)
    request.version = 0
    picked = collapse([_row(parsed(request.SerializeToString()))], "id", by_key=False).upserts["_default"]
    with pytest.raises(Refused, match="only columns"):
        list(upserts(picked))


@pytest.mark.parametrize(
    ("found", "plain", "expected"),
    [
        ([1, -2], False, "id in [1, -2]"),
        ([-(2**63), 2**63 - 1], False, "id in [-9223372036854775807-1, 9223372036854775807]"),
        ([-(2**63)], True, "id in [-9223372036854775808]"),
        (['a"b\\c\n\r\td', "'ü\u2028"], False, 'id in ["a\\"b\\\\c\\n\\r\\td", "\'ü\u2028"]'),
    ],
)
def test_keys_as_a_filter(found: Sequence[Any], plain: bool, expected: str) -> None:
    assert key_filter.of_keys("id", found, plain_literals=plain) == expected


def _messages(changes: Sequence[tuple[str, str, list[int], int]]) -> list[Message]:
    """As a source writes them; each change is later than the one before by some ticks of the clock, or at the same."""
    found, now, rng = [], int(START), random.Random(1)
    for kind, partition, touched, later in changes:
        now += later
        named = partition if kind == "delete" else partition or "_default"
        if kind != "delete":
            request = simple_insert(touched, now, partition=(PARTITIONS[named], named))
            request.fields_data[1].vectors.float_vector.data[:] = [rng.random() for _ in range(len(touched) * 4)]
            found.append(parsed(request.SerializeToString()))
        if kind != "insert":
            where = (PARTITIONS.get(named, -1), named)
            found.append(parsed(delete(touched, now, partition=where).SerializeToString()))
    return found


def _one_by_one(messages: Sequence[Message], before: Rows) -> Rows:
    rows = dict(before)
    for message in sorted(messages, key=lambda each: (each.first, each.kind is Kind.INSERT, each.order)):
        for key, value in _values(message):
            if message.kind is Kind.INSERT:
                rows[message.partition_name, key] = value
            else:
                for partition in [message.partition_name] if message.partition_id != -1 else list(PARTITIONS):
                    rows.pop((partition, key), None)
    return rows


def _values(message: Message) -> Iterator[tuple[Any, float]]:
    if message.kind is Kind.DELETE:
        yield from ((key, 0.0) for key in keys.of_delete(msg_pb2.DeleteRequest.FromString(message.payload)))
        return
    request = msg_pb2.InsertRequest.FromString(message.payload)
    yield from zip(keys.of_insert(request, "id"), request.fields_data[1].vectors.float_vector.data[::4], strict=True)


def _applied(changes: Changes, before: Rows) -> Rows:
    """As a Milvus does it: an upsert replaces what has its key in its partition."""
    rows = dict(before)
    for partition, found in changes.deletes.items():
        for key in found:
            for each in [partition] if partition != EVERYWHERE else list(PARTITIONS):
                rows.pop((each, int(key)), None)
    for partition, picked in changes.upserts.items():
        assert not set(changes.deletes.get(partition, ())) & {key for key, _ in _written(picked)}
        for key, value in _written(picked):
            rows[partition, key] = value
    return rows


def _written(picked: Sequence[Any]) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    for call in upserts(picked):
        request = msg_pb2.InsertRequest(fields_data=call.fields_data)
        its = [int(key) for key in keys.of_insert(request, "id")]
        assert len(set(its)) == len(its) == call.num_rows
        found += zip(its, request.fields_data[1].vectors.float_vector.data[::4], strict=True)
    return found


def _insert_row(found: Sequence[int], at: Tso) -> Row:
    return _row(parsed(simple_insert(found, at).SerializeToString()))


def _delete_row(found: Sequence[int], at: Tso, partition: str) -> Row:
    return _row(parsed(delete(found, at, partition=(PARTITIONS.get(partition, -1), partition)).SerializeToString()))


def _row(message: Message) -> Row:
    return Row(message, Address(1, message.vchannel, "c", "default", message.partition_id, message.partition_name))
