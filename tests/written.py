"""What the queue of a source says that its collections hold, for when the source itself holds something else.

A Milvus 2.3.5 on Pulsar loads, and even stores, its rows twice when Pulsar was killed, and keeps some that its own
topics delete (seen), whether anybody replicates it or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cdc_core.codec import head, keys
from cdc_core.codec.keys import Key
from cdc_core.codec.protobuf import msg_pb2
from cdc_core.model.message import Kind, Message
from cdc_core.source.base import Lost, Queue, Record

KEY = "id"
"""The primary key of every collection that the tests make."""
COLUMNS = {"tenant": "long_data", "text": "string_data"}
"""What tells one version of a row from another."""

POLL_SECONDS = 1.0

Rows = dict[Key, list[tuple[Any, ...]]]
"""By key: more than one where the source has written one twice."""


def values_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """As in `Rows`, of a row that was read."""
    return tuple(row[name] for name in COLUMNS)


@dataclass
class Written:
    """Of one collection, over all its shards: what was inserted and what deletes that."""

    inserted: dict[Key, list[_Row]] = field(default_factory=lambda: defaultdict(list))
    deletes: list[tuple[int, int, Key]] = field(default_factory=list)
    """Timestamp, partition (-1 is any) and key."""
    dropped: set[int] = field(default_factory=set)
    """Partitions."""

    def take(self, message: Message) -> None:
        if message.kind is Kind.INSERT:
            self._insert(msg_pb2.InsertRequest.FromString(message.payload))
        elif message.kind is Kind.DELETE:
            request = msg_pb2.DeleteRequest.FromString(message.payload)
            for stamp, key in zip(request.timestamps, keys.of_delete(request), strict=True):
                self.deletes.append((stamp, request.partitionID or -1, key))
        elif message.kind is Kind.DROP_PARTITION:
            self.dropped.add(message.partition_id)

    def rows(self) -> Rows:
        """What is left."""
        left = {key: [row for row in rows if row.partition not in self.dropped] for key, rows in self.inserted.items()}
        for stamp, partition, key in self.deletes:
            left[key] = [row for row in left.get(key, []) if row.stamp >= stamp or partition not in (-1, row.partition)]
        return {key: [row.values for row in rows] for key, rows in left.items() if rows}

    def _insert(self, request: Any) -> None:
        columns = {column.field_name: column.scalars for column in request.fields_data}
        values = zip(*(getattr(columns[name], kind).data for name, kind in COLUMNS.items()), strict=True)
        found = zip(keys.of_insert(request, KEY), request.timestamps, values, strict=True)
        for key, stamp, row in found:
            self.inserted[key].append(_Row(stamp, request.partitionID, row))


@dataclass(frozen=True, slots=True)
class _Row:
    stamp: int
    partition: int
    values: tuple[Any, ...]


def written(queue: Queue, collections: Iterable[int]) -> dict[int, Written]:
    """By collection, from all that the queue holds by now."""
    found = {collection: Written() for collection in collections}
    for record in _records(queue):
        message = head.parse(record)
        if message.collection_id in found:
            found[message.collection_id].take(message)
    return found


def _records(queue: Queue) -> Iterator[Record]:
    ends = {name: queue.order(queue.tail(name)) for name in queue.topics() if "rootcoord-dml" in name}
    reader = queue.reader()
    try:
        for name in ends:
            reader.add(name, b"")
        while ends:
            for item in reader.poll(POLL_SECONDS):
                if isinstance(item, Lost):
                    raise item.error
                yield item
                if item.order >= ends.get(item.pchannel, item.order + 1):
                    del ends[item.pchannel]
    finally:
        reader.close()
