"""What a source queue carries, with the head parsed and the body untouched."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cdc_core.model.timestamp import Tso


class Kind(IntEnum):
    """`common.MsgType` of the messages on the DML channels."""

    CREATE_COLLECTION = 100
    DROP_COLLECTION = 101
    CREATE_PARTITION = 200
    DROP_PARTITION = 201
    INSERT = 400
    DELETE = 401
    IMPORT = 408
    TIME_TICK = 1200


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a DML channel.

    `first` and `last` are the smallest and largest row timestamp of an insert or delete (they are equal in what a
    source sends), and `base.timestamp` of everything else. `message_id` and `order` are the queue's (see `Record`),
    `msg_id` is `base.msgID`, by which the target drops duplicates. `vchannel` is '' for what is not addressed to one.
    `partition_id` is -1 for a delete in the whole collection. An import (of a source from 2.5 on) carries no rows, it
    names files and all partitions that may get rows of them; like a drop it comes on every vchannel of its collection.
    `half` is an insert that is half of an upsert: a delete of its timestamp follows.
    """

    kind: Kind
    first: Tso
    last: Tso
    msg_id: int
    vchannel: str
    collection_id: int
    partition_id: int
    partition_name: str
    message_id: bytes
    order: int
    payload: bytes
    half: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.payload)
