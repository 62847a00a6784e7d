"""Operations of the source's op channel, done on a standby Milvus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cdc_core.codec.operation import Operation, OperationKind
from cdc_core.codec.protobuf import common_pb2, milvus_pb2
from cdc_core.errors import NotSupported, Refused, TargetUnavailable
from cdc_core.sink import milvus_errors
from cdc_core.sink.milvus_client import MilvusChannel

_GONE = (milvus_errors.COLLECTION_NOT_FOUND, milvus_errors.DATABASE_NOT_FOUND)
_EXISTS = ("already exist", "is already", "already been granted")
_ABSENT = ("not found", "not exist", "isn't existed", "not been granted")
_OF_USERS = {
    OperationKind.CREATE_CREDENTIAL: ("CreateCredential", _EXISTS),
    OperationKind.DELETE_CREDENTIAL: ("DeleteCredential", _ABSENT),
    OperationKind.UPDATE_CREDENTIAL: ("UpdateCredential", ()),
    OperationKind.CREATE_ROLE: ("CreateRole", _EXISTS),
    OperationKind.DROP_ROLE: ("DropRole", _ABSENT),
    OperationKind.OPERATE_USER_ROLE: ("OperateUserRole", _EXISTS),
    OperationKind.OPERATE_PRIVILEGE: ("OperatePrivilege", _EXISTS),
    OperationKind.CREATE_PRIVILEGE_GROUP: ("CreatePrivilegeGroup", _EXISTS),
    OperationKind.DROP_PRIVILEGE_GROUP: ("DropPrivilegeGroup", _ABSENT),
    OperationKind.OPERATE_PRIVILEGE_GROUP: ("OperatePrivilegeGroup", _EXISTS),
    OperationKind.OPERATE_PRIVILEGE_V2: ("OperatePrivilegeV2", _EXISTS),
}
"""The call, and what a target says that has done it already."""
_SECONDS = {"Flush": 10.0}
"""A 2.3.5 that was killed may not answer it for minutes; it works within one."""
_LOADED = (common_pb2.LoadStateLoading, common_pb2.LoadStateLoaded)


class MilvusOperations:
    """Every one is idempotent. Thread-safe."""

    def __init__(self, channel: MilvusChannel) -> None:
        self._channel = channel
        self._actions: dict[OperationKind, Callable[[Operation], None]] = {
            OperationKind.LOAD_PARTITIONS: self._load_partitions,
            OperationKind.RELEASE_PARTITIONS: self._release_partitions,
            OperationKind.ALTER_INDEX: self._alter_index,
            OperationKind.ALTER_DATABASE: lambda operation: self._run("AlterDatabase", operation),
            OperationKind.CREATE_INDEX: self._create_index,
            OperationKind.DROP_INDEX: self._drop_index,
            OperationKind.LOAD_COLLECTION: self._load,
            OperationKind.RELEASE_COLLECTION: self._release,
            OperationKind.FLUSH: self._flush,
            OperationKind.CREATE_DATABASE: self._create_database,
            OperationKind.DROP_DATABASE: self._drop_database,
            **dict.fromkeys(_OF_USERS, self._of_users),
        }

    def apply(self, operation: Operation) -> None:
        """See `TargetCatalog.apply`."""
        self._actions[operation.kind](operation)

    def _create_index(self, operation: Operation) -> None:
        # The server itself takes an equal index for done.
        self._run("CreateIndex", operation, collection_name=operation.collection)

    def _drop_index(self, operation: Operation) -> None:
        missing = (*_GONE, milvus_errors.INDEX_NOT_FOUND)
        self._run("DropIndex", operation, *missing, collection_name=operation.collection)

    def is_loaded(self, database: str, name: str) -> bool:
        """Or being loaded."""
        request = milvus_pb2.GetLoadStateRequest(db_name=database, collection_name=name)
        answer = self._channel.call("GetLoadState", request)
        _raise(f"GetLoadState of {database}.{name}", answer.status)
        return answer.state in _LOADED

    def _load(self, operation: Operation) -> None:
        if self.is_loaded(operation.database, operation.collection):
            return
        self._run("LoadCollection", operation, collection_name=operation.collection)

    def _release(self, operation: Operation) -> None:
        self._run("ReleaseCollection", operation, *_GONE, collection_name=operation.collection)

    def _load_partitions(self, operation: Operation) -> None:
        # One that is gone was dropped at the source since: its drop comes, or has come, over the DML channels.
        missing = (milvus_errors.PARTITION_NOT_FOUND,)
        self._run("LoadPartitions", operation, *missing, collection_name=operation.collection)

    def _release_partitions(self, operation: Operation) -> None:
        missing = (*_GONE, milvus_errors.PARTITION_NOT_FOUND)
        self._run("ReleasePartitions", operation, *missing, collection_name=operation.collection)

    def _alter_index(self, operation: Operation) -> None:
        self._run("AlterIndex", operation, collection_name=operation.collection)

    def _of_users(self, operation: Operation) -> None:
        method, done = _OF_USERS[operation.kind]
        takes_away = getattr(operation.request, "type", 0) != 0  # Revoke, RemoveUserFromRole, ...
        self._run(method, operation, done=_ABSENT if takes_away else done)

    def _flush(self, operation: Operation) -> None:
        # One at a time: a missing one must not keep the others from being flushed.
        for name in operation.collections:
            self._run("Flush", operation, *_GONE, collection_names=[name])

    def _create_database(self, operation: Operation) -> None:
        if operation.database not in self._databases():
            self._run("CreateDatabase", operation)

    def _drop_database(self, operation: Operation) -> None:
        if operation.database in self._databases():
            self._run("DropDatabase", operation, milvus_errors.DATABASE_NOT_FOUND)

    def _databases(self) -> list[str]:
        answer = self._channel.call("ListDatabases", milvus_pb2.ListDatabasesRequest())
        _raise("ListDatabases", answer.status)
        return list(answer.db_names)

    def _run(self, method: str, operation: Operation, *missing: int, done: tuple[str, ...] = (), **names: Any) -> None:
        """The source's request under the target's names; `missing` codes and `done` texts say that there is nothing
        to do.
        """
        request = type(operation.request)()
        request.CopyFrom(operation.request)
        if operation.database:
            request.db_name = operation.database
        for field in names:
            request.ClearField(field)
        request.MergeFrom(type(request)(**names))
        request.base.replicateInfo.isReplicate = True
        request.base.replicateInfo.msgTimestamp = operation.timestamp
        what = f"{operation.kind.name} of {'.'.join(filter(None, [operation.database, *operation.collections]))}"
        try:
            answer = self._channel.call(method, request, _SECONDS.get(method))
        except TargetUnavailable as error:
            raise TargetUnavailable(f"{what}: {error}", unclear=error.unclear) from error
        except NotSupported as error:
            raise Refused(f"{what}: the target's version does not know it") from error
        status = getattr(answer, "status", answer)
        if not milvus_errors.is_missing(status, *missing) and not any(text in status.reason for text in done):
            _raise(what, status)


def _raise(what: str, status: Any) -> None:
    error = milvus_errors.of_status(what, status)
    if error is not None:
        raise error
