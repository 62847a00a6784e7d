"""Rows out of messages, as Python values.

Source: milvus-proto, `msg.proto` and `schema.proto`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

Row = Mapping[str, object]
"""Field name to value: arrays and float vectors are tuples; JSON, binary, half and sparse vectors are bytes."""

_BYTES_PER_DIM: dict[str, Callable[[int], int]] = {
    "binary_vector": lambda dim: dim // 8,
    "float16_vector": lambda dim: dim * 2,
    "bfloat16_vector": lambda dim: dim * 2,
    "int8_vector": lambda dim: dim,
}


def of_insert(request: Any) -> list[dict[str, object]]:
    """The rows of an InsertRequest: field name to value."""
    columns = {column.field_name: values_of(column) for column in request.fields_data}
    return [{name: values[row] for name, values in columns.items()} for row in range(request.num_rows)]


def values_of(column: Any) -> Sequence[object]:
    """One value a row of a FieldData; None where the row has none."""
    if column.WhichOneof("field") == "vectors":
        return _with_gaps(column, _vectors(column.vectors))
    kind = column.scalars.WhichOneof("data")
    values = list(getattr(column.scalars, kind).data) if kind else []
    return _with_gaps(column, [_array(value) for value in values] if kind == "array_data" else values)


def _with_gaps(column: Any, values: Sequence[object]) -> Sequence[object]:
    """A nullable field holds a value for each row, or for those only that have one."""
    valid = column.valid_data
    if not valid:
        return values
    if len(values) == len(valid):
        return [value if there else None for value, there in zip(values, valid, strict=True)]
    rest = iter(values)
    return [next(rest) if there else None for there in valid]


def _array(value: Any) -> tuple[object, ...]:
    kind = value.WhichOneof("data")
    return tuple(getattr(value, kind).data) if kind else ()


def _vectors(vectors: Any) -> Sequence[object]:
    kind = vectors.WhichOneof("data")
    if kind == "sparse_float_vector":
        return list(vectors.sparse_float_vector.contents)
    if kind == "float_vector":
        return _Slices(vectors.float_vector.data, vectors.dim, tuple)
    return _Slices(getattr(vectors, kind), _BYTES_PER_DIM[kind](vectors.dim), bytes)


class _Slices(Sequence[object]):
    """Equal parts of something long, made when asked for: as Python's numbers it would take eight times the memory."""

    def __init__(self, data: Any, size: int, kind: Callable[[Any], object]) -> None:
        self._data = data
        self._size = size
        self._kind = kind

    def __len__(self) -> int:
        return len(self._data) // self._size if self._size else 0

    @overload
    def __getitem__(self, place: int) -> object: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[object]: ...

    def __getitem__(self, place: int | slice) -> object:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._kind(self._data[place * self._size : (place + 1) * self._size])
