"""One idempotent producer, from its making until something goes wrong."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from cdc_core.errors import CdcError, Refused, TargetUnavailable
from cdc_core.model.connect import KafkaConnect
from cdc_core.sink import kafka_errors
from cdc_core.sink.kafka_cluster import Topic, options
from cdc_core.sink.kafka_record import KafkaRecord
from cdc_core.sink.kafka_reports import KafkaReports

BATCH_BYTES = 1_000_000
"""Of several messages together, before compression; a topic's limit is one of a batch."""
QUEUE_BYTES = 32 << 20
"""What waits in this process; full means that the caller waits."""
MESSAGE_BYTES = 24 << 20
"""Of one message; a topic takes less. Never more than the queue: it would wait for room for ever."""
_OPTIONS: Mapping[str, Any] = {
    "enable.idempotence": True,  # in order, and no copies by its own repeats
    "acks": "all",
    "message.timeout.ms": 0,  # a message that gave up alone would be passed by those behind it
    "message.max.bytes": MESSAGE_BYTES,
    "queue.buffering.max.kbytes": QUEUE_BYTES >> 10,
    "queue.buffering.max.messages": 50_000,
    "linger.ms": 1,
    "compression.type": "lz4",
}
_POLL_SECONDS = 0.5
_ROOM_SECONDS = 0.05
_PURGE_SECONDS = 2.0
"""What was purged is reported in milliseconds."""

logger = logging.getLogger(__name__)


class KafkaSession:
    """Thread-safe. A call that is not written in time ends it (`broken`), and with it what others have under way: what
    waits in the queue must not be written later, when somebody else may have written something newer."""

    def __init__(self, connect: KafkaConnect, topic: Topic) -> None:
        """Does not block."""
        self._what = f"the topic {topic.name!r} of Kafka at {connect.address}"
        self._topic = topic
        self._error: CdcError | None = None
        self._calls = 0
        self._lock = threading.Lock()
        made = {"batch.size": min(BATCH_BYTES, topic.max_bytes or BATCH_BYTES), "error_cb": self.note}
        self._producer = Producer({**options(connect), **_OPTIONS, **made}, logger=logger)
        self._thread = threading.Thread(target=self._report, name="kafka-reports", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> bool:
        return self._error is not None

    def send(self, records: Iterable[KafkaRecord], ends: float) -> None:
        """Returns when the brokers have all of them; waits until `ends` (`time.monotonic`).

        :raises TargetUnavailable: nothing more of it will be written but, if `unclear`, what is on its way.
        :raises Refused: :raises TaskStopped:
        """
        reports = KafkaReports()
        self._count(1)
        try:
            self._send(records, reports, ends)
        except Refused:
            if not reports.settle(ends - time.monotonic()):
                self._break(self._late())
            raise
        except CdcError as error:
            self._break(error)
            reports.settle(_PURGE_SECONDS)
            raise reports.judged(error) from error
        finally:
            self._count(-1)

    def end(self) -> None:
        """What is under way fails with `TargetUnavailable`."""
        self._break(TargetUnavailable(f"{self._what}: the connection was closed"))

    def _send(self, records: Iterable[KafkaRecord], reports: KafkaReports, ends: float) -> None:
        for record in records:
            for partition in record.partitions(self._topic.partitions):
                while not self._taken(record, partition, reports):
                    reports.rest(_ROOM_SECONDS)
                    self._check(reports, ends)
                self._check(reports, ends)
        if not reports.all_in(ends):
            self._check(reports, time.monotonic())
            raise self._late()

    def _taken(self, record: KafkaRecord, partition: int, reports: KafkaReports) -> bool:
        """False when the queue is full."""
        key, headers = record.key.encode(), [*record.headers]
        reports.expect()
        try:
            with self._lock:  # nothing may come behind what was purged: its readers would take that for repeats
                if self._error is None:
                    self._producer.produce(
                        self._topic.name, record.value, key, partition, on_delivery=reports.take, headers=headers
                    )
                    return True
        except BufferError:
            reports.withdraw()
            return False
        except KafkaException as error:
            reports.withdraw()
            raise kafka_errors.of_exception(error, self._what) from error
        reports.withdraw()
        raise self._error

    def _check(self, reports: KafkaReports, ends: float) -> None:
        """:raises CdcError: the session or this call has failed, or its time is over."""
        if self._error is not None:
            raise self._error
        if reports.error is not None:
            raise kafka_errors.of_error(reports.error, self._what)
        if time.monotonic() > ends:
            raise self._late()

    def _late(self) -> TargetUnavailable:
        return TargetUnavailable(f"{self._what}: not written in time")

    def _break(self, error: CdcError) -> None:
        with self._lock:
            self._error = self._error or error
        self._producer.purge()

    def _count(self, by: int) -> None:
        with self._lock:
            self._calls += by

    # the session's own thread

    def _report(self) -> None:
        """Serve the reports, until nobody waits for any."""
        while not (self._error and self._calls == 0):
            self._producer.poll(_POLL_SECONDS)
            if self._error:
                self._producer.purge()

    def note(self, error: KafkaError) -> None:
        """The client's `error_cb`: it reconnects by itself, and only what it cannot mend is an error here."""
        if error.fatal() or error.code() in kafka_errors.CREDENTIALS | kafka_errors.RIGHTS:
            with self._lock:
                self._error = self._error or kafka_errors.of_error(error, self._what)
