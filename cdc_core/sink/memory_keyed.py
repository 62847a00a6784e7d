"""A target in memory that takes rows by their keys: the twin of any Milvus for tests and dry runs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cdc_core.codec import keys
from cdc_core.codec.keys import Key
from cdc_core.codec.protobuf import msg_pb2, schema_pb2
from cdc_core.codec.rows import Row, of_insert
from cdc_core.errors import Refused, TargetUnavailable
from cdc_core.model.address import WHOLE_COLLECTION, Address
from cdc_core.model.address import Row as Outgoing
from cdc_core.model.catalog import Collection
from cdc_core.model.message import Kind
from cdc_core.model.timestamp import Tso
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.memory import Fault
from cdc_core.sink.memory_catalog import MemoryCatalog
from cdc_core.sink.memory_channel import StoredRow, StoredRows
from cdc_core.sink.milvus_manner import ByKey


class MemoryKeyedTarget(MemoryCatalog):
    """`RowSink` and `TargetCatalog` in one; each row is done for itself, as simply as can be."""

    def __init__(self) -> None:
        super().__init__(["none"])
        self.faults: deque[Fault] = deque()
        """What happens to the next calls. LATER is nothing that may happen here: it is taken for AMBIGUOUS."""
        self.calls = 0
        self._writing = threading.Lock()

    def pchannels(self) -> frozenset[str]:
        return frozenset()

    def describe(self, database: str, name: str) -> TargetCollection | None:
        described = super().describe(database, name)
        return replace(described, vchannels=()) if described else None

    def create_collection(self, collection: Collection) -> None:
        schema = schema_pb2.CollectionSchema.FromString(collection.schema)
        ByKey().adapt(schema)
        super().create_collection(replace(collection, schema=schema.SerializeToString()))

    def write(self, rows: Sequence[Outgoing], timeout: float) -> None:
        with self._writing:
            self.calls += 1
            fault = self.faults.popleft() if self.faults and timeout > 0 else None
            if timeout <= 0 or fault is Fault.UNAVAILABLE:
                raise TargetUnavailable("injected: nothing is written")
            refused = self._write(rows[: len(rows) // 2] if fault is Fault.PARTIAL else rows)
            if fault is not None:
                raise TargetUnavailable(f"injected: {fault.name}", unclear=True)
            if refused:
                raise Refused("; ".join(refused))

    def check(self, timeout: float) -> None:
        """It is always there."""

    def rows(self, database: str, collection: str) -> dict[tuple[str, Key], Row]:
        """By partition and key; with a partition key, where nobody names partitions, that of ''. None of a partition
        that was dropped, where a call of a process that was killed may have written late.
        """
        described = self._wanted(database, collection).described
        names = {number: name for name, number in described.partitions.items()}
        if _by_key(described):
            names = dict.fromkeys(names, "")
        stored = self.stored(database, collection).rows
        return {
            (names[each.partition_id], _as_key(each.key)): each.row for each in stored if each.partition_id in names
        }

    def _write(self, rows: Sequence[Outgoing]) -> list[str]:
        """Answers what is refused."""
        refused: dict[str, None] = {}
        changes = [change for order, row in enumerate(rows) for change in _changes(row, order)]
        for change in sorted(changes, key=lambda each: (each.timestamp, each.row is not None, each.order)):
            found = self._found(change.address.collection_id)
            if found is None:
                name = f"{change.address.database}.{change.address.collection_name}"
                refused[f"{name} was dropped on the target by hand"] = None
            else:
                change.apply(*found)
        return list(refused)

    def _found(self, collection_id: int) -> tuple[TargetCollection, StoredRows] | None:
        for database in self.databases():
            for name in self.collections(database):
                described = self.describe(database, name)
                if described and described.id == collection_id:
                    return described, self.stored(database, name)
        return None


@dataclass(frozen=True, slots=True)
class _Change:
    """One row of a message; a delete of that key has none."""

    timestamp: Tso
    order: int
    key: Key | None
    row: Row | None
    address: Address
    everywhere: bool

    def apply(self, described: TargetCollection, stored: StoredRows) -> None:
        key = self.key if self.row is None else self.row[stored.primary_key]
        everywhere, number = self.everywhere or _by_key(described), self.address.partition_id
        stored.rows = [
            each for each in stored.rows if each.key != key or not (everywhere or each.partition_id == number)
        ]
        if self.row is not None:
            stored.rows.append(StoredRow(key, self.timestamp, self.address.vchannel, number, self.row))


def _changes(outgoing: Outgoing, order: int) -> Iterator[_Change]:
    address, message = outgoing.address, outgoing.message
    if message.kind is Kind.DELETE:
        request = msg_pb2.DeleteRequest.FromString(message.payload)
        everywhere = message.partition_id == WHOLE_COLLECTION
        for key, stamp in zip(keys.of_delete(request), request.timestamps, strict=True):
            yield _Change(Tso(stamp), order, key, None, address, everywhere)
        return
    insert = msg_pb2.InsertRequest.FromString(message.payload)
    for row, stamp in zip(of_insert(insert), insert.timestamps, strict=True):
        yield _Change(Tso(stamp), order, None, row, address, everywhere=False)


def _by_key(described: TargetCollection) -> bool:
    schema = schema_pb2.CollectionSchema.FromString(described.schema)
    return any(field.is_partition_key for field in schema.fields)


def _as_key(key: object) -> Key:
    assert isinstance(key, int | str)  # noqa: S101 # for the type checker
    return key
