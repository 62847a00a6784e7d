"""Kafka as the source's queue: a topic per pchannel, always partition 0, the offset is the id."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from cdc_core.source.kafka_client import KafkaClient
from cdc_core.source.kafka_reader import KafkaReader
from cdc_core.source.sequence import to_number


class KafkaQueue:
    """The Kafka cluster of a source. `options` are librdkafka's, for its security settings."""

    def __init__(self, brokers: str, options: Mapping[str, str] = {}) -> None:
        self._brokers = brokers
        self._options = dict(options)
        self._lock = threading.Lock()
        self._shared: KafkaClient | None = None

    def reader(self) -> KafkaReader:
        return KafkaReader(KafkaClient(self._brokers, self._options))

    def order(self, message_id: bytes) -> int:
        return to_number(message_id)

    def tail(self, pchannel: str) -> bytes:
        bounds = self._client().bounds(pchannel)
        return bounds.last_id if bounds else b""

    def head(self, pchannel: str) -> bytes:
        bounds = self._client().bounds(pchannel)
        return bounds.first_id if bounds else b""

    def topics(self) -> frozenset[str]:
        return frozenset(name for name in self._client().topics() if not name.startswith("__"))

    def close(self) -> None:
        """Its readers go on; a later question opens a new connection."""
        with self._lock:
            client, self._shared = self._shared, None
        if client:
            client.consumer.close()

    def _client(self) -> KafkaClient:
        with self._lock:
            if self._shared is None:
                self._shared = KafkaClient(self._brokers, self._options)
            return self._shared
