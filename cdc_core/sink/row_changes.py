"""Rows of messages brought down to what is left of them in the end, key by key. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from cdc_core.codec import keys
from cdc_core.codec.keys import Key
from cdc_core.codec.protobuf import msg_pb2
from cdc_core.errors import Refused
from cdc_core.model.address import WHOLE_COLLECTION, Row
from cdc_core.model.message import Kind

EVERYWHERE = ""
"""For a delete: in every partition. For an upsert: where the server puts it, by its partition key."""


@dataclass(frozen=True, slots=True)
class Picked:
    """Rows of a message that are to be written; all of them when `rows` is None. `request` is an InsertRequest."""

    request: Any
    rows: Sequence[int] | None
    size: int
    """Bytes of the whole message."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a collection needs: first the deletes, then the upserts; both by partition name.

    No key is twice in one partition's upserts, and none of its own deletes is among them.
    """

    deletes: Mapping[str, Sequence[Key]]
    upserts: Mapping[str, Sequence[Picked]]


@dataclass(frozen=True, slots=True)
class _Run:
    """Rows of one message and one timestamp, from `start` to before `end`."""

    timestamp: int
    is_insert: bool
    order: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Part:
    request: Any
    is_insert: bool
    partition: str
    keys: list[Key]
    size: int


def collapse(rows: Sequence[Row], key_field: str, *, by_key: bool) -> Changes:
    """The changes of one collection; `by_key` when it has a partition key, so that nobody names its partitions.

    Row timestamps decide, a delete before an insert of the same one; then the order of the rows.
    :raises Refused: a message that is not what its head says.
    """
    parts = [_part(row, key_field, by_key) for row in rows]
    written: dict[str, dict[Key, tuple[int, int]]] = {}
    deleted: dict[str, dict[Key, None]] = {}
    for run in sorted(_runs(parts), key=lambda each: (each.timestamp, each.is_insert, each.order, each.start)):
        part = parts[run.order]
        touched = part.keys[run.start : run.end]
        if run.is_insert:
            places = ((run.order, row) for row in range(run.start, run.end))
            written.setdefault(part.partition, {}).update(zip(touched, places, strict=True))
            continue
        deleted.setdefault(part.partition, {}).update(dict.fromkeys(touched))
        concerned = written.values() if part.partition == EVERYWHERE else [written.get(part.partition, {})]
        for partition in concerned:
            for key in touched:
                partition.pop(key, None)
    return Changes(dict(_deletes(deleted, written)), dict(_upserts(parts, written)))


def _part(row: Row, key_field: str, by_key: bool) -> _Part:
    message, is_insert = row.message, row.message.kind is Kind.INSERT
    request = msg_pb2.InsertRequest() if is_insert else msg_pb2.DeleteRequest()
    request.ParseFromString(message.payload)
    try:
        found = keys.of_insert(request, key_field) if is_insert else keys.of_delete(request)
    except KeyError:
        raise _refused(row, f"it has no column {key_field!r}, the target's primary key") from None
    if len(found) != len(request.timestamps) or (is_insert and len(found) != request.num_rows):
        raise _refused(row, f"{len(found)} keys, {len(request.timestamps)} timestamps, {request.num_rows} rows")
    everywhere = by_key or (not is_insert and message.partition_id == WHOLE_COLLECTION)
    partition = EVERYWHERE if everywhere else row.address.partition_name
    return _Part(request, is_insert, partition, found, message.size)


def _refused(row: Row, why: str) -> Refused:
    where = f"{row.address.database}.{row.address.collection_name}"
    return Refused(f"{row.message.kind.name} {row.message.msg_id} for {where} cannot be written: {why}")


def _runs(parts: Sequence[_Part]) -> Iterator[_Run]:
    for order, part in enumerate(parts):
        start = 0
        for timestamp, found in groupby(part.request.timestamps):
            end = start + sum(1 for _ in found)
            yield _Run(timestamp, part.is_insert, order, start, end)
            start = end


def _deletes(
    deleted: Mapping[str, Mapping[Key, None]], written: Mapping[str, Mapping[Key, tuple[int, int]]]
) -> Iterator[tuple[str, list[Key]]]:
    """Without those that an upsert in the same partition, or a delete in every one, does anyway."""
    everywhere = deleted.get(EVERYWHERE, {})
    for partition, found in deleted.items():
        others = everywhere if partition != EVERYWHERE else {}
        upserted = written.get(partition, {})
        if left := [key for key in found if key not in upserted and key not in others]:
            yield partition, left


def _upserts(
    parts: Sequence[_Part], written: Mapping[str, Mapping[Key, tuple[int, int]]]
) -> Iterator[tuple[str, list[Picked]]]:
    for partition, places in written.items():
        rows: dict[int, list[int]] = {}
        for order, row in places.values():
            rows.setdefault(order, []).append(row)
        if rows:
            yield partition, [_picked(parts[order], sorted(found)) for order, found in sorted(rows.items())]


def _picked(part: _Part, rows: list[int]) -> Picked:
    return Picked(part.request, None if len(rows) == len(part.keys) else rows, part.size)
