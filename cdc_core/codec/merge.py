"""Many small messages made into few: every message costs the target about 5 ms, however small."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from cdc_core.codec import columns
from cdc_core.codec.protobuf import msg_pb2
from cdc_core.errors import Undecodable
from cdc_core.model.message import Kind, Message

MERGE_RULE = 1
"""The version of what `merge` does. A resend must have the same bytes (I4), so it is recorded with what was sent:
whoever changes the outcome of `merge` keeps the old rule beside the new one."""

SMALL_BYTES = 64 * 1024
"""Below it a message is merged; above it 5 ms are little beside its own cost."""

MERGED_BYTES = 1024 * 1024
"""No merged message has parts of more than this."""

_COLUMN_BASED = 1
_OLD_KEYS = "int64_primary_keys"


def merge(messages: Iterable[Message]) -> list[Message]:
    """The DML messages of one vchannel and one source window, with the small ones merged.

    Drops repeated msgIDs (a producer's retry), then joins small messages of one kind, partition and grid cell
    (I6). Rows keep their timestamps, which alone decide what comes before what within a window, so the outcome
    on the target stays the same. A merged message has the ids and the queue's place of its first part.
    In the order (timestamp, deletes before inserts, place in the queue): what an upsert writes are an insert
    and then a delete of one timestamp, and the insert has to survive.

    Pure: a function of the set of messages, in whatever order they come.
    :raises Undecodable: a small message that is not what its head says.
    """
    joined: list[Message] = []
    for group in _grouped(sorted(_without_repeats(messages), key=_order)):
        joined += [group[0]] if len(group) == 1 else _joined(group)
    return sorted(joined, key=_order)


def _order(message: Message) -> tuple[int, bool, int]:
    return message.first, message.kind is not Kind.DELETE, message.order


def _without_repeats(messages: Iterable[Message]) -> list[Message]:
    kept: dict[int, Message] = {}
    unnamed = []
    for message in sorted(messages, key=lambda each: each.order):
        if message.msg_id == 0:
            unnamed.append(message)
        else:
            kept.setdefault(message.msg_id, message)
    return [*kept.values(), *unnamed]


def _grouped(messages: Sequence[Message]) -> list[list[Message]]:
    groups: list[list[Message]] = []
    filling: dict[tuple[object, ...], tuple[list[Message], int]] = {}
    for message in messages:
        key = (message.kind, message.partition_id, message.partition_name, message.first.cell)
        group, size = filling.get(key, ([], MERGED_BYTES))
        if not _is_small(message):
            groups.append([message])
        elif size + message.size > MERGED_BYTES:
            groups.append([message])
            filling[key] = groups[-1], message.size
        else:
            group.append(message)
            filling[key] = group, size + message.size
    return groups


def _is_small(message: Message) -> bool:
    return message.kind is not Kind.IMPORT and message.size < SMALL_BYTES and message.first.cell == message.last.cell


def _joined(messages: Sequence[Message]) -> list[Message]:
    """The group with those of one layout joined; what cannot be joined stays as it is."""
    untouched: list[Message] = []
    alike: dict[object, list[tuple[Message, Any]]] = {}
    for message in messages:
        request = _decoded(message)
        layout = _insert_layout(request) if message.kind is Kind.INSERT else _delete_layout(request)
        if layout is None:
            untouched.append(message)
        else:
            alike.setdefault(layout, []).append((message, request))
    return untouched + [_one(parts) for parts in alike.values()]


def _decoded(message: Message) -> Any:
    request = msg_pb2.InsertRequest() if message.kind is Kind.INSERT else msg_pb2.DeleteRequest()
    try:
        request.ParseFromString(message.payload)
    except Exception as error:  # protobuf's DecodeError, which differs between its implementations
        raise Undecodable(f"{message.kind.name} {message.msg_id} of {message.vchannel}: {error}") from error
    return request


def _insert_layout(request: Any) -> object:
    rows = len(request.timestamps)
    if request.version != _COLUMN_BASED or request.row_data or not rows == len(request.rowIDs) == request.num_rows:
        return None
    layout = columns.layout(request.fields_data)
    return layout and (*_header(request), request.segmentID, request.namespace, layout)


def _delete_layout(request: Any) -> object:
    rows, old = len(request.timestamps), len(request.int64_primary_keys)
    kind = request.primary_keys.WhichOneof("id_field")
    keys = len(getattr(request.primary_keys, kind).data) if kind else old
    if request.serialized_expr_plan or not rows == keys == request.num_rows or (kind and old not in (0, rows)):
        return None
    return (*_header(request), request.segment_id, kind, bool(old))


def _header(request: Any) -> tuple[object, ...]:
    ids = (request.shardName, request.dbID, request.collectionID, request.partitionID)
    return (*ids, request.db_name, request.collection_name, request.partition_name)


def _one(parts: Sequence[tuple[Message, Any]]) -> Message:
    (first, request), *others = parts
    if not others:
        return first
    for _, other in others:
        _append_rows(request, other, first.kind)
    return replace(
        first, last=max(message.last for message, _ in parts), payload=request.SerializeToString(deterministic=True)
    )


def _append_rows(request: Any, other: Any, kind: Kind) -> None:
    request.timestamps.extend(other.timestamps)
    request.num_rows += other.num_rows
    if kind is Kind.INSERT:
        request.rowIDs.extend(other.rowIDs)
        for column, more in zip(request.fields_data, other.fields_data, strict=True):
            columns.append(column, more)
    else:
        request.int64_primary_keys.extend(other.int64_primary_keys)
        request.primary_keys.MergeFrom(other.primary_keys)
