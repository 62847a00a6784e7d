"""What a queue says that its collections hold."""

from __future__ import annotations

import pytest

from cdc_core.codec import rewrite
from cdc_core.codec.protobuf import common_pb2, msg_pb2, schema_pb2
from cdc_core.model.message import Kind
from cdc_core.model.timestamp import Tso
from cdc_core.source.memory import MemoryQueue
from tests.messages import KEY, SOURCE_PCHANNEL, delete, insert, schema_field
from tests.written import Rows, written

pytestmark = pytest.mark.unit

FIELDS = (
    KEY,
    schema_field(102, "tenant", schema_pb2.DataType.Int64),
    schema_field(103, "text", schema_pb2.DataType.VarChar),
)
GONE = (442, "p")


def rows(keys: list[int], text: str, at: int, partition: tuple[int, str] = (441, "_default")) -> msg_pb2.InsertRequest:
    values = {"id": keys, "tenant": [7] * len(keys), "text": [text] * len(keys)}
    return insert(values, at, fields=FIELDS, partition=partition)


def read(*requests: object) -> Rows:
    queue = MemoryQueue()
    queue.create(SOURCE_PCHANNEL)
    for request in requests:
        queue.append(SOURCE_PCHANNEL, request.SerializeToString())  # type: ignore[attr-defined]
    queue.append(SOURCE_PCHANNEL, rewrite.time_tick(Tso(1_000)))
    return written(queue, [440, 77])[440].rows()


def test_deletes_take_what_is_older_and_an_upsert_leaves_what_it_brings() -> None:
    found = read(
        rows([1, 2, 3], "old", 10), delete([1], 20), rows([2], "new", 30), delete([2], 30), rows([1], "again", 40)
    )
    assert found == {1: [(7, "again")], 2: [(7, "new")], 3: [(7, "old")]}


def test_rows_and_deletes_belong_to_partitions_which_go_with_their_rows() -> None:
    base = common_pb2.MsgBase(msg_type=int(Kind.DROP_PARTITION), msgID=7, timestamp=50)
    drop = msg_pb2.DropPartitionRequest(base=base, collectionID=440, partitionID=GONE[0])
    assert read(rows([1], "a", 10), rows([2], "b", 10, GONE), delete([1, 2], 20, partition=GONE)) == {1: [(7, "a")]}
    assert read(rows([1], "a", 10), rows([2], "b", 10, GONE), drop) == {1: [(7, "a")]}


def test_what_a_source_has_written_twice_is_there_twice() -> None:
    assert read(rows([1], "a", 10), rows([1], "a", 11)) == {1: [(7, "a"), (7, "a")]}
