"""Rewritten messages, decoded again by Milvus' own classes."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.codec import rewrite
from cdc_core.codec.protobuf import msg_pb2
from cdc_core.model.address import WHOLE_COLLECTION
from cdc_core.model.message import Kind
from cdc_core.model.timestamp import Tso
from tests.messages import collection, delete, imported, parsed, simple_insert

pytestmark = pytest.mark.unit
TO = rewrite.Address(9_000, "by-dev-rootcoord-dml_7_9000v3", "of_the_target", "db", 9_001, "p")
stamps = st.integers(min_value=1, max_value=2**63 - 1)
requests = st.one_of(
    st.builds(
        lambda keys, at, number: simple_insert(keys, at, msg_id=number),
        st.lists(st.integers(0, 9), min_size=1, max_size=5),
        stamps,
        st.integers(1, 2**62),
    ),
    st.builds(
        lambda rows: simple_insert([key for key, _ in rows], [at for _, at in rows]),
        st.lists(st.tuples(st.integers(0, 9), stamps), min_size=1, max_size=5),
    ),
    st.builds(
        lambda rows, old, partition: delete(
            [key for key, _ in rows], [at for _, at in rows], old=old, partition=partition
        ),
        st.lists(st.tuples(st.integers(0, 9), stamps), min_size=1, max_size=5),
        st.booleans(),
        st.sampled_from([(-1, ""), (441, "_default")]),
    ),
    st.builds(lambda keys, at: delete(keys, at), st.lists(st.text(max_size=5), min_size=1, max_size=3), stamps),
)


def expected(request: Any, timestamps: list[int]) -> Any:
    """The request as the target must get it."""
    wanted = type(request)()
    wanted.CopyFrom(request)
    wanted.base.replicateInfo.isReplicate = True
    wanted.base.replicateInfo.msgTimestamp = min(timestamps)
    wanted.shardName, wanted.db_name, wanted.collection_name = TO.vchannel, TO.database, TO.collection_name
    wanted.dbID, wanted.collectionID = 0, TO.collection_id
    if request.partitionID != WHOLE_COLLECTION:
        wanted.partitionID, wanted.partition_name = TO.partition_id, TO.partition_name
    wanted.ClearField("timestamps")
    wanted.timestamps.extend(timestamps)
    return wanted


@given(requests)
def test_in_step_changes_the_address_and_nothing_else(request: Any) -> None:
    message = parsed(request.SerializeToString())
    assert type(request).FromString(rewrite.in_step(message, TO)) == expected(request, list(request.timestamps))
    assert rewrite.in_step(message, TO) == rewrite.in_step(message, TO)


@given(requests, st.integers(1, 2**40))
def test_restamping_changes_the_timestamps_besides(request: Any, base: int) -> None:
    message = parsed(request.SerializeToString())
    distinct = rewrite.row_timestamps(message)
    assert list(distinct) == sorted(set(request.timestamps))
    mapped = {stamp: base + place for place, stamp in enumerate(distinct)}
    wanted = expected(request, [mapped[stamp] for stamp in request.timestamps])
    wanted.base.timestamp = base
    assert type(request).FromString(rewrite.restamped(message, TO, mapped)) == wanted


@given(st.lists(st.integers(1, 2**62), max_size=5), stamps, st.integers(1, 2**40))
def test_an_import_gets_the_target_s_partitions_instead_of_its_own(there: list[int], at: int, base: int) -> None:
    request = imported(collection("films", partitions=["_default", "p"]), at, job=7)
    message = parsed(request.SerializeToString())
    wanted = msg_pb2.ImportMsg()
    wanted.CopyFrom(request)
    wanted.db_name, wanted.collection_name, wanted.collectionID = TO.database, TO.collection_name, TO.collection_id
    wanted.schema.name = TO.collection_name
    wanted.partitionIDs[:] = there
    wanted.base.msgID = message.msg_id
    wanted.base.replicateInfo.isReplicate = True
    wanted.base.replicateInfo.msgTimestamp = at
    to = replace(TO, partition_ids=tuple(there))
    assert msg_pb2.ImportMsg.FromString(rewrite.in_step(message, to)) == wanted
    wanted.base.timestamp = wanted.base.replicateInfo.msgTimestamp = base
    assert msg_pb2.ImportMsg.FromString(rewrite.restamped(message, to, {at: base})) == wanted
    assert list(rewrite.partitions_of(message)) == list(request.partitionIDs)


@given(requests, st.integers(1, 2**40))
def test_a_rewritten_message_reads_as_one_of_the_target(request: Any, base: int) -> None:
    message = parsed(request.SerializeToString())
    mapped = {stamp: base + place for place, stamp in enumerate(rewrite.row_timestamps(message))}
    again = parsed(rewrite.restamped(message, TO, mapped))
    assert (again.kind, again.msg_id, again.vchannel) == (message.kind, message.msg_id, TO.vchannel)
    assert (again.first, again.last) == (base, base + len(mapped) - 1)
    assert again.collection_id == TO.collection_id


def test_a_message_without_a_number_gets_the_one_of_its_place() -> None:
    """Two messages with the number 0 in one window would be one for the target."""
    payload = simple_insert([1], 5, msg_id=0).SerializeToString()
    first, second = (parsed(payload, order=order) for order in (1, 2))
    numbers = {msg_pb2.InsertRequest.FromString(rewrite.in_step(each, TO)).base.msgID for each in (first, second)}
    assert len(numbers) == 2
    assert max(numbers) < 0


def test_a_missing_stamp_is_an_error() -> None:
    with pytest.raises(KeyError):
        rewrite.restamped(parsed(simple_insert([1], 5).SerializeToString()), TO, {})


def test_only_rows_are_rewritten() -> None:
    with pytest.raises(ValueError, match="carries no rows"):
        rewrite.in_step(parsed(rewrite.time_tick(Tso(5))), TO)


def test_made_messages_read_as_what_they_are() -> None:
    assert parsed(rewrite.time_tick(Tso(5))).first == 5
    collection = parsed(rewrite.drop_collection_message(TO, 7, Tso(6)))
    assert (collection.kind, collection.collection_id, collection.msg_id) == (Kind.DROP_COLLECTION, 9_000, 7)
    partition = parsed(rewrite.drop_partition_message(TO, 8, Tso(6)))
    assert (partition.kind, partition.partition_id, partition.partition_name) == (Kind.DROP_PARTITION, 9_001, "p")
