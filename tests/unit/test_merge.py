"""Merging changes how many messages there are, and nothing that the target can tell."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.codec.merge import MERGED_BYTES, SMALL_BYTES, merge
from cdc_core.codec.protobuf import msg_pb2, schema_pb2
from cdc_core.errors import Undecodable
from cdc_core.model.message import Kind, Message
from cdc_core.model.timestamp import GRID_MS, Tso
from cdc_core.sink.memory_channel import StoredRows
from tests.messages import (
    KEY,
    VECTOR,
    DataType,
    collection,
    delete,
    imported,
    insert,
    parsed,
    schema_field,
    simple_insert,
    vectors,
)

pytestmark = pytest.mark.unit
LINE = Tso.of(1_700_000_000_000)
"""A grid line: the first cell after it begins one later."""


def messages(*requests: Any) -> list[Message]:
    return [parsed(request.SerializeToString(), order) for order, request in enumerate(requests, start=1)]


def inserted(message: Message) -> msg_pb2.InsertRequest:
    return msg_pb2.InsertRequest.FromString(message.payload)


def outcome(window: list[Message]) -> list[tuple[object, int, int]]:
    """What a target that applies by row timestamps, deletes first, has afterwards."""
    stored = StoredRows("id")
    for message in window:
        if message.kind is Kind.INSERT:
            stored.insert(message)
    for message in window:
        if message.kind is Kind.DELETE:
            stored.delete(message)
    return sorted((row.key, row.timestamp, row.partition_id) for row in stored.rows)


def test_small_inserts_of_a_cell_become_one_with_the_first_one_s_number() -> None:
    window = messages(*[simple_insert([key], LINE + 1 + key, msg_id=100 + key) for key in range(40)])
    (merged,) = merge(window)
    assert (merged.msg_id, merged.order, merged.first, merged.last) == (100, 1, LINE + 1, LINE + 40)
    request = inserted(merged)
    assert list(request.fields_data[0].scalars.long_data.data) == list(range(40))
    assert list(request.timestamps) == [LINE + 1 + key for key in range(40)]
    assert len(request.rowIDs) == request.num_rows == 40
    assert len(request.fields_data[1].vectors.float_vector.data) == 160


def test_nothing_is_merged_across_a_grid_line() -> None:
    """I6: a tick may fall on the line."""
    end = Tso.of(LINE.ms + GRID_MS)
    window = messages(simple_insert([1], LINE), simple_insert([2], LINE + 1), simple_insert([3], end))
    window += messages(simple_insert([4], end + 1))
    assert [(message.first, message.last) for message in merge(window)] == [
        (LINE, LINE),
        (LINE + 1, end),
        (end + 1, end + 1),
    ]


def test_partitions_and_kinds_stay_apart() -> None:
    requests = [simple_insert([key], LINE + 1, partition=(key % 2, f"p{key % 2}")) for key in range(6)]
    requests += [delete([key], LINE + 2, partition=(key % 2, f"p{key % 2}")) for key in range(6)]
    requests += [delete([key], LINE + 2) for key in range(6)]
    merged = merge(messages(*requests))
    assert sorted((message.kind, message.partition_id) for message in merged) == [
        (400, 0),
        (400, 1),
        (401, -1),
        (401, 0),
        (401, 1),
    ]


def test_a_retry_of_the_producer_counts_once_and_number_zero_is_none() -> None:
    request = simple_insert([1], LINE + 1, msg_id=5)
    nameless = simple_insert([2], LINE + 1, msg_id=0)
    (merged,) = merge(messages(request, request, nameless, nameless))
    assert list(inserted(merged).fields_data[0].scalars.long_data.data) == [1, 2, 2]


def test_large_messages_pass_untouched() -> None:
    large = [simple_insert(list(range(SMALL_BYTES // 20)), LINE + 1) for _ in range(2)]
    window = messages(large[0], simple_insert([1], LINE + 1), large[1])
    assert [message.payload for message in merge(window)] == [message.payload for message in window]


def test_imports_are_not_joined() -> None:
    films = collection("films")
    window = messages(*[imported(films, LINE + 1, job) for job in (1, 2)], simple_insert([1], LINE + 1))
    assert [message.payload for message in merge(window)] == [message.payload for message in window]


def test_a_merged_message_has_a_largest_size() -> None:
    window = messages(*[simple_insert(list(range(1000)), LINE + 1) for _ in range(60)])
    merged = merge(window)
    assert len(merged) > 1
    assert max(message.size for message in merged) <= MERGED_BYTES
    assert sum(inserted(message).num_rows for message in merged) == 60_000


def test_deletes_before_inserts_of_one_timestamp() -> None:
    """At the source an upsert is an insert and then a delete."""
    window = messages(simple_insert([1], LINE + 1), delete([1], LINE + 1), simple_insert([2], LINE))
    assert [message.kind for message in merge(window)] == [Kind.INSERT, Kind.DELETE, Kind.INSERT]


def test_other_columns_are_not_mixed() -> None:
    """A field was added in between, or the messages name their fields in another order."""
    extra = schema_field(102, "n", DataType.Int64)
    rows = {"id": [1], "v": vectors(1), "n": [7]}
    requests = [simple_insert([1], LINE + 1), insert(rows, LINE + 1, fields=(KEY, VECTOR, extra))]
    requests += [insert(rows, LINE + 1, fields=(VECTOR, KEY)), insert(rows, LINE + 1, fields=(KEY, VECTOR, extra))]
    assert sorted(inserted(message).num_rows for message in merge(messages(*requests))) == [1, 1, 2]


def test_what_does_not_add_up_passes_untouched() -> None:
    odd = simple_insert([1, 2], LINE + 1)
    odd.num_rows = 3
    old = simple_insert([1], LINE + 1)
    old.version = 0
    window = messages(odd, odd, old, old)
    for message, other in zip(merge(window), [window[0], window[2]], strict=True):
        assert message.payload == other.payload


def test_a_body_that_cannot_be_read_is_not_passed_over() -> None:
    window = messages(simple_insert([1], LINE + 1), simple_insert([2], LINE + 1))
    broken = replace(window[0], payload=window[0].payload + b"\x6a\x01\xff")  # field 13, no FieldData
    with pytest.raises(Undecodable):
        merge([window[1], broken])


EVERY_KIND = (
    KEY,
    schema_field(101, "flag", DataType.Bool),
    schema_field(102, "text", DataType.VarChar, max_length=9),
    schema_field(103, "json", DataType.JSON),
    schema_field(104, "list", DataType.Array, element_type=DataType.Int32),
    schema_field(105, "bits", DataType.BinaryVector, dim=16),
    schema_field(106, "half", DataType.Float16Vector, dim=2),
    schema_field(107, "sparse", DataType.SparseFloatVector),
    schema_field(108, "v", DataType.FloatVector, dim=2),
    schema_field(109, "$meta", DataType.JSON, is_dynamic=True),
)


def row_of_every_kind(key: int) -> dict[str, list[Any]]:
    values = [key, bool(key % 2), f"t{key}", b"{}", [key] * (key % 3), bytes([key, 1]), bytes([key] * 4)]
    values += [bytes([key] * 8), [1.0 * key, 2.0], b'{"k":1}']
    return {field.name: [value] for field, value in zip(EVERY_KIND, values, strict=True)}


def test_every_kind_of_column_is_joined() -> None:
    """Bytes vectors are one value for all rows, which protobuf's own merging would overwrite."""
    requests = [insert(row_of_every_kind(key), LINE + 1, fields=EVERY_KIND) for key in range(5)]
    for key, request in enumerate(requests):
        request.fields_data[7].vectors.sparse_float_vector.dim = 10 - key
        request.fields_data[2].valid_data.append(key != 2)
    (merged,) = merge(messages(*requests))
    columns = {column.field_name: column for column in inserted(merged).fields_data}
    assert columns["bits"].vectors.binary_vector == b"".join(bytes([key, 1]) for key in range(5))
    assert columns["half"].vectors.float16_vector == b"".join(bytes([key] * 4) for key in range(5))
    assert len(columns["sparse"].vectors.sparse_float_vector.contents) == 5
    assert columns["sparse"].vectors.sparse_float_vector.dim == 10
    assert list(columns["text"].valid_data) == [True, True, False, True, True]
    assert list(columns["text"].scalars.string_data.data) == [f"t{key}" for key in range(5)]
    assert [len(row.int_data.data) for row in columns["list"].scalars.array_data.data] == [0, 1, 2, 0, 1]
    assert columns["bits"].vectors.dim == 16
    assert columns["$meta"].is_dynamic


@pytest.mark.parametrize("old", [False, True])
def test_deletes_keep_their_keys_and_timestamps(old: bool) -> None:
    (merged,) = merge(messages(*[delete([key, key], [LINE + 1, LINE + 2], old=old) for key in range(3)]))
    request = msg_pb2.DeleteRequest.FromString(merged.payload)
    keys = request.int64_primary_keys if old else request.primary_keys.int_id.data
    assert list(keys) == [0, 0, 1, 1, 2, 2]
    assert list(request.timestamps) == [LINE + 1, LINE + 2] * 3
    assert request.num_rows == 6


def test_keys_of_text_and_numbers_are_not_mixed() -> None:
    assert len(merge(messages(delete(["a"], LINE + 1), delete([1], LINE + 1), delete(["b"], LINE + 1)))) == 2


_row = st.tuples(st.integers(0, 5), st.integers(1, 2 * GRID_MS << 18))
_operation = st.one_of(
    st.tuples(st.just("insert"), _row, st.sampled_from([1, 2])),
    st.tuples(st.just("delete"), _row, st.sampled_from([-1, 1, 2])),
    st.tuples(st.just("upsert"), _row, st.sampled_from([1, 2])),
    st.tuples(st.just("retry"), _row, st.just(0)),
)


def requests_of(operations: list[Any]) -> list[Any]:
    found: list[Any] = []
    for kind, (key, offset), partition in operations:
        where = (partition, "" if partition == -1 else f"p{partition}")
        if kind == "retry":
            found += found[-1:]
        if kind in ("insert", "upsert"):
            found.append(simple_insert([key], LINE + offset, partition=where))
        if kind in ("delete", "upsert"):
            found.append(delete([key], LINE + offset, partition=where))
    return found


@given(st.lists(_operation, max_size=30), st.randoms(use_true_random=False))
def test_the_outcome_is_the_same_and_the_order_of_arrival_does_not_matter(
    operations: list[Any], shuffler: random.Random
) -> None:
    window = messages(*requests_of(operations))
    distinct = list({message.msg_id: message for message in reversed(window)}.values())
    merged = merge(window)
    assert outcome(merged) == outcome(distinct)
    assert len({message.msg_id for message in merged}) == len(merged)
    assert all(message.first.cell == message.last.cell for message in merged)
    shuffled = list(window)
    shuffler.shuffle(shuffled)
    assert merge(shuffled) == merged


def test_the_head_of_a_merged_message_is_what_parsing_it_says() -> None:
    (merged,) = merge(messages(*[simple_insert([key], LINE + 9 - key) for key in range(5)]))
    again = parsed(merged.payload, merged.order)
    assert (again.first, again.last, again.msg_id) == (merged.first, merged.last, merged.msg_id)
    assert schema_pb2.DataType.Int64 == inserted(merged).fields_data[0].type
