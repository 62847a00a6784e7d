"""The head of a DML channel's message: what it is, where it belongs and when.

Nothing of the body is kept, but that it can be decoded is checked: 60 us for a message of 0.5 MB. Else the target would
be the one to refuse it, when a part of its batch is written already.

Source: milvus-proto, `msg.proto` and `common.proto`. Field 1 of every message is its `MsgBase`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cdc_core.codec import timestamps, wire
from cdc_core.codec.protobuf import common_pb2, msg_pb2
from cdc_core.errors import Undecodable
from cdc_core.model.message import Kind, Message
from cdc_core.model.timestamp import Tso
from cdc_core.source.base import Record

BASE, SHARD_NAME, COLLECTION_ID, PARTITION_ID = 1, 2, 7, 8
"""Field numbers of inserts and deletes."""

_BASE_KEY = BASE << 3 | wire.BYTES
_DML_NUMBERS, _DML_TEXTS = {COLLECTION_ID: 1, PARTITION_ID: 2}, {SHARD_NAME: 1, 5: 2}
_LAYOUTS: dict[Kind, tuple[dict[int, int], dict[int, int]]] = {
    # field number -> 1: collection id, 2: partition id; field number -> 1: shard, 2: partition name
    Kind.INSERT: (_DML_NUMBERS, _DML_TEXTS),
    Kind.DELETE: (_DML_NUMBERS, _DML_TEXTS),
    Kind.IMPORT: ({4: 1}, {}),
    Kind.CREATE_COLLECTION: ({6: 1, 7: 2}, {4: 2}),
    Kind.DROP_COLLECTION: ({5: 1}, {}),
    Kind.CREATE_PARTITION: ({6: 1, 7: 2}, {4: 2}),
    Kind.DROP_PARTITION: ({6: 1, 7: 2}, {4: 2}),
}
_BODIES: dict[Kind, Callable[[bytes], object]] = {
    Kind.INSERT: msg_pb2.InsertRequest.FromString,
    Kind.DELETE: msg_pb2.DeleteRequest.FromString,
    Kind.IMPORT: msg_pb2.ImportMsg.FromString,
    Kind.CREATE_COLLECTION: msg_pb2.CreateCollectionRequest.FromString,
    Kind.DROP_COLLECTION: msg_pb2.DropCollectionRequest.FromString,
    Kind.CREATE_PARTITION: msg_pb2.CreatePartitionRequest.FromString,
    Kind.DROP_PARTITION: msg_pb2.DropPartitionRequest.FromString,
}


def parse(record: Record) -> Message:
    """The message of a record: some microseconds, and a few more for each 100 KB.

    A message without a msgID gets one from its place in its topic (negative, so that no allocated id is met):
    the target would take two of them in one window for duplicates, also of two source topics.
    :raises Undecodable: empty, malformed, of a type that no DML channel should carry, or nobody's; says which.
    """
    payload = record.payload
    if not payload:
        raise Undecodable("the message is empty")
    try:
        # Nearly all records are ticks, and a tick is its base and nothing else.
        if payload[0] == _BASE_KEY and payload[1] + 2 == len(payload) and payload[1] < 0x80:
            base = common_pb2.MsgBase.FromString(payload[2:])
            if base.msg_type == Kind.TIME_TICK:
                return _bare(Kind.TIME_TICK, base.timestamp, base.msgID, record)
        return _parse(record)
    except Undecodable:
        raise
    except Exception as error:  # IndexError, UnicodeDecodeError, protobuf's DecodeError
        raise Undecodable(f"malformed: {error}") from error


def base_of(payload: bytes) -> common_pb2.MsgBase:
    """The base; where it occurs several times they merge. :raises Undecodable:"""
    parts = [payload[start:end] for number, kind, _, start, end in wire.fields(payload) if (number, kind) == (BASE, 2)]
    try:
        return common_pb2.MsgBase.FromString(b"".join(parts))
    except Exception as error:  # protobuf's DecodeError, which differs between its implementations
        raise Undecodable(f"malformed: {error}") from error


def _parse(record: Record) -> Message:
    payload = record.payload
    base = base_of(payload)
    kind = _kind(base.msg_type)
    if kind is Kind.TIME_TICK:
        return _bare(kind, base.timestamp, base.msgID, record)
    numbers, texts = _LAYOUTS[kind]
    found_numbers, found_texts = {1: 0, 2: 0}, {1: b"", 2: b""}
    for number, wire_type, _, start, end in wire.fields(payload):
        if wire_type == wire.VARINT and number in numbers:
            found_numbers[numbers[number]] = wire.read_int64(payload, start)
        elif wire_type == wire.BYTES and number in texts:
            found_texts[texts[number]] = payload[start:end]
    _BODIES[kind](payload)
    is_dml = kind in (Kind.INSERT, Kind.DELETE)
    if not (found_texts[1] if is_dml else found_numbers[1]):
        raise Undecodable(f"{kind.name} that names no {'vchannel' if is_dml else 'collection'}")
    first, last = timestamps.span(timestamp_chunks(payload)) if is_dml else (Tso(base.timestamp),) * 2
    return Message(
        kind=kind,
        first=first,
        last=last,
        msg_id=base.msgID or _id_of_place(record),
        vchannel=found_texts[1].decode(),
        collection_id=found_numbers[1],
        partition_id=found_numbers[2],
        partition_name=found_texts[2].decode(),
        message_id=record.message_id,
        order=record.order,
        payload=payload,
        half=kind is Kind.INSERT and base.timestamp == 0 and first == last,  # of a plain insert it is the rows'
    )


def _id_of_place(record: Record) -> int:
    place = hashlib.blake2b(record.pchannel.encode() + b"/" + record.message_id, digest_size=8).digest()
    return -1 - (int.from_bytes(place) >> 2)


def timestamp_chunks(payload: bytes) -> list[bytes]:
    """The row timestamps of an insert or delete, as packed chunks. :raises Undecodable:"""
    return [
        payload[start:end]
        for number, wire_type, _, start, end in wire.fields(payload)
        if number == timestamps.FIELD and wire_type in (wire.BYTES, wire.VARINT)
    ]


def _kind(msg_type: int) -> Kind:
    try:
        return Kind(msg_type)
    except ValueError:
        known = common_pb2.MsgType.DESCRIPTOR.values_by_number.get(msg_type)
        name = known.name if known else "unknown"
        raise Undecodable(f"type {msg_type} ({name}) is not expected on a DML channel") from None


def _bare(kind: Kind, timestamp: int, msg_id: int, record: Record) -> Message:
    time = Tso(timestamp)
    return Message(kind, time, time, msg_id, "", 0, 0, "", record.message_id, record.order, record.payload)
