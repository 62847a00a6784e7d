"""The op channel's messages: requests that a source's proxy has run and that no DML channel carries.

Source: milvus-proto, `milvus.proto`; what a 2.3.5 source writes there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from cdc_core.codec import head
from cdc_core.codec.protobuf import common_pb2, milvus_pb2
from cdc_core.errors import Undecodable
from cdc_core.model.catalog import DEFAULT_DATABASE
from cdc_core.model.timestamp import Tso
from cdc_core.source.base import Record


class OperationKind(IntEnum):
    """`common.MsgType` of the messages on the op channel."""

    LOAD_COLLECTION = 106
    RELEASE_COLLECTION = 107
    CREATE_INDEX = 300
    DROP_INDEX = 302
    FLUSH = 402
    CREATE_DATABASE = 1801
    DROP_DATABASE = 1802


_REQUESTS: dict[OperationKind, Callable[[], Any]] = {
    OperationKind.LOAD_COLLECTION: milvus_pb2.LoadCollectionRequest,
    OperationKind.RELEASE_COLLECTION: milvus_pb2.ReleaseCollectionRequest,
    OperationKind.CREATE_INDEX: milvus_pb2.CreateIndexRequest,
    OperationKind.DROP_INDEX: milvus_pb2.DropIndexRequest,
    OperationKind.FLUSH: milvus_pb2.FlushRequest,
    OperationKind.CREATE_DATABASE: milvus_pb2.CreateDatabaseRequest,
    OperationKind.DROP_DATABASE: milvus_pb2.DropDatabaseRequest,
}
_TIME_TICK = 1200


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of the op channel.

    `collections` is empty for operations on a database and may name several for a flush. `request` is the
    protobuf as the source got it: its names are the source's, the target gets those of this value.
    """

    kind: OperationKind
    database: str
    collections: tuple[str, ...]
    timestamp: Tso
    msg_id: int
    request: Any
    message_id: bytes
    order: int

    @property
    def collection(self) -> str:
        """The first (as a rule the only) collection; '' for a database."""
        return self.collections[0] if self.collections else ""

    def on(self, database: str, collections: Sequence[str]) -> Operation:
        """The same under other names: the target's, or only the flushed collections that are replicated."""
        return replace(self, database=database, collections=tuple(collections))


def parse(record: Record) -> Operation | None:
    """The operation of a record; None for a time tick.

    :raises Undecodable: malformed, or a type that this system does not know; names type, channel and id.
    """
    try:
        base = head.base_of(record.payload)
        if base.msg_type == _TIME_TICK:
            return None
        kind = _kind(base.msg_type)
        request = _REQUESTS[kind]()
        request.ParseFromString(record.payload)
    except Exception as error:  # also protobuf's DecodeError
        raise Undecodable(f"{record.pchannel}, message {record.message_id.hex()}: {error}") from error
    return Operation(
        kind=kind,
        database=request.db_name or DEFAULT_DATABASE,
        collections=_collections(kind, request),
        timestamp=Tso(base.timestamp),
        msg_id=base.msgID,
        request=request,
        message_id=record.message_id,
        order=record.order,
    )


def _kind(msg_type: int) -> OperationKind:
    try:
        return OperationKind(msg_type)
    except ValueError:
        known = common_pb2.MsgType.DESCRIPTOR.values_by_number.get(msg_type)
        name = known.name if known else "unknown"
        raise Undecodable(f"operation of type {msg_type} ({name}) is not supported") from None


def _collections(kind: OperationKind, request: Any) -> tuple[str, ...]:
    if kind is OperationKind.FLUSH:
        return tuple(request.collection_names)
    if kind in (OperationKind.CREATE_DATABASE, OperationKind.DROP_DATABASE):
        return ()
    return (request.collection_name,)
