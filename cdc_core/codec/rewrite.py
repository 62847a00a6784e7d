"""Messages as the target must get them: its ids instead of the source's, the rows untouched.

In protobuf the last value of a field wins and messages merge, so appending a few small fields to a serialized
request rewrites it; nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping

from cdc_core.codec import head, timestamps, wire
from cdc_core.codec.protobuf import common_pb2, msg_pb2
from cdc_core.model.address import WHOLE_COLLECTION, Address
from cdc_core.model.message import Kind, Message
from cdc_core.model.timestamp import Tso

_MSG_ID, _REPLICATE_INFO = 2, 7
_IS_REPLICATE, _MSG_TIMESTAMP = 1, 2
_TIMESTAMP = 3
_FIELDS = {"shard": 2, "database": 3, "collection": 4, "partition": 5, "database_id": 6, "collection_id": 7, "id": 8}
_IMPORT = {"database": 2, "collection": 3, "collection_id": 4, "partition_ids": 5, "schema": 8}
_SCHEMA_NAME = 1


def in_step(message: Message, address: Address) -> bytes:
    """An insert, delete or import for the target, with the source's timestamps. Pure: the same bytes for the same
    input.
    """
    if message.kind is Kind.IMPORT:
        return _imported(message, address, message.first)
    return message.payload + _base_patch(message, message.first) + _address_patch(message, address)


def restamped(message: Message, address: Address, stamps: Mapping[int, int]) -> bytes:
    """An insert, delete or import for the target, with new row timestamps. Pure.

    `stamps` maps every one of `row_timestamps(message)`; it must keep their order, and equal ones are equal
    after it by itself (an upsert is an insert and a delete of one timestamp, and the insert must survive).
    :raises KeyError: a timestamp is missing in `stamps`.
    """
    if message.kind is Kind.IMPORT:
        return _imported(message, address, Tso(stamps[message.first]))
    stamped = timestamps.mapped(head.timestamp_chunks(message.payload), stamps)
    first = Tso(stamps[message.first])
    base = head.base_of(message.payload)
    base.timestamp = first
    return b"".join(
        [
            *_without(message.payload, head.BASE, timestamps.FIELD),
            wire.bytes_field(head.BASE, base.SerializeToString(deterministic=True)),
            wire.bytes_field(timestamps.FIELD, stamped),
            _base_patch(message, first),
            _address_patch(message, address),
        ]
    )


def row_timestamps(message: Message) -> tuple[Tso, ...]:
    """The distinct row timestamps of an insert or delete, sorted."""
    if message.first == message.last:
        return (message.first,)
    return tuple(Tso(value) for value in sorted(set(timestamps.decoded(head.timestamp_chunks(message.payload)))))


def row_count(message: Message) -> int:
    """Of an insert or delete, all whose timestamps are equal as a rule; an import carries none."""
    if message.kind is Kind.IMPORT:
        return 0
    return len(timestamps.decoded(head.timestamp_chunks(message.payload)))


def partitions_of(message: Message) -> tuple[int, ...]:
    """Those that an import names, by the source's ids."""
    return tuple(msg_pb2.ImportMsg.FromString(message.payload).partitionIDs)


def time_tick(tick: Tso) -> bytes:
    """A tick for a channel of the target."""
    return bytes(msg_pb2.TimeTickMsg(base=_new_base(Kind.TIME_TICK, 0, tick)).SerializeToString())


def drop_collection_message(address: Address, msg_id: int, at: Tso) -> bytes:
    """Tells the readers of `address.vchannel` that its collection is gone; wanted once in each of its channels."""
    request = msg_pb2.DropCollectionRequest(
        base=_new_base(Kind.DROP_COLLECTION, msg_id, at),
        db_name=address.database,
        collectionName=address.collection_name,
        collectionID=address.collection_id,
    )
    return bytes(request.SerializeToString())


def drop_partition_message(address: Address, msg_id: int, at: Tso) -> bytes:
    """Tells the readers of `address.vchannel` that a partition is gone; wanted once in each of its channels."""
    request = msg_pb2.DropPartitionRequest(
        base=_new_base(Kind.DROP_PARTITION, msg_id, at),
        db_name=address.database,
        collection_name=address.collection_name,
        partition_name=address.partition_name,
        collectionID=address.collection_id,
        partitionID=address.partition_id,
    )
    return bytes(request.SerializeToString())


def _new_base(kind: Kind, msg_id: int, at: Tso) -> common_pb2.MsgBase:
    info = common_pb2.ReplicateInfo(isReplicate=True, msgTimestamp=at)
    return common_pb2.MsgBase(msg_type=int(kind), msgID=msg_id, timestamp=at, replicateInfo=info)


def _base_patch(message: Message, at: Tso) -> bytes:
    info = wire.number_field(_IS_REPLICATE, 1) + wire.number_field(_MSG_TIMESTAMP, at)
    base = wire.number_field(_MSG_ID, message.msg_id) + wire.bytes_field(_REPLICATE_INFO, info)
    return wire.bytes_field(head.BASE, base)


def _address_patch(message: Message, address: Address) -> bytes:
    if message.kind not in (Kind.INSERT, Kind.DELETE):
        raise ValueError(f"{message.kind.name} carries no rows: it is not rewritten")
    parts = [
        wire.bytes_field(_FIELDS["shard"], address.vchannel.encode()),
        wire.bytes_field(_FIELDS["database"], address.database.encode()),
        wire.bytes_field(_FIELDS["collection"], address.collection_name.encode()),
        wire.number_field(_FIELDS["database_id"], 0),
        wire.number_field(_FIELDS["collection_id"], address.collection_id),
    ]
    if message.partition_id != WHOLE_COLLECTION:
        parts.append(wire.bytes_field(_FIELDS["partition"], address.partition_name.encode()))
        parts.append(wire.number_field(_FIELDS["id"], address.partition_id))
    return b"".join(parts)


def _imported(message: Message, address: Address, at: Tso) -> bytes:
    """Its partitions are a list, to which appending would add; the files are the source's, in a store of both."""
    packed = b"".join(map(wire.varint, address.partition_ids))
    return b"".join(
        [
            *_without(message.payload, _IMPORT["partition_ids"]),
            wire.bytes_field(head.BASE, wire.number_field(_TIMESTAMP, at)),
            _base_patch(message, at),
            wire.bytes_field(_IMPORT["database"], address.database.encode()),
            wire.bytes_field(_IMPORT["collection"], address.collection_name.encode()),
            wire.number_field(_IMPORT["collection_id"], address.collection_id),
            wire.bytes_field(_IMPORT["partition_ids"], packed),
            wire.bytes_field(_IMPORT["schema"], wire.bytes_field(_SCHEMA_NAME, address.collection_name.encode())),
        ]
    )


def _without(payload: bytes, *numbers: int) -> list[memoryview]:
    view, parts, kept = memoryview(payload), [], 0
    for number, _, key, _, end in wire.fields(payload):
        if number in numbers:
            parts.append(view[kept:key])
            kept = end
    parts.append(view[kept:])
    return parts
