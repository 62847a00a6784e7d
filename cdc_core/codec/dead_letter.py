"""What can still be told of a record that cannot be read: above all, whose it is.

On a DML topic an unreadable record concerns

- the one vchannel that it names, when its fields can be walked as far as that name and it is of a type that has one;
- the vchannels of the collection that it names, likewise;
- every vchannel of the topic, when neither can be told: it may have been theirs.

A record of an unknown type has fields of unknown meaning. One that has the name of a vchannel of this very topic where
inserts and deletes have it is that vchannel's; nothing else would have such a text there.
"""

from __future__ import annotations

from cdc_core.codec import head, wire
from cdc_core.errors import Undecodable
from cdc_core.model.channel import VChannel
from cdc_core.model.dead_letter import SHOWN_BYTES, DeadLetter
from cdc_core.model.message import Kind, Message
from cdc_core.source.base import Record

_UNKNOWN_BYTES = 8
"""What is shown of an operation without a head."""
_SHARD_KINDS = frozenset({int(Kind.INSERT), int(Kind.DELETE)})
_COLLECTION_FIELDS = {  # msg.proto of milvus-proto
    int(Kind.CREATE_COLLECTION): 6,
    int(Kind.DROP_COLLECTION): 5,
    int(Kind.CREATE_PARTITION): 6,
    int(Kind.DROP_PARTITION): 6,
    int(Kind.IMPORT): 4,
}


def of_data(record: Record, reason: str) -> DeadLetter:
    """Of a DML topic."""
    vchannel, collection = _addressee(record)
    return _letter(record, reason, vchannel, collection)


def of_message(message: Message, pchannel: str, reason: str) -> DeadLetter:
    """Of what can be read, and cannot be replicated."""
    record = Record(pchannel, message.message_id, message.order, message.payload)
    return _letter(record, reason, message.vchannel, 0 if message.vchannel else message.collection_id)


def of_operations(record: Record, reason: str) -> DeadLetter:
    """Of the op topic: it is no collection's, because operations are in order among themselves.

    It may be one on users: behind its head there may be a password, which is shown to nobody.
    """
    return _letter(record, reason, "", 0, shown=_end_of_base(record.payload))


def _letter(record: Record, reason: str, vchannel: str, collection: int, *, shown: int = SHOWN_BYTES) -> DeadLetter:
    return DeadLetter(
        channel=record.pchannel,
        message_id=record.message_id,
        order=record.order,
        reason=reason,
        start=bytes(record.payload[: min(shown, SHOWN_BYTES)]),
        length=len(record.payload),
        vchannel=vchannel,
        collection_id=collection,
    )


def _addressee(record: Record) -> tuple[str, int]:
    """The vchannel and the collection, '' and 0 where it cannot be told."""
    numbers, texts = _fields(record.payload)
    kind = _type(texts.get(head.BASE, b""))
    if kind in _COLLECTION_FIELDS:
        return "", max(numbers.get(_COLLECTION_FIELDS[kind], 0), 0)
    vchannel = _vchannel(texts.get(head.SHARD_NAME, b""), record.pchannel)
    if vchannel is None:
        return "", 0
    named = numbers.get(head.COLLECTION_ID, vchannel.collection_id)
    if kind in _SHARD_KINDS and named != vchannel.collection_id:
        return "", 0  # one of them is wrong, and who knows which
    return vchannel.name, 0


def _fields(payload: bytes) -> tuple[dict[int, int], dict[int, bytes]]:
    """Numbers and texts, as far as the fields can be walked."""
    numbers: dict[int, int] = {}
    texts: dict[int, bytes] = {}
    try:
        for number, wire_type, _, start, end in wire.fields(payload):
            if wire_type == wire.VARINT:
                numbers[number] = wire.read_int64(payload, start)
            elif wire_type == wire.BYTES:
                texts[number] = payload[start:end]
    except Undecodable:
        pass
    return numbers, texts


def _end_of_base(payload: bytes) -> int:
    """Where the head ends, when the payload begins with one."""
    try:
        number, wire_type, _, _, end = next(wire.fields(payload))
    except (Undecodable, StopIteration):
        return _UNKNOWN_BYTES
    return end if (number, wire_type) == (head.BASE, wire.BYTES) else _UNKNOWN_BYTES


def _type(base: bytes) -> int:
    """0 when it cannot be told."""
    numbers, _ = _fields(base)
    return numbers.get(1, 0)


def _vchannel(text: bytes, pchannel: str) -> VChannel | None:
    try:
        found = VChannel.parse(text.decode())
    except ValueError:  # UnicodeDecodeError is one
        return None
    return found if found.pchannel == pchannel else None
