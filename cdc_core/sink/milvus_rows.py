"""Any Milvus as the target, by its ordinary calls: upserts and deletes by primary key.

Source: milvus-proto, `milvus.proto`. What an InsertRequest of a queue holds are user fields only: its columns are what
an UpsertRequest wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cdc_core.clock import Clock, SystemClock
from cdc_core.codec.keys import Key
from cdc_core.codec.protobuf import milvus_pb2
from cdc_core.errors import IsStandby, NotSupported, Refused, TargetUnavailable
from cdc_core.model.address import Row
from cdc_core.sink import key_filter, milvus_errors
from cdc_core.sink.milvus_client import MilvusChannel
from cdc_core.sink.row_changes import Changes, collapse
from cdc_core.sink.upserts import Upsert, upserts

DELETE_KEYS = 10_000
"""Of one call, which takes 0.1 s then."""

_STANDBY_ADVICE = "this Milvus is a standby, which refuses ordinary writes: leave out extension.sink"
_ANSWER_OF_A_STANDBY = 1100
"""To an empty ReplicateMessage, seen on 2.3.5; others say NO_STANDBY."""


@dataclass(frozen=True, slots=True)
class _Collection:
    """As the target describes it now."""

    database: str
    name: str
    key_field: str
    by_key: bool
    has_id: bool
    """Milvus Lite has none."""

    def __str__(self) -> str:
        return f"{self.database}.{self.name}"


class MilvusRows:
    """`RowSink` of a Milvus; the channel may be shared with its catalog and is the owner's to close."""

    def __init__(self, channel: MilvusChannel, clock: Clock | None = None) -> None:
        self._channel = channel
        self._clock = clock or SystemClock()

    def write(self, rows: Sequence[Row], timeout: float) -> None:
        calls = _Calls(self._channel, self._clock, self._clock.monotonic() + timeout)
        refused = []
        for group in _by_collection(rows):
            try:
                _write(calls, group)
            except Refused as error:
                refused.append(str(error))
        if refused:
            raise Refused("; ".join(refused))

    def check(self, timeout: float) -> None:
        self._channel.wait_ready()
        try:
            status = self._channel.call("ReplicateMessage", milvus_pb2.ReplicateMessageRequest(), timeout).status
        except NotSupported:
            return  # Milvus Lite
        if status.code == _ANSWER_OF_A_STANDBY:
            raise IsStandby(_STANDBY_ADVICE)
        if status.code != milvus_errors.NO_STANDBY and (error := milvus_errors.of_status("the probe", status)):
            raise error

    def close(self) -> None:
        self._channel.close()


class _Calls:
    """Calls that together end by a deadline."""

    def __init__(self, channel: MilvusChannel, clock: Clock, deadline: float) -> None:
        self._channel = channel
        self._clock = clock
        self._deadline = deadline

    def __call__(self, method: str, request: Any) -> Any:
        """The answer. :raises TargetUnavailable: there is none, or no time is left: then nothing was sent."""
        left = self._deadline - self._clock.monotonic()
        if left <= 0:
            raise TargetUnavailable(f"{method} at {self._channel.address}: no time is left for it; begun anew")
        return self._channel.call(method, request, left)


def _by_collection(rows: Sequence[Row]) -> list[list[Row]]:
    """Apart by what is written to, each in its order."""
    groups: dict[tuple[int, str, str], list[Row]] = {}
    for row in rows:
        address = row.address
        key = (address.collection_id, address.database, address.collection_name)
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _write(calls: _Calls, rows: Sequence[Row]) -> None:
    collection = _described(calls, rows[0])
    changes = collapse(rows, collection.key_field, by_key=collection.by_key)
    for request in _delete_requests(collection, changes):
        _change(calls, "Delete", collection, request)
    for partition, picked in changes.upserts.items():
        for upsert in upserts(picked):
            _change(calls, "Upsert", collection, _upsert_request(collection, partition, upsert))


def _described(calls: _Calls, row: Row) -> _Collection:
    """Asked by id each time, which takes about a millisecond: calls go by name, and another collection may have that
    name since a rename. Milvus Lite gives no ids.
    """
    address = row.address
    names = {"db_name": address.database, "collection_name": address.collection_name}
    wanted = {"collectionID": address.collection_id, "db_name": address.database} if address.collection_id else names
    answer = calls("DescribeCollection", milvus_pb2.DescribeCollectionRequest(**wanted))
    what = f"{address.database}.{address.collection_name}"
    if milvus_errors.is_missing(answer.status, milvus_errors.COLLECTION_NOT_FOUND, milvus_errors.DATABASE_NOT_FOUND):
        raise Refused(f"{what} was dropped on the target by hand; delete the task and create it anew")
    if error := milvus_errors.of_status(f"DescribeCollection of {what}", answer.status):
        raise error
    fields = answer.schema.fields
    return _Collection(
        database=answer.db_name or address.database,
        name=answer.schema.name,
        key_field=next(field.name for field in fields if field.is_primary_key),
        by_key=any(field.is_partition_key for field in fields),
        has_id=answer.collectionID != 0,
    )


def _delete_requests(collection: _Collection, changes: Changes) -> Iterator[milvus_pb2.DeleteRequest]:
    for partition, keys in changes.deletes.items():
        for chunk in _chunks(keys):
            yield milvus_pb2.DeleteRequest(
                db_name=collection.database,
                collection_name=collection.name,
                partition_name=partition,
                expr=key_filter.of_keys(collection.key_field, chunk, plain_literals=not collection.has_id),
            )


def _chunks(keys: Sequence[Key]) -> Iterator[list[Key]]:
    rest = iter(keys)
    while chunk := list(islice(rest, DELETE_KEYS)):
        yield chunk


def _upsert_request(collection: _Collection, partition: str, upsert: Upsert) -> milvus_pb2.UpsertRequest:
    return milvus_pb2.UpsertRequest(
        db_name=collection.database,
        collection_name=collection.name,
        partition_name=partition,
        fields_data=upsert.fields_data,
        num_rows=upsert.num_rows,
    )


def _change(calls: _Calls, method: str, collection: _Collection, request: Any) -> None:
    status = calls(method, request).status
    error = milvus_errors.of_status(f"{method} in {collection}", status)
    if isinstance(error, Refused) and milvus_errors.is_missing(status, milvus_errors.PARTITION_NOT_FOUND):
        _unless_it_is_there(calls, collection, request.partition_name)
    if error is not None:
        raise error


def _unless_it_is_there(calls: _Calls, collection: _Collection, partition: str) -> None:
    """A proxy may not know a new partition for a moment. :raises TargetUnavailable: it is one of these."""
    request = milvus_pb2.HasPartitionRequest(
        db_name=collection.database, collection_name=collection.name, partition_name=partition
    )
    if calls("HasPartition", request).value:
        raise TargetUnavailable(f"the target does not know the new partition {partition!r} of {collection} yet")
