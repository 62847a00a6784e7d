"""Rows out of messages, as Python values; for the memory target and for tests that look at rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Row = Mapping[str, object]

_BYTES_PER_DIM: dict[str, Callable[[int], int]] = {
    "binary_vector": lambda dim: dim // 8,
    "float16_vector": lambda dim: dim * 2,
    "bfloat16_vector": lambda dim: dim * 2,
    "int8_vector": lambda dim: dim,
}


def of_insert(request: Any) -> list[dict[str, object]]:
    """The rows of an InsertRequest: field name to value."""
    columns = {column.field_name: _values(column) for column in request.fields_data}
    return [{name: values[row] for name, values in columns.items()} for row in range(request.num_rows)]


def _values(column: Any) -> list[object]:
    if column.WhichOneof("field") == "vectors":
        return _vectors(column.vectors)
    kind = column.scalars.WhichOneof("data")
    values = list(getattr(column.scalars, kind).data)
    return [_array(value) for value in values] if kind == "array_data" else values


def _array(value: Any) -> tuple[object, ...]:
    kind = value.WhichOneof("data")
    return tuple(getattr(value, kind).data) if kind else ()


def _vectors(vectors: Any) -> list[object]:
    kind = vectors.WhichOneof("data")
    if kind == "sparse_float_vector":
        return list(vectors.sparse_float_vector.contents)
    if kind == "float_vector":
        data, size = tuple(vectors.float_vector.data), vectors.dim
    else:
        data, size = getattr(vectors, kind), _BYTES_PER_DIM[kind](vectors.dim)
    return [data[at : at + size] for at in range(0, len(data), size)]
