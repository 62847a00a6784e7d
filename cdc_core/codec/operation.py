"""The op channel's messages: requests that a source's proxy has run and that no DML channel carries.

Source: milvus-proto, `milvus.proto`. A 2.3.5 source writes indexes, loads and releases of collections, flushes and
databases there; partitions, alters, users and roles come from 2.4 on, privilege groups from 2.5 on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    LOAD_PARTITIONS = 205
    RELEASE_PARTITIONS = 206
    CREATE_INDEX = 300
    DROP_INDEX = 302
    ALTER_INDEX = 304
    FLUSH = 402
    CREATE_CREDENTIAL = 1500
    DELETE_CREDENTIAL = 1502
    UPDATE_CREDENTIAL = 1503
    CREATE_ROLE = 1600
    DROP_ROLE = 1601
    OPERATE_USER_ROLE = 1602
    OPERATE_PRIVILEGE = 1606
    CREATE_PRIVILEGE_GROUP = 1610
    DROP_PRIVILEGE_GROUP = 1611
    OPERATE_PRIVILEGE_GROUP = 1613
    OPERATE_PRIVILEGE_V2 = 1614
    CREATE_DATABASE = 1801
    DROP_DATABASE = 1802
    ALTER_DATABASE = 1804


OF_PARTITIONS = frozenset({OperationKind.LOAD_PARTITIONS, OperationKind.RELEASE_PARTITIONS})
OF_DATABASES = frozenset({OperationKind.CREATE_DATABASE, OperationKind.DROP_DATABASE, OperationKind.ALTER_DATABASE})
OF_USERS = frozenset(
    {
        OperationKind.CREATE_CREDENTIAL,
        OperationKind.DELETE_CREDENTIAL,
        OperationKind.UPDATE_CREDENTIAL,
        OperationKind.CREATE_ROLE,
        OperationKind.DROP_ROLE,
        OperationKind.OPERATE_USER_ROLE,
        OperationKind.OPERATE_PRIVILEGE,
        OperationKind.CREATE_PRIVILEGE_GROUP,
        OperationKind.DROP_PRIVILEGE_GROUP,
        OperationKind.OPERATE_PRIVILEGE_GROUP,
        OperationKind.OPERATE_PRIVILEGE_V2,
    }
)
"""Of the whole server: users, roles, and what they may do."""


REQUESTS: Mapping[OperationKind, Callable[[], Any]] = {
    OperationKind.LOAD_COLLECTION: milvus_pb2.LoadCollectionRequest,
    OperationKind.RELEASE_COLLECTION: milvus_pb2.ReleaseCollectionRequest,
    OperationKind.LOAD_PARTITIONS: milvus_pb2.LoadPartitionsRequest,
    OperationKind.RELEASE_PARTITIONS: milvus_pb2.ReleasePartitionsRequest,
    OperationKind.CREATE_INDEX: milvus_pb2.CreateIndexRequest,
    OperationKind.DROP_INDEX: milvus_pb2.DropIndexRequest,
    OperationKind.ALTER_INDEX: milvus_pb2.AlterIndexRequest,
    OperationKind.FLUSH: milvus_pb2.FlushRequest,
    OperationKind.CREATE_CREDENTIAL: milvus_pb2.CreateCredentialRequest,
    OperationKind.DELETE_CREDENTIAL: milvus_pb2.DeleteCredentialRequest,
    OperationKind.UPDATE_CREDENTIAL: milvus_pb2.UpdateCredentialRequest,
    OperationKind.CREATE_ROLE: milvus_pb2.CreateRoleRequest,
    OperationKind.DROP_ROLE: milvus_pb2.DropRoleRequest,
    OperationKind.OPERATE_USER_ROLE: milvus_pb2.OperateUserRoleRequest,
    OperationKind.OPERATE_PRIVILEGE: milvus_pb2.OperatePrivilegeRequest,
    OperationKind.CREATE_PRIVILEGE_GROUP: milvus_pb2.CreatePrivilegeGroupRequest,
    OperationKind.DROP_PRIVILEGE_GROUP: milvus_pb2.DropPrivilegeGroupRequest,
    OperationKind.OPERATE_PRIVILEGE_GROUP: milvus_pb2.OperatePrivilegeGroupRequest,
    OperationKind.OPERATE_PRIVILEGE_V2: milvus_pb2.OperatePrivilegeV2Request,
    OperationKind.CREATE_DATABASE: milvus_pb2.CreateDatabaseRequest,
    OperationKind.DROP_DATABASE: milvus_pb2.DropDatabaseRequest,
    OperationKind.ALTER_DATABASE: milvus_pb2.AlterDatabaseRequest,
}
"""What makes an empty request of each kind."""
_TIME_TICK = 1200


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of the op channel.

    `collections` is empty for operations on a database and may name several for a flush; `database`, too, is empty
    for those on users. `request` is the protobuf as the source got it: its names are the source's, the target gets
    those of this value. It may hold a password, so it is never shown.
    """

    kind: OperationKind
    database: str
    collections: tuple[str, ...]
    timestamp: Tso
    msg_id: int
    request: Any = field(repr=False)
    message_id: bytes
    order: int

    @property
    def collection(self) -> str:
        """The first (as a rule the only) collection; '' for a database."""
        return self.collections[0] if self.collections else ""

    @property
    def partitions(self) -> tuple[str, ...]:
        """Those that are loaded or released one by one."""
        return tuple(self.request.partition_names) if self.kind in OF_PARTITIONS else ()

    def of_whole(self) -> Operation:
        """A load of partitions as one of their collection."""
        request = milvus_pb2.LoadCollectionRequest(base=self.request.base)
        request.replica_number = getattr(self.request, "replica_number", 0)
        return replace(self, kind=OperationKind.LOAD_COLLECTION, request=request)

    def on(self, database: str, collections: Sequence[str]) -> Operation:
        """The same under other names: the target's, or only the flushed collections that are replicated."""
        return replace(self, database=database, collections=tuple(collections))


def parse(record: Record) -> Operation | None:
    """The operation of a record; None for a time tick.

    :raises Undecodable: empty, malformed, or of a type that this system does not know; says which.
    """
    if not record.payload:
        raise Undecodable("the message is empty")
    try:
        base = head.base_of(record.payload)
        if base.msg_type == _TIME_TICK:
            return None
        kind = _kind(base.msg_type)
        request = REQUESTS[kind]()
        request.ParseFromString(record.payload)
    except Undecodable:
        raise
    except Exception as error:  # protobuf's DecodeError
        raise Undecodable(f"malformed: {error}") from error
    return Operation(
        kind=kind,
        database="" if kind in OF_USERS else request.db_name or DEFAULT_DATABASE,
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
    if kind in OF_DATABASES | OF_USERS:
        return ()
    return (request.collection_name,)
