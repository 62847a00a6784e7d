"""What a server's answers mean that differ between a Milvus and a Milvus Lite."""

import pytest

from cdc_core.codec.protobuf import common_pb2
from cdc_core.errors import CdcError, Refused, TargetUnavailable
from cdc_core.sink import milvus_errors

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("code", "old", "reason", "expected"),
    [
        (6, 6, "dim must be positive", Refused),
        (6, 1, "cross cluster routing", TargetUnavailable),
        (1001, 1, "IO failed: json: cannot unmarshal array", Refused),
        (1001, 1, "IO failed: no such host", TargetUnavailable),
        (1, 1, "not ready", TargetUnavailable),
    ],
)
def test_what_passes_and_what_does_not(code: int, old: int, reason: str, expected: type[CdcError]) -> None:
    status = common_pb2.Status(code=code, error_code=old, reason=reason)  # type: ignore[arg-type]
    assert type(milvus_errors.of_status("a call", status)) is expected


def test_a_lite_without_the_database_says_so_in_words() -> None:
    status = common_pb2.Status(code=1, reason="database 'a b' does not exist")
    assert milvus_errors.is_missing(status, milvus_errors.DATABASE_NOT_FOUND)
    assert not milvus_errors.is_missing(status, milvus_errors.COLLECTION_NOT_FOUND)
    other = common_pb2.Status(code=1, reason="collection 'c' does not exist")
    assert not milvus_errors.is_missing(other, milvus_errors.DATABASE_NOT_FOUND)
