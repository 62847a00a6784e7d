"""The row timestamps of an insert or delete: field 10, packed as a rule, one number per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cdc_core.codec import wire
from cdc_core.errors import Undecodable
from cdc_core.model.timestamp import Tso

FIELD = 10


def span(chunks: Sequence[bytes]) -> tuple[Tso, Tso]:
    """(smallest, largest) of the packed chunks. What a source sends has one number for all rows, which is seen
    by comparing bytes; only made messages are decoded.

    :raises Undecodable: there are none, or they are malformed.
    """
    if not chunks:
        raise Undecodable("an insert or delete without row timestamps")
    if len(chunks) == 1:
        single = _single(chunks[0])
        if single is not None:
            return single, single
    values = decoded(chunks)
    return Tso(min(values)), Tso(max(values))


def decoded(chunks: Sequence[bytes]) -> list[int]:
    """All numbers, in order. :raises Undecodable: none, or malformed."""
    values: list[int] = []
    for chunk in chunks:
        single = _single(chunk)
        values += _varints(chunk) if single is None else [single] * (len(chunk) // _first_size(chunk))
    if not values:
        raise Undecodable("an insert or delete without row timestamps")
    return values


def mapped(chunks: Sequence[bytes], stamps: Mapping[int, int]) -> bytes:
    """The packed form with every number replaced. :raises KeyError: `stamps` lacks one. :raises Undecodable:"""
    parts = []
    for chunk in chunks:
        single = _single(chunk)
        if single is None:
            parts += [wire.varint(stamps[value]) for value in _varints(chunk)]
        else:
            parts.append(wire.varint(stamps[single]) * (len(chunk) // _first_size(chunk)))
    return b"".join(parts)


def _single(chunk: bytes) -> Tso | None:
    if not chunk:
        return None
    size = _first_size(chunk)
    count, rest = divmod(len(chunk), size)
    if rest or chunk != chunk[:size] * count:
        return None
    return Tso(wire.read_varint(chunk, 0)[0])


def _first_size(chunk: bytes) -> int:
    for at, byte in enumerate(chunk[:10]):
        if byte < 0x80:
            return at + 1
    raise Undecodable("malformed row timestamps")


def _varints(chunk: bytes) -> list[int]:
    values, at = [], 0
    try:
        while at < len(chunk):
            value, at = wire.read_varint(chunk, at)
            values.append(value)
    except IndexError:
        raise Undecodable("malformed row timestamps: they end in the middle of one") from None
    return values
