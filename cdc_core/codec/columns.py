"""Columns of rows (`schema.FieldData`): whether two batches have the same, and joining them.

Source: milvus-proto, `schema.proto`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_BYTES_VECTORS = ("binary_vector", "float16_vector", "bfloat16_vector", "int8_vector")
"""One bytes value for all rows, where merging protobufs keeps only the last."""

_OTHER_VECTORS = ("float_vector", "sparse_float_vector", "vector_array")
_SCALARS = (
    "bool_data",
    "int_data",
    "long_data",
    "float_data",
    "double_data",
    "string_data",
    "bytes_data",
    "array_data",
    "json_data",
    "geometry_data",
    "timestamptz_data",
    "geometry_wkt_data",
)
_Layout = tuple[Any, ...]


def layout(columns: Sequence[Any]) -> _Layout | None:
    """Equal for batches that may be joined; None when there is a column that this module cannot join."""
    parts = [_column_layout(column) for column in columns]
    return None if None in parts else tuple(parts)


def append(target: Any, more: Any) -> None:
    """Put the rows of one column behind those of another of the same layout."""
    kind = target.vectors.WhichOneof("data") if target.HasField("vectors") else None
    if kind in _BYTES_VECTORS:
        joined = getattr(target.vectors, kind) + getattr(more.vectors, kind)
        target.valid_data.extend(more.valid_data)
        setattr(target.vectors, kind, joined)
        return
    dim = max(target.vectors.dim, more.vectors.dim)
    sparse = max(target.vectors.sparse_float_vector.dim, more.vectors.sparse_float_vector.dim)
    target.MergeFrom(more)
    if kind == "sparse_float_vector":
        target.vectors.dim = dim
        target.vectors.sparse_float_vector.dim = sparse


def _column_layout(column: Any) -> _Layout | None:
    head = (column.type, column.field_name, column.field_id, column.is_dynamic, bool(column.valid_data))
    held = column.WhichOneof("field")
    if held == "scalars":
        kind = column.scalars.WhichOneof("data")
        element = column.scalars.array_data.element_type if kind == "array_data" else 0
        return (*head, kind, element) if kind in _SCALARS else None
    if held == "vectors":
        kind = column.vectors.WhichOneof("data")
        if kind == "sparse_float_vector":
            return (*head, kind)
        element = column.vectors.vector_array.element_type if kind == "vector_array" else 0
        return (*head, kind, column.vectors.dim, element) if kind in _BYTES_VECTORS + _OTHER_VECTORS else None
    return None
