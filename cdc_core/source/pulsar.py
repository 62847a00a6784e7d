"""Pulsar as the source's queue: a persistent topic per pchannel, without partitions."""

from __future__ import annotations

import threading

from cdc_core.source.pulsar_client import PulsarClient
from cdc_core.source.pulsar_cluster import PulsarCluster
from cdc_core.source.pulsar_id import PulsarId
from cdc_core.source.pulsar_reader import PulsarReader


class PulsarQueue:
    """The namespace of a Pulsar cluster that a source writes to. One client for all its readers and questions."""

    def __init__(self, cluster: PulsarCluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._shared: PulsarClient | None = None

    def reader(self) -> PulsarReader:
        """Shares the client: it has one connection to each broker, however many readers there are."""
        return PulsarReader(self._client())

    def order(self, message_id: bytes) -> int:
        return PulsarId.parse(message_id).order

    def tail(self, pchannel: str) -> bytes:
        last = self._client().last(pchannel)
        return last.message_id if last else b""

    def head(self, pchannel: str) -> bytes:
        first = self._client().first_from(pchannel, None)
        return first.message_id if first else b""

    def topics(self) -> frozenset[str]:
        return self._client().topics()

    def close(self) -> None:
        """And its readers; a later question opens a new connection."""
        with self._lock:
            client, self._shared = self._shared, None
        if client:
            client.close()

    def _client(self) -> PulsarClient:
        with self._lock:
            if self._shared is None:
                self._shared = PulsarClient(self._cluster)
            return self._shared
