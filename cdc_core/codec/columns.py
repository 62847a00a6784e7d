"""Columns of rows (`schema.FieldData`): whether two batches have the same, joining and cutting them.

Source: milvus-proto, `schema.proto`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from cdc_core.codec.protobuf import schema_pb2

_BYTES_VECTORS = ("binary_vector", "float16_vector", "bfloat16_vector", "int8_vector")
"""One bytes value for all rows, where merging protobufs keeps only the last."""

_BITS = {"binary_vector": 1, "float16_vector": 16, "bfloat16_vector": 16, "int8_vector": 8}
"""Of one dimension."""

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
_ELEMENTS = {
    schema_pb2.DataType.Bool: "bool_data",
    schema_pb2.DataType.Int8: "int_data",
    schema_pb2.DataType.Int16: "int_data",
    schema_pb2.DataType.Int32: "int_data",
    schema_pb2.DataType.Int64: "long_data",
    schema_pb2.DataType.Float: "float_data",
    schema_pb2.DataType.Double: "double_data",
    schema_pb2.DataType.String: "string_data",
    schema_pb2.DataType.VarChar: "string_data",
}
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


def select(column: Any, rows: Sequence[int]) -> Any:
    """A new column with these rows of it, in their order; of a nullable one only the values that are there.

    :raises ValueError: a column that this module cannot cut.
    """
    cut = schema_pb2.FieldData(
        type=column.type, field_name=column.field_name, field_id=column.field_id, is_dynamic=column.is_dynamic
    )
    places: Sequence[int] = rows
    if column.valid_data:
        cut.valid_data.extend([column.valid_data[row] for row in rows])
        places = _places(column, rows)
    held = column.WhichOneof("field")
    if held == "vectors":
        _select_vectors(cut.vectors, column.vectors, places)
    elif held == "scalars":
        _select_scalars(cut.scalars, column.scalars, places)
    else:
        raise ValueError(f"a column of {held} cannot be cut")
    return cut


def compact(column: Any) -> Any:
    """The column as a client sends it: of a nullable one without the values that fill the gaps.

    A Milvus from 2.5 on fills the gaps before it queues a message, and refuses (1100, "the length of field is wrong")
    a request whose gaps are filled. Source: `fillWithNullValueImpl` of milvus' internal/util.
    """
    return column if all(column.valid_data) else select(column, range(len(column.valid_data)))


def type_arrays(column: Any) -> None:
    """Give an empty array its kind. One that has none, as a query answers it, ends a 2.3.5 server's process."""
    array = column.scalars.array_data if column.HasField("scalars") else None
    if array is None or column.scalars.WhichOneof("data") != "array_data":
        return
    kind = _ELEMENTS.get(array.element_type, "long_data")
    for value in array.data:
        if value.WhichOneof("data") is None:
            getattr(value, kind).SetInParent()


def _places(column: Any, rows: Sequence[int]) -> list[int]:
    """Where the values of those rows are that have one; the gaps may be filled or left out."""
    valid = column.valid_data
    if _count(column) == len(valid):
        return [row for row in rows if valid[row]]
    place = list(accumulate(valid, initial=0))
    return [place[row] for row in rows if valid[row]]


def _count(column: Any) -> int:
    if not column.HasField("vectors"):
        kind = column.scalars.WhichOneof("data")
        return len(getattr(column.scalars, kind).data) if kind else 0
    kind = column.vectors.WhichOneof("data")
    if kind is None:
        return 0
    values, width = _vector_values(column.vectors, kind)
    return len(values) // width if width else 0


def _select_scalars(cut: Any, scalars: Any, places: Sequence[int]) -> None:
    kind = scalars.WhichOneof("data")
    if kind is None:
        return
    if kind not in _SCALARS:
        raise ValueError(f"a column of {kind} cannot be cut")
    values, wanted = getattr(scalars, kind).data, getattr(cut, kind)
    wanted.SetInParent()
    if kind == "array_data":
        wanted.element_type = scalars.array_data.element_type
    for start, end in _runs(places):
        wanted.data.extend(values[start:end])


def _select_vectors(cut: Any, vectors: Any, places: Sequence[int]) -> None:
    cut.dim = vectors.dim
    kind = vectors.WhichOneof("data")
    if kind is None:
        return
    values, width = _vector_values(vectors, kind)
    parts = [values[start * width : end * width] for start, end in _runs(places)]
    if kind in _BYTES_VECTORS:
        setattr(cut, kind, b"".join(parts))
        return
    wanted = getattr(cut, kind)
    wanted.SetInParent()
    if kind == "sparse_float_vector":
        wanted.dim = vectors.sparse_float_vector.dim
    elif kind == "vector_array":
        wanted.dim, wanted.element_type = vectors.vector_array.dim, vectors.vector_array.element_type
    held = wanted.contents if kind == "sparse_float_vector" else wanted.data
    for part in parts:
        held.extend(part)


def _vector_values(vectors: Any, kind: str) -> tuple[Any, int]:
    """All values, and how many of them are one row's."""
    if kind in _BYTES_VECTORS:
        return getattr(vectors, kind), vectors.dim * _BITS[kind] // 8
    if kind == "float_vector":
        return vectors.float_vector.data, vectors.dim
    if kind == "sparse_float_vector":
        return vectors.sparse_float_vector.contents, 1
    if kind == "vector_array":
        return vectors.vector_array.data, 1
    raise ValueError(f"a column of {kind} cannot be cut")


def _runs(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The places as ranges that lie together: one slice costs less than its rows."""
    start = end = -1
    for place in places:
        if place != end:
            if end > start:
                yield start, end
            start = place
        end = place + 1
    if end > start:
        yield start, end


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
