"""What is written to a Kafka target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    """One message. Those of equal `place` come in order, in one Kafka partition; without a place it goes to each of
    them, and so comes in order with all others."""

    key: str
    value: bytes
    place: str | None
    headers: tuple[tuple[str, str | bytes | None], ...] = ()

    def partitions(self, count: int) -> Sequence[int]:
        """Of a topic that has so many."""
        return range(count) if self.place is None else (crc32(self.place.encode()) % count,)
