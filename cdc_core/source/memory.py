"""A queue in memory: the twin for tests and dry runs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from cdc_core.errors import PositionTrimmed, SourceUnavailable
from cdc_core.source.base import Lost, Record
from cdc_core.source.sequence import Bounds, to_message_id, to_number

_POLL_BYTES = 8 << 20
"""A poll stops behind the record that passes this."""


@dataclass(slots=True)
class _Topic:
    first: int = 0
    payloads: list[bytes] = field(default_factory=list)

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.first, self.first + len(self.payloads))


class MemoryQueue:
    """Topics as lists; ids count from 0 in each. It lives as long as the object."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}
        self._changed = threading.Condition()
        self._available = True

    def append(self, pchannel: str, payload: bytes) -> bytes:
        """Write one message, make the topic if missing; answers the message id."""
        with self._changed:
            topic = self._topics.setdefault(pchannel, _Topic())
            topic.payloads.append(payload)
            self._changed.notify_all()
            return topic.bounds.last_id

    def create(self, pchannel: str) -> None:
        """An empty topic."""
        with self._changed:
            self._topics.setdefault(pchannel, _Topic())

    def drop(self, pchannel: str) -> None:
        """Remove the topic and all it holds."""
        with self._changed:
            self._topics.pop(pchannel, None)

    def trim(self, pchannel: str, before: bytes) -> None:
        """Remove the messages before that id, as retention does."""
        with self._changed:
            topic = self._topics[pchannel]
            first = min(max(to_number(before), topic.first), topic.bounds.end)
            del topic.payloads[: first - topic.first]
            topic.first = first
            self._changed.notify_all()

    def set_available(self, available: bool) -> None:
        """While not, every call that would reach a server raises SourceUnavailable."""
        with self._changed:
            self._available = available
            self._changed.notify_all()

    def reader(self) -> MemoryReader:
        return MemoryReader(self)

    def order(self, message_id: bytes) -> int:
        return to_number(message_id)

    def tail(self, pchannel: str) -> bytes:
        bounds = self.bounds(pchannel)
        return bounds.last_id if bounds else b""

    def head(self, pchannel: str) -> bytes:
        bounds = self.bounds(pchannel)
        return bounds.first_id if bounds else b""

    def topics(self) -> frozenset[str]:
        with self._changed:
            self._check_available()
            return frozenset(self._topics)

    def close(self) -> None:
        """Nothing to let go of."""

    def bounds(self, pchannel: str) -> Bounds | None:
        """What the topic holds; None when there is none."""
        with self._changed:
            self._check_available()
            topic = self._topics.get(pchannel)
            return topic.bounds if topic else None

    def read(self, pchannel: str, start: int, size: int) -> list[bytes]:
        """Payloads from `start` on, until they pass `size` bytes."""
        with self._changed:
            self._check_available()
            topic = self._topics[pchannel]
            taken: list[bytes] = []
            for payload in topic.payloads[start - topic.first :]:
                taken.append(payload)
                size -= len(payload)
                if size <= 0:
                    break
            return taken

    def wait(self, timeout: float) -> None:
        """Until something is written or changed, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait(timeout)

    def _check_available(self) -> None:
        if not self._available:
            raise SourceUnavailable("the queue in memory was told to be unavailable")


class MemoryReader:
    """Reads a MemoryQueue as the real readers read theirs."""

    def __init__(self, queue: MemoryQueue) -> None:
        self._queue = queue
        self._places: dict[str, int | None] = {}
        self._paused: set[str] = set()

    def add(self, pchannel: str, start: bytes) -> None:
        wanted = to_number(start) if start else None
        bounds = self._queue.bounds(pchannel)
        if bounds and wanted is not None:
            bounds.check(pchannel, wanted)
        self._places[pchannel] = wanted

    def remove(self, pchannel: str) -> None:
        self._places.pop(pchannel, None)
        self._paused.discard(pchannel)

    def pause(self, pchannel: str) -> None:
        self._paused.add(pchannel)

    def resume(self, pchannel: str) -> None:
        self._paused.discard(pchannel)

    def poll(self, timeout: float) -> Sequence[Record | Lost]:
        found = self._take()
        if not found:
            self._queue.wait(timeout)
            found = self._take()
        return found

    def close(self) -> None:
        self._places.clear()

    def _take(self) -> list[Record | Lost]:
        self._queue.topics()  # raises when unavailable
        found: list[Record | Lost] = []
        budget = _POLL_BYTES
        for pchannel in [name for name in self._places if name not in self._paused]:
            for item in self._take_from(pchannel, budget):
                found.append(item)
                budget -= len(item.payload) if isinstance(item, Record) else 0
            if budget <= 0:
                break
        return found

    def _take_from(self, pchannel: str, budget: int) -> list[Record | Lost]:
        bounds = self._queue.bounds(pchannel)
        if bounds is None:
            return []
        place = self._places[pchannel]
        wanted = bounds.first if place is None else place
        try:
            bounds.check(pchannel, wanted)
        except PositionTrimmed as error:
            self.remove(pchannel)
            return [Lost(pchannel, error)]
        payloads = self._queue.read(pchannel, wanted, budget)
        self._places[pchannel] = wanted + len(payloads)
        return [Record(pchannel, to_message_id(n), n, payload) for n, payload in enumerate(payloads, wanted)]
