"""Rows cut out of columns, of every type."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.codec import columns
from cdc_core.codec.protobuf import schema_pb2
from cdc_core.codec.rows import of_insert
from tests.messages import DataType, column, insert, schema_field

pytestmark = pytest.mark.unit

ROWS = 6
DIM = 16


def _vector(kind: str, number: int, data_type: int) -> schema_pb2.FieldData:
    """Of bytes: `number` a row."""
    made = schema_pb2.FieldData(type=data_type, field_name=kind, field_id=7)
    made.vectors.dim = DIM
    setattr(made.vectors, kind, b"".join(bytes([row]) * number for row in range(ROWS)))
    return made


def _sparse() -> schema_pb2.FieldData:
    made = schema_pb2.FieldData(type=DataType.SparseFloatVector, field_name="sparse", field_id=7)
    made.vectors.dim = made.vectors.sparse_float_vector.dim = 99
    made.vectors.sparse_float_vector.contents.extend(bytes([row]) * (8 * row) for row in range(ROWS))
    return made


def _scalar(name: str, data_type: int, values: Sequence[Any], **more: Any) -> schema_pb2.FieldData:
    return column(schema_field(7, name, data_type, **more), values)


ALL = [
    _scalar("bool", DataType.Bool, [True, False, False, True, True, False]),
    _scalar("int8", DataType.Int8, range(ROWS)),
    _scalar("int64", DataType.Int64, range(ROWS)),
    _scalar("float", DataType.Float, [row / 4 for row in range(ROWS)]),
    _scalar("double", DataType.Double, [row / 3 for row in range(ROWS)]),
    _scalar("text", DataType.VarChar, [f"t{row}" for row in range(ROWS)]),
    _scalar("json", DataType.JSON, [b'{"a": %d}' % row for row in range(ROWS)]),
    _scalar("$meta", DataType.JSON, [b"{}"] * ROWS, is_dynamic=True),
    _scalar("array", DataType.Array, [[row] * row for row in range(ROWS)], element_type=DataType.Int64),
    _scalar("float vector", DataType.FloatVector, [[float(row)] * DIM for row in range(ROWS)], dim=DIM),
    _vector("binary_vector", DIM // 8, DataType.BinaryVector),
    _vector("float16_vector", DIM * 2, DataType.Float16Vector),
    _vector("bfloat16_vector", DIM * 2, DataType.BFloat16Vector),
    _vector("int8_vector", DIM, DataType.Int8Vector),
    _sparse(),
]
CUTS = st.lists(st.integers(0, ROWS - 1), unique=True, min_size=1).map(sorted)


@pytest.mark.parametrize("whole", ALL, ids=lambda each: each.field_name)
@given(CUTS)
def test_the_rows_that_were_asked_for(whole: schema_pb2.FieldData, rows: list[int]) -> None:
    cut = columns.select(whole, rows)
    assert _values(cut, len(rows)) == [_values(whole, ROWS)[row] for row in rows]
    assert columns.layout([cut]) == columns.layout([whole])


@pytest.mark.parametrize("whole", ALL, ids=lambda each: each.field_name)
def test_all_rows_are_the_column_itself_and_halves_join_to_it(whole: schema_pb2.FieldData) -> None:
    assert columns.select(whole, range(ROWS)) == whole
    first = columns.select(whole, range(2))
    columns.append(first, columns.select(whole, range(2, ROWS)))
    assert first == whole


@pytest.mark.parametrize("filled", [True, False], ids=["gaps filled", "gaps left out"])
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_of_a_nullable_column_only_what_is_there(filled: bool, valid: list[bool], data: st.DataObject) -> None:
    """As a queue has it (filled) or as a client sends it, the outcome is what a client sends."""
    rows = sorted(data.draw(st.sets(st.integers(0, len(valid) - 1), min_size=1)))
    there = [row for row, is_there in enumerate(valid) if is_there]
    whole = _scalar("int64", DataType.Int64, range(len(valid)) if filled else there)
    whole.valid_data.extend(valid)
    cut = columns.select(whole, rows)
    assert list(cut.valid_data) == [valid[row] for row in rows]
    assert list(cut.scalars.long_data.data) == [row for row in rows if valid[row]]
    assert cut.scalars.HasField("long_data"), "also of nothing but gaps"
    assert list(columns.compact(whole).scalars.long_data.data) == there


def test_a_nullable_vector_is_cut_by_its_own_places() -> None:
    whole = _scalar("v", DataType.FloatVector, [[1.0, 1.0], [3.0, 3.0]], dim=2)
    whole.valid_data.extend([False, True, False, True])
    assert list(columns.select(whole, [2, 3]).vectors.float_vector.data) == [3.0, 3.0]
    assert columns.compact(whole) == whole


def test_an_empty_array_without_a_type_gets_its_own() -> None:
    """As a query answers it; a 2.3.5 server that is sent such a one ends its process."""
    whole = _scalar("array", DataType.Array, [[], [1]], element_type=DataType.Int32)
    whole.scalars.array_data.data[0].Clear()
    columns.type_arrays(whole)
    assert [each.WhichOneof("data") for each in whole.scalars.array_data.data] == ["int_data", "int_data"]


def test_what_is_not_known_is_not_cut() -> None:
    unknown = schema_pb2.FieldData(field_name="s")
    unknown.vectors.dim = 1
    assert columns.select(unknown, [0]) == unknown
    structs = schema_pb2.FieldData(field_name="s", struct_arrays=schema_pb2.StructArrayField())
    with pytest.raises(ValueError, match="cannot be cut"):
        columns.select(structs, [0])


def _values(cut: schema_pb2.FieldData, rows: int) -> list[Any]:
    request = insert({"id": range(rows)}, 1, fields=[schema_field(100, "id", DataType.Int64)])
    request.fields_data.append(cut)
    return [row[cut.field_name] for row in of_insert(request)]
