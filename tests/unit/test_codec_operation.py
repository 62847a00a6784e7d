"""The op channel's messages."""

from typing import Any

import pytest

from cdc_core.codec import operation
from cdc_core.codec.operation import OperationKind
from cdc_core.codec.protobuf import common_pb2, milvus_pb2, msg_pb2
from cdc_core.errors import Undecodable
from cdc_core.source.base import Record

pytestmark = pytest.mark.unit


def record(request: Any) -> Record:
    return Record("by-dev-replicate-msg", b"\x07", 7, request.SerializeToString())


def base(kind: int) -> common_pb2.MsgBase:
    return common_pb2.MsgBase(msg_type=kind, msgID=9, timestamp=9)


@pytest.mark.parametrize(
    ("kind", "request_type", "fields", "collections"),
    [
        (OperationKind.CREATE_INDEX, milvus_pb2.CreateIndexRequest, {"collection_name": "c"}, ("c",)),
        (OperationKind.DROP_INDEX, milvus_pb2.DropIndexRequest, {"collection_name": "c"}, ("c",)),
        (OperationKind.LOAD_COLLECTION, milvus_pb2.LoadCollectionRequest, {"collection_name": "c"}, ("c",)),
        (OperationKind.RELEASE_COLLECTION, milvus_pb2.ReleaseCollectionRequest, {"collection_name": "c"}, ("c",)),
        (OperationKind.FLUSH, milvus_pb2.FlushRequest, {"collection_names": ["c", "d"]}, ("c", "d")),
        (OperationKind.CREATE_DATABASE, milvus_pb2.CreateDatabaseRequest, {}, ()),
        (OperationKind.DROP_DATABASE, milvus_pb2.DropDatabaseRequest, {}, ()),
        (OperationKind.ALTER_DATABASE, milvus_pb2.AlterDatabaseRequest, {}, ()),
        (OperationKind.ALTER_INDEX, milvus_pb2.AlterIndexRequest, {"collection_name": "c"}, ("c",)),
        (OperationKind.LOAD_PARTITIONS, milvus_pb2.LoadPartitionsRequest, {"collection_name": "c"}, ("c",)),
        (OperationKind.RELEASE_PARTITIONS, milvus_pb2.ReleasePartitionsRequest, {"collection_name": "c"}, ("c",)),
    ],
)
def test_each_kind(kind: OperationKind, request_type: Any, fields: Any, collections: tuple[str, ...]) -> None:
    request = request_type(base=base(kind), db_name="db", **fields)
    parsed = operation.parse(record(request))
    assert parsed == operation.Operation(kind, "db", collections, parsed.timestamp, 9, request, b"\x07", 7)  # type: ignore[union-attr]
    assert parsed.timestamp == 9


def test_no_database_is_the_default_one() -> None:
    request = milvus_pb2.LoadCollectionRequest(base=base(106), collection_name="c")
    parsed = operation.parse(record(request))
    assert parsed is not None
    assert (parsed.database, parsed.collection) == ("default", "c")
    renamed = parsed.on("db2", ["c2"])
    assert (renamed.database, renamed.collections, renamed.request.collection_name) == ("db2", ("c2",), "c")


def test_those_of_users_belong_to_no_database_and_never_show_a_password() -> None:
    request = milvus_pb2.CreateCredentialRequest(base=base(1500), username="me", password="c2VjcmV0")
    parsed = operation.parse(record(request))
    assert parsed is not None
    assert (parsed.kind, parsed.database, parsed.collections) == (OperationKind.CREATE_CREDENTIAL, "", ())
    assert "c2VjcmV0" not in repr(parsed)


def test_a_load_of_partitions_as_one_of_the_collection() -> None:
    request = milvus_pb2.LoadPartitionsRequest(
        base=base(205), collection_name="c", partition_names=["p"], replica_number=2
    )
    parsed = operation.parse(record(request))
    assert parsed is not None
    assert parsed.partitions == ("p",)
    whole = parsed.of_whole()
    assert (whole.kind, whole.request.replica_number) == (OperationKind.LOAD_COLLECTION, 2)


def test_a_tick_is_none() -> None:
    assert operation.parse(record(msg_pb2.TimeTickMsg(base=base(1200)))) is None


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(Undecodable, match=r"operation of type 1501 \(GetCredential\)"):
        operation.parse(record(milvus_pb2.CreateCredentialRequest(base=base(1501))))


@pytest.mark.parametrize(
    ("payload", "why"),
    [(b"", "the message is empty"), (b"\xff\xff", "malformed"), (b"\x0a\x03\x08\xff\xff", "malformed")],
)
def test_garbage_is_undecodable(payload: bytes, why: str) -> None:
    with pytest.raises(Undecodable, match=why):
        operation.parse(Record("p", b"\x07", 7, payload))
