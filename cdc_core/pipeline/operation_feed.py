"""The op channel of the source, read for one task."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import structlog

from cdc_core import backoff
from cdc_core.codec import dead_letter, operation
from cdc_core.codec.operation import Operation
from cdc_core.errors import CdcError, Retryable, Undecodable
from cdc_core.model.position import Position
from cdc_core.pipeline.dead_letter_office import DeadLetterOffice
from cdc_core.source.base import Lost, Queue, Reader, Record

POLL_SECONDS = 1.0

log = structlog.get_logger(__name__)


class OperationFeed:
    """A thread that reads operations behind `start` into a queue; `woken` is called for each.

    Unlike on a vchannel, everything up to and including the message at `start` is done: the channel carries no ticks
    that would separate what was before from what comes later. One that cannot be read is recorded before those behind
    it are found; a task that stops there finds no more of them, and `trouble` says why.
    """

    def __init__(
        self,
        queue: Queue,
        channel: str,
        start: Position,
        dead_letters: DeadLetterOffice,
        woken: Callable[[], None],
    ) -> None:
        self.trouble = ""
        self._dead_letters = dead_letters
        self._queue = queue
        self.channel = channel
        self._start = start
        self._skip = queue.order(start.message_id) if start.message_id else -1
        self._woken = woken
        self._read: deque[Record | Lost] = deque()
        self._found: deque[Operation] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ops-{channel}", daemon=True)
        self._thread.start()

    def take(self) -> list[Operation]:
        """What has come since, in order. :raises CdcError: it cannot be read on."""
        taken = []
        while self._found:
            taken.append(self._found.popleft())
        return taken

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        attempt = 0
        reader: Reader | None = None
        while not self._stop.is_set():
            try:
                reader = reader or self._open()
                self._poll(reader)
                attempt = 0
            except Retryable as error:
                attempt += 1
                self.trouble = str(error)
                self._stop.wait(backoff.delay(attempt))
            except Exception as error:
                self.trouble = str(error) or repr(error)
                unexpected = not isinstance(error, CdcError)
                log.error("operations_lost", channel=self.channel, error=self.trouble, exc_info=unexpected)
                self._woken()
                break
        if reader:
            reader.close()

    def _open(self) -> Reader:
        reader = self._queue.reader()
        try:
            reader.add(self.channel, self._start.message_id)
        except CdcError:
            reader.close()
            raise
        return reader

    def _poll(self, reader: Reader) -> None:
        """What was read is kept until it is dealt with: the state may be away for a while."""
        if not self._read:
            self._read.extend(reader.poll(POLL_SECONDS))
        while self._read:
            self._take(self._read[0])
            self._read.popleft()
        self.trouble = ""

    def _take(self, item: Record | Lost) -> None:
        if isinstance(item, Lost):
            raise item.error
        if item.order <= self._skip:
            return
        try:
            found = operation.parse(item)
        except Undecodable as error:
            self._dead_letters.take([dead_letter.of_operations(item, str(error))])
            return
        if found:
            self._found.append(found)
            self._woken()
