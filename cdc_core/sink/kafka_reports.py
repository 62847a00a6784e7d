"""The delivery reports of one call to Kafka."""

from __future__ import annotations

import threading
import time

from confluent_kafka import KafkaError, Message

from cdc_core.errors import CdcError, TargetUnavailable
from cdc_core.sink import kafka_errors


class KafkaReports:
    """Counts what is open. Thread-safe: reports come in the session's own thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = 0
        self._error: KafkaError | None = None
        self._on_its_way = False

    @property
    def error(self) -> KafkaError | None:
        """The first one."""
        return self._error

    def expect(self) -> None:
        """One more report."""
        with self._changed:
            self._open += 1

    def withdraw(self) -> None:
        """It was not taken."""
        with self._changed:
            self._open -= 1

    def take(self, error: KafkaError | None, _message: Message) -> None:
        """The client's `on_delivery`."""
        with self._changed:
            self._open -= 1
            if error is not None:
                self._error = self._error or error
                self._on_its_way = self._on_its_way or error.code() not in kafka_errors.NOT_SENT
            self._changed.notify_all()

    def rest(self, seconds: float) -> None:
        """Until something is reported, so that there may be room again."""
        with self._changed:
            self._changed.wait(seconds)

    def all_in(self, ends: float) -> bool:
        """Wait for all of them until `ends` (`time.monotonic`); True when there is no error."""
        with self._changed:
            done = self._changed.wait_for(lambda: not self._open or self._error, ends - time.monotonic())
            return bool(done) and self._error is None

    def settle(self, seconds: float) -> bool:
        """Wait for all of them, errors or not; False when some are still to come."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, max(0.0, seconds))

    def judged(self, error: CdcError) -> CdcError:
        """The call's error; whether something may still be written is known only when all is settled."""
        if isinstance(error, TargetUnavailable):
            return TargetUnavailable(str(error), unclear=self._on_its_way or self._open > 0)
        return error
