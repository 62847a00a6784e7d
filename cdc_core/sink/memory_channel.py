"""One pchannel of the memory target: what a standby's readers make of the messages in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cdc_core.codec import head, keys
from cdc_core.codec.protobuf import msg_pb2
from cdc_core.codec.rows import Row, of_insert
from cdc_core.model.message import Kind, Message
from cdc_core.model.timestamp import ZERO, Tso
from cdc_core.source.base import Record

_ROWS = (Kind.INSERT, Kind.DELETE, Kind.IMPORT)


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row that can be queried. Equal keys may be there several times, as in a Milvus."""

    key: object
    timestamp: Tso
    vchannel: str
    partition_id: int
    row: Row


@dataclass(slots=True)
class StoredRows:
    """The visible rows of one collection."""

    primary_key: str
    rows: list[StoredRow] = field(default_factory=list)

    def insert(self, message: Message) -> None:
        request = msg_pb2.InsertRequest.FromString(message.payload)
        for row, timestamp in zip(of_insert(request), request.timestamps, strict=True):
            key = row[self.primary_key]
            self.rows.append(StoredRow(key, Tso(timestamp), message.vchannel, message.partition_id, row))

    def delete(self, message: Message) -> None:
        """Rows of equal timestamps survive: so an upsert keeps its new row."""
        request = msg_pb2.DeleteRequest.FromString(message.payload)
        before: dict[object, int] = {}
        for key, timestamp in zip(keys.of_delete(request), request.timestamps, strict=True):
            before[key] = max(before.get(key, 0), timestamp)
        self.rows = [row for row in self.rows if not self._is_deleted(row, before, message)]

    @staticmethod
    def _is_deleted(row: StoredRow, before: dict[object, int], message: Message) -> bool:
        concerned = row.vchannel == message.vchannel and message.partition_id in (-1, row.partition_id)
        return concerned and row.timestamp < before.get(row.key, 0)


@dataclass(slots=True)
class MemoryChannel:
    """Buffers messages; a tick T makes those at or below T visible.

    Inserts and deletes of equal msgID are dropped among what one tick makes visible, and only there. What breaks
    a rule is written to `violations` and still done, as a Milvus would.
    """

    name: str
    violations: list[str]
    ticks: list[Tso] = field(default_factory=list)
    duplicates: int = 0
    _tick: Tso = ZERO
    _buffer: list[Message] = field(default_factory=list)
    _applied: set[int] = field(default_factory=set)
    _order: int = 0

    def append(self, payload: bytes) -> list[Message]:
        """Take one message; answers what became visible by it, in the order in which it has to be applied."""
        self._order += 1
        message = head.parse(Record(self.name, b"", self._order, payload))
        if message.kind is Kind.TIME_TICK:
            return self._advance(message.first)
        # A drop message is only a hint to clean up: it may come again at any time.
        if message.first <= self._tick and message.kind in _ROWS:
            self._violate("LATE", message, f"the tick {self._tick.text} was sent before")
        self._buffer.append(message)
        return []

    def _advance(self, tick: Tso) -> list[Message]:
        self.ticks.append(tick)
        if tick <= self._tick:
            return []
        self._tick = tick
        for message in self._buffer:
            if message.first <= tick < message.last:
                self._violate("STRADDLING", message, f"tick {tick.text}, last row {message.last.text}")
        visible = self._without_duplicates([message for message in self._buffer if message.last <= tick])
        self._buffer = [message for message in self._buffer if message.last > tick]
        return sorted(visible, key=_order)

    def _without_duplicates(self, messages: Sequence[Message]) -> list[Message]:
        kept: dict[int, Message] = {}
        others = [message for message in messages if message.kind not in _ROWS]
        for message in (each for each in messages if each.kind in _ROWS):
            other = kept.setdefault(message.msg_id, message)
            if other is not message:
                self.duplicates += 1
                if (other.payload, other.vchannel) != (message.payload, message.vchannel):
                    self._violate("CHANGED", message, "sent again with other bytes: one of the two is dropped")
        for message in kept.values():
            if message.msg_id in self._applied:
                self._violate("DOUBLE", message, "it is visible already")
        self._applied |= kept.keys()
        return [*kept.values(), *others]

    def _violate(self, rule: str, message: Message, detail: str) -> None:
        what = f"{message.kind.name} {message.msg_id} of {message.vchannel} at {message.first.text}"
        self.violations.append(f"{rule} {self.name}: {what}; {detail}")


def _order(message: Message) -> tuple[bool, int, int]:
    """Deletes last: row timestamps alone decide what they take, and a merged insert may hold rows of both sides."""
    return message.kind is Kind.DELETE, message.first, message.order
