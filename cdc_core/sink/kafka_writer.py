"""Writes to a Kafka target, over one session after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import structlog
from confluent_kafka import KafkaException

from cdc_core.errors import TargetUnavailable, TaskStopped
from cdc_core.model.connect import KafkaConnect
from cdc_core.sink import kafka_errors
from cdc_core.sink.kafka_cluster import KafkaCluster
from cdc_core.sink.kafka_record import KafkaRecord
from cdc_core.sink.kafka_session import KafkaSession

_OPEN_SECONDS = 5.0
"""Of a call, for looking at the topic, and making it when it is missing."""

log = structlog.get_logger(__name__)


class KafkaWriter:
    """Thread-safe; one per target and process."""

    def __init__(self, connect: KafkaConnect) -> None:
        """Does not block."""
        self._connect = connect
        self._cluster = KafkaCluster(connect)
        self._opening = threading.Lock()
        self._session: KafkaSession | None = None
        self._closed = False

    def write(self, records: Iterable[KafkaRecord], timeout: float) -> None:
        """Returns when the brokers have all of them, in their order. Blocks up to `timeout` seconds.

        Raises as `RowSink.write`.
        """
        ends = time.monotonic() + timeout
        self._opened(ends).send(records, ends)

    def check(self, timeout: float) -> None:
        """Raises as `RowSink.check`."""
        if self._cluster.topic(timeout) is None:
            self._cluster.may_make_topic(timeout)

    def close(self) -> None:
        """Calls under way fail with `TargetUnavailable`, and so do later ones."""
        self._closed = True
        if session := self._session:
            session.end()

    def _opened(self, ends: float) -> KafkaSession:
        if not self._opening.acquire(timeout=max(0.0, ends - time.monotonic())):
            raise TargetUnavailable(f"Kafka at {self._connect.address} does not answer")
        try:
            if self._closed:
                raise TargetUnavailable("the connection was closed")
            if self._session is None or self._session.broken:
                self._session = self._new(min(_OPEN_SECONDS, ends - time.monotonic()))
            return self._session
        finally:
            self._opening.release()

    def _new(self, timeout: float) -> KafkaSession:
        topic = self._cluster.made_topic(timeout)
        log.info("kafka_topic", topic=topic.name, partitions=topic.partitions, max_bytes=topic.max_bytes)
        try:
            return KafkaSession(self._connect, topic)
        except KafkaException as error:
            raise TaskStopped(str(kafka_errors.of_exception(error, "Kafka cannot be dialled"))) from error
