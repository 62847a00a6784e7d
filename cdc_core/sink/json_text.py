"""Values of Milvus as JSON, which is valid whatever they are.

Numbers keep all their digits: integers above 2^53 are written as they are, and a reader must not take them for doubles.
JSON knows no NaN and no infinity: they are the texts "NaN", "Infinity", "-Infinity".
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

from cdc_core.codec.protobuf import schema_pb2
from cdc_core.model.connect import VectorFormat

_TYPE = schema_pb2.DataType
_Vector = Callable[[Any], object]


def text_of(value: object) -> bytes:
    """UTF-8, without blanks."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:  # not a number, or half of a UTF-16 pair
        return json.dumps(_finite(value), allow_nan=False, separators=(",", ":")).encode()


def plain(value: object, data_type: int, vectors: VectorFormat) -> object:
    """A value of `codec.rows` as `text_of` takes it."""
    if value is None:
        return None
    if data_type in _NUMBERS:
        if vectors is VectorFormat.BASE64:
            return _base64(_BYTES[data_type](value) if data_type in _BYTES else value)
        return _NUMBERS[data_type](value)
    if isinstance(value, bytes):
        return _parsed(value) if data_type == _TYPE.JSON else _base64(value)
    return value


def _parsed(text: bytes) -> object:
    """A JSON field; what is none, as a text."""
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return text.decode(errors="backslashreplace")


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def _base64(value: Any) -> str:
    return base64.standard_b64encode(value).decode()


def _floats(letter: str, size: int) -> _Vector:
    return lambda data: struct.unpack(f"<{len(data) // size}{letter}", data)


def _brain_floats(data: bytes) -> tuple[float, ...]:
    """The upper halves of float32."""
    wide = b"".join(b"\0\0" + data[at : at + 2] for at in range(0, len(data), 2))
    return struct.unpack(f"<{len(data) // 2}f", wide)


def _sparse(data: bytes) -> dict[str, float]:
    """Pairs of uint32 and float32."""
    return {str(place): number for place, number in struct.iter_unpack("<If", data)}


_NUMBERS: Mapping[int, _Vector] = {
    _TYPE.BinaryVector: list,
    _TYPE.FloatVector: tuple,
    _TYPE.Float16Vector: _floats("e", 2),
    _TYPE.BFloat16Vector: _brain_floats,
    _TYPE.SparseFloatVector: _sparse,
    _TYPE.Int8Vector: _floats("b", 1),
}
"""How a vector is an array; a sparse one is an object."""

_BYTES: Mapping[int, Callable[[Any], bytes]] = {
    _TYPE.FloatVector: lambda numbers: struct.pack(f"<{len(numbers)}f", *numbers),
}
"""Of vectors that are no bytes yet."""
