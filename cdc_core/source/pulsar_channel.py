"""One pchannel in the hands of a reader: what must come next, and the proof that nothing was left out.

Pulsar begins at the next message that it has when the wanted one is gone, and leads a reader past what retention
removes under it, both silently. So every message must follow the one before: by its number within a ledger, and where
another ledger begins, because the message before is still there. Retention removes whole ledgers, from the beginning.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from cdc_core.errors import PositionTrimmed
from cdc_core.source.base import Record
from cdc_core.source.pulsar_client import PulsarClient
from cdc_core.source.pulsar_id import PulsarId
from cdc_core.source.pulsar_stream import PulsarMessage, PulsarStream
from cdc_core.source.sequence import REMEDY

_FIRST_QUEUE_SIZE = 8
"""Messages that the client fetches ahead, as long as their size is not known from a backlog."""
_AGAIN_SECONDS = 0.5
"""How often a topic that does not exist yet, or a cluster that was away, is asked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """The message `id` comes next or, if `read`, was the last one. None is the beginning of the topic."""

    id: PulsarId | None
    read: bool = False


class PulsarChannel:
    """A place, and the stream from it when there is one. Used by one thread; `arrived` is called on another."""

    def __init__(
        self, pchannel: str, start: PulsarId | None, client: PulsarClient, arrived: Callable[[], None]
    ) -> None:
        self.pchannel = pchannel
        self.away_since: float | None = None
        self._place = Place(start)
        self._client = client
        self._arrived = arrived
        self._stream: PulsarStream | None = None
        self._queue_size = _FIRST_QUEUE_SIZE
        self._hand: PulsarMessage | None = None
        """Came and was not accepted yet."""
        self._open_at = 0.0

    @property
    def away(self) -> bool:
        """Its connection is down."""
        return self._stream is not None and not self._stream.full and not self._stream.connected

    def open(self) -> None:
        """Read on from its place, unless there is no such topic yet. May block some seconds.

        :raises PositionTrimmed: the place is gone.
        :raises SourceUnavailable: no answer; `next` tries again.
        """
        self._open_at = time.monotonic() + _AGAIN_SECONDS
        if not self._client.has(self.pchannel):
            return
        start = self._place.id
        if start:
            self._check(start)
        stream = PulsarStream(start if self._place.read else None, self._arrived)
        self._client.open(self.pchannel, start, stream, self._queue_size)
        self._stream = stream

    def next(self) -> Record | None:
        """The next record, None when there is none now. Asks the cluster only where it has to open, or another ledger
        begins.

        :raises PositionTrimmed: what came is not what must come.
        :raises SourceUnavailable: it cannot be opened, or that cannot be told, now; nothing has changed.
        """
        if self._stream is None and time.monotonic() >= self._open_at:
            self.open()
        while message := self._hand or (self._stream.take() if self._stream else None):
            self._hand = message
            expected = self._expected(message.id)
            self._hand = None
            if expected:
                self._place = Place(message.id, read=True)
                return Record(self.pchannel, message.message_id, message.id.order, message.payload)
        if self._stream and self._stream.spent:
            self._queue_size = self._stream.fitting
            self.close()
        return None

    def relieve(self) -> None:
        """A stream that is full takes nothing more: what waits is given, then a new one goes on behind it."""
        if self._stream and self._stream.full:
            self._stream.close()

    def close(self) -> None:
        """The place is kept, `next` opens again. May block for a moment."""
        stream, self._stream, self._hand = self._stream, None, None
        self._open_at = 0.0
        if stream:
            stream.close()

    def _expected(self, found: PulsarId) -> bool:
        """False when it was read before."""
        last = self._place.id
        if last is None:
            return True
        if found < last or (found == last and self._place.read):
            return False
        if found == last or (self._place.read and (found.follows(last) or self._next_ledger(last, found))):
            return True
        raise trimmed(self.pchannel, last, found)

    def _next_ledger(self, last: PulsarId, found: PulsarId) -> bool:
        """`found` is at the beginning of a ledger and nothing between them was removed."""
        begins = found.ledger > last.ledger and (found.entry, found.batch_index) == (0, 0)
        return begins and self._first_from(last) == last

    def _check(self, wanted: PulsarId) -> None:
        """:raises PositionTrimmed: it is not there any more."""
        first = self._first_from(wanted)
        if first is None:
            self._check_end(wanted)
        elif first != wanted:
            raise trimmed(self.pchannel, wanted, first)

    def _first_from(self, wanted: PulsarId) -> PulsarId | None:
        message = self._client.first_from(self.pchannel, wanted)
        return message.id if message else None

    def _check_end(self, wanted: PulsarId) -> None:
        """Nothing is at or behind it: it may yet come, if it is the very next one."""
        last = self._client.last(self.pchannel)
        if not last:
            raise PositionTrimmed(f"{self.pchannel}: wanted message {wanted}, but the topic holds nothing. {REMEDY}")
        if last.id < wanted and not wanted.follows(last.id):
            raise PositionTrimmed(
                f"{self.pchannel}: wanted message {wanted}, but the topic ends with {last.id}: it was made anew or cut "
                f"off, what it holds is not what this task has read. {REMEDY}"
            )


def trimmed(pchannel: str, wanted: PulsarId, first: PulsarId) -> PositionTrimmed:
    """The error that says what is gone and what to do."""
    return PositionTrimmed(
        f"{pchannel}: wanted message {wanted} or the one behind it, the next one still there is {first}: "
        f"what was between them is gone. {REMEDY}"
    )
