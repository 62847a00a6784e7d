"""The protobuf wire format, as far as one walks and appends without decoding.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

from cdc_core.errors import Undecodable

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT_BYTES = 10


def fields(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Every top-level field as (number, wire type, key's place, value's place, end); no byte of a value is copied.

    The value of a `BYTES` field begins behind its length.
    :raises Undecodable: it is no sequence of fields, or ends in the middle of one.
    """
    at, size = 0, len(data)
    try:
        while at < size:
            start = at
            key = data[at]
            at += 1
            if key > 0x7F:
                key, at = read_varint(data, start)
            wire_type = key & 7
            if wire_type == BYTES:
                length = data[at]
                at += 1
                if length > 0x7F:
                    length, at = read_varint(data, at - 1)
                end = at + length
            elif wire_type == VARINT:
                end = _skip_varint(data, at)
            else:
                end = at + _fixed_size(wire_type)
            if end > size or key < 8:
                raise Undecodable(f"malformed protobuf: field key {key} at byte {start} of {size}")
            yield key >> 3, wire_type, start, at, end
            at = end
    except IndexError:
        raise Undecodable(f"malformed protobuf: it ends in the middle of a field, after {size} bytes") from None


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, place behind it). :raises Undecodable: too long. :raises IndexError: the data ends in it."""
    value = shift = 0
    for _ in range(_MAX_VARINT_BYTES):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise Undecodable("malformed protobuf: a number is too long")


def read_int64(data: bytes, at: int) -> int:
    """A signed number."""
    value, _ = read_varint(data, at)
    return value - (1 << 64) if value >> 63 else value


def varint(value: int) -> bytes:
    """A number's form; negative ones take ten bytes."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    """A scalar field; zero is written too, because appended fields override earlier ones."""
    return varint(number << 3 | VARINT) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """A string, bytes, message or packed field."""
    return varint(number << 3 | BYTES) + varint(len(value)) + value


def _skip_varint(data: bytes, at: int) -> int:
    end = at
    while data[end] > 0x7F:
        end += 1
    if end - at >= _MAX_VARINT_BYTES:
        raise Undecodable("malformed protobuf: a number is too long")
    return end + 1


def _fixed_size(wire_type: int) -> int:
    size = _FIXED_SIZES.get(wire_type)
    if size is None:
        raise Undecodable(f"malformed protobuf: wire type {wire_type}")
    return size
