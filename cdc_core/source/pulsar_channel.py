"""One pchannel in the hands of a reader: what must come next, and the proof that nothing was left out.

Pulsar begins at the next message that it has when the wanted one is gone, and leads a reader past what retention
removes under it, both silently. So every message must follow the one before: by its number within a ledger, and where
another ledger begins, because the message before is still there. Retention removes whole ledgers, from the beginning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cdc_core.errors import PositionTrimmed
from cdc_core.source.base import Record
from cdc_core.source.pulsar_client import PulsarClient
from cdc_core.source.pulsar_id import PulsarId
from cdc_core.source.pulsar_stream import PulsarMessage, PulsarStream
from cdc_core.source.sequence import REMEDY

_FIRST_SECONDS = 5.0
"""How long a message that the cluster says it has may take to come."""


@dataclass(frozen=True, slots=True)
class Place:
    """The message `id` comes next or, if `read`, was the last one. None is the beginning of the topic."""

    id: PulsarId | None
    read: bool = False


class PulsarChannel:
    """A stream and its place. Used by one thread; only what `ask` was given is called on another."""

    def __init__(self, pchannel: str, place: Place, client: PulsarClient, stream: PulsarStream) -> None:
        self.pchannel = pchannel
        self.place = place
        self.hand: PulsarMessage | None = None
        """Came and was not accepted yet."""
        self._asked = False
        self.away_since: float | None = None
        self._client = client
        self._stream = stream

    @property
    def connected(self) -> bool:
        return self._stream.connected

    def begin(self) -> None:
        """Look whether the place is still there. May block some seconds; nothing is asked yet.

        :raises PositionTrimmed: it is not.
        :raises SourceUnavailable: no answer.
        """
        wanted = self.place.id
        if wanted is None:
            return
        if self._stream.has_more():
            self.hand = self._stream.first_from(wanted, _FIRST_SECONDS)
            if self.hand.id != wanted:
                raise trimmed(self.pchannel, wanted, self.hand.id)
        else:
            self._check_end(wanted)

    def ask(self, answer: Callable[[PulsarChannel, Any], None]) -> None:
        """For the next message, if that was not done yet; `answer` gets what `take` wants. Does not block."""
        if not self._asked and self.hand is None:
            self._asked = True
            self._stream.ask(lambda message: answer(self, message))

    def take(self, message: Any) -> None:
        """What was asked for has come. :raises ValueError: its id is out of all bounds."""
        self._asked = False
        self.hand = PulsarMessage.of(message)

    def accept(self) -> Record | None:
        """The message in hand, which is there no more; None when it is one that was read before.

        :raises PositionTrimmed: it is not the one that must come.
        :raises SourceUnavailable: that cannot be told now; it stays in hand.
        """
        message = self.hand
        if message is None or not self._expected(message.id):
            self.hand = None
            return None
        self.place, self.hand = Place(message.id, read=True), None
        return Record(self.pchannel, message.message_id, message.id.order, message.payload)

    def close(self) -> None:
        self._stream.close()

    def _expected(self, found: PulsarId) -> bool:
        last = self.place.id
        if last is None:
            return True
        if found < last or (found == last and self.place.read):
            return False
        if found == last or (self.place.read and (found.follows(last) or self._next_ledger(last, found))):
            return True
        raise trimmed(self.pchannel, last, found)

    def _next_ledger(self, last: PulsarId, found: PulsarId) -> bool:
        """`found` is at the beginning of a ledger and nothing between them was removed."""
        begins = found.ledger > last.ledger and (found.entry, found.batch_index) == (0, 0)
        return begins and self._client.holds(self.pchannel, last)

    def _check_end(self, wanted: PulsarId) -> None:
        """Nothing is at or behind it: it may yet come, if it is the very next one."""
        last = self._client.last(self.pchannel)
        if not last:
            raise PositionTrimmed(f"{self.pchannel}: wanted message {wanted}, but the topic holds nothing. {REMEDY}")
        end = PulsarId.parse(last)
        if end < wanted and not wanted.follows(end):
            raise PositionTrimmed(
                f"{self.pchannel}: wanted message {wanted}, but the topic ends with {end}: it was made anew or cut "
                f"off, what it holds is not what this task has read. {REMEDY}"
            )


def trimmed(pchannel: str, wanted: PulsarId, first: PulsarId) -> PositionTrimmed:
    """The error that says what is gone and what to do."""
    return PositionTrimmed(
        f"{pchannel}: wanted message {wanted} or the one behind it, the next one still there is {first}: "
        f"what was between them is gone. {REMEDY}"
    )
