"""Reading pchannels from Kafka, each from its own offset.

One client carries all pchannels of a reader. They are assigned, never subscribed to: no group, no commit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, TopicPartition

from cdc_core.errors import CdcError, PositionTrimmed, SourceUnavailable
from cdc_core.source.base import Lost, Record
from cdc_core.source.kafka_client import NO_SUCH_TOPIC, PARTITION, KafkaClient
from cdc_core.source.sequence import to_message_id, to_number, trimmed

logger = logging.getLogger(__name__)

_BATCH = 1000
"""Messages a poll takes from the client; its queue is bounded in bytes already."""
_LOOK_SECONDS = 0.5
"""How often a topic that does not exist yet, or a cluster that was down, is asked for."""
_CHECK_SECONDS = 1.0
"""How long a poll may hang in that question."""
_QUIET_SECONDS = 5.0
"""Topics in use tick five times a second: after so long without a message the cluster is asked whether it is there. One
that hangs keeps its connections, and the client says nothing of it for a minute."""
_OUT_OF_RANGE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001 -- librdkafka's names


class KafkaReader:
    """The Reader of a KafkaQueue."""

    def __init__(self, client: KafkaClient) -> None:
        self._client = client
        self._consumer = client.consumer
        self._next: dict[str, int] = {}
        """The offset that must come next, of every pchannel that is assigned."""
        self._awaited: dict[str, bytes] = {}
        """Where to start, of every pchannel whose topic does not exist yet."""
        self._paused: set[str] = set()
        self._lost: list[Lost] = []
        self._look_at = 0.0
        self._heard_at = time.monotonic()

    def add(self, pchannel: str, start: bytes) -> None:
        if pchannel in self._next or pchannel in self._awaited:
            raise ValueError(f"{pchannel} is read already: remove it first")
        if not self._begin(pchannel, start):
            self._awaited[pchannel] = start

    def remove(self, pchannel: str) -> None:
        self._awaited.pop(pchannel, None)
        self._paused.discard(pchannel)
        if self._next.pop(pchannel, None) is not None:
            self._consumer.incremental_unassign([_partition(pchannel)])

    def pause(self, pchannel: str) -> None:
        self._paused.add(pchannel)
        if pchannel in self._next:
            self._consumer.pause([_partition(pchannel)])

    def resume(self, pchannel: str) -> None:
        self._paused.discard(pchannel)
        if pchannel in self._next:
            self._consumer.resume([_partition(pchannel)])

    def poll(self, timeout: float) -> Sequence[Record | Lost]:
        self._begin_awaited()
        messages = self._take(0.0 if self._lost else timeout)
        found: list[Record | Lost] = [record for record in map(self._accept, messages) if record is not None]
        found += self._lost
        self._lost = []
        if found:
            self._heard_at = time.monotonic()
        elif self._client.trouble or self._is_quiet():
            self._check_cluster()
        return found

    def close(self) -> None:
        """May block for a moment while the client's threads end."""
        self._next.clear()
        self._awaited.clear()
        self._consumer.close()

    def _begin(self, pchannel: str, start: bytes) -> bool:
        """Assign it; False when there is no such topic. :raises PositionTrimmed: :raises SourceUnavailable:"""
        wanted = to_number(start) if start else None
        bounds = self._client.bounds(pchannel)
        if bounds is None:
            return False
        offset = bounds.first if wanted is None else wanted
        bounds.check(pchannel, offset)
        self._next[pchannel] = offset
        self._consumer.incremental_assign([_partition(pchannel, offset)])
        if pchannel in self._paused:
            self._consumer.pause([_partition(pchannel)])
        return True

    def _begin_awaited(self) -> None:
        if not self._awaited or not self._due():
            return
        for pchannel in self._client.topics(timeout=_CHECK_SECONDS) & self._awaited.keys():
            try:
                if self._begin(pchannel, self._awaited[pchannel]):
                    del self._awaited[pchannel]
            except PositionTrimmed as error:
                self._lose(pchannel, error)

    def _take(self, timeout: float) -> list[Any]:
        """The first message as soon as it comes, and what is there behind it."""
        if self._awaited:
            timeout = min(timeout, _LOOK_SECONDS)
        first: list[Any] = self._consumer.consume(1, timeout)
        return first + self._consumer.consume(_BATCH - 1, 0) if first else first

    def _accept(self, message: Any) -> Record | None:
        pchannel = message.topic()
        expected = self._next.get(pchannel)
        if expected is None:  # removed, or an error of no topic
            return None
        if message.error() is not None:
            self._mishap(pchannel, expected, message.error())
            return None
        offset = message.offset()
        if offset > expected:
            self._lose(pchannel, trimmed(pchannel, expected, offset, dense=True))
        if offset != expected:
            return None
        self._next[pchannel] = offset + 1
        return Record(pchannel, to_message_id(offset), offset, message.value() or b"")

    def _mishap(self, pchannel: str, expected: int, error: Any) -> None:
        """An error of one topic. Those of transport pass by themselves."""
        if error.code() in NO_SUCH_TOPIC:
            logger.warning("%s: the topic is gone; waiting for it to come back", pchannel)
            paused = pchannel in self._paused
            self.remove(pchannel)
            self._awaited[pchannel] = to_message_id(expected)
            if paused:
                self._paused.add(pchannel)
        elif error.code() in _OUT_OF_RANGE:
            self._lose(pchannel, self._why_out_of_range(pchannel, expected))
        else:
            logger.debug("%s: %s", pchannel, error)

    def _why_out_of_range(self, pchannel: str, expected: int) -> CdcError:
        try:
            bounds = self._client.bounds(pchannel)
            if bounds:
                bounds.check(pchannel, expected)
        except (PositionTrimmed, SourceUnavailable) as error:
            if isinstance(error, PositionTrimmed):
                return error
        return PositionTrimmed(f"{pchannel}: Kafka has no message {expected} any more")

    def _lose(self, pchannel: str, error: CdcError) -> None:
        self.remove(pchannel)
        self._lost.append(Lost(pchannel, error))

    def _check_cluster(self) -> None:
        """There was trouble, or nothing has come for long: ask, now and then. :raises SourceUnavailable: no answer."""
        if self._due():
            self._client.topics(timeout=_CHECK_SECONDS)
            self._heard_at = time.monotonic()

    def _is_quiet(self) -> bool:
        return bool(self._next) and time.monotonic() - self._heard_at > _QUIET_SECONDS

    def _due(self) -> bool:
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK_SECONDS
        return True


def _partition(pchannel: str, offset: int | None = None) -> TopicPartition:
    return TopicPartition(pchannel, PARTITION) if offset is None else TopicPartition(pchannel, PARTITION, offset)
