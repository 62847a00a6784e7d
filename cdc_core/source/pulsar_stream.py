"""One topic as the Pulsar client reads it: what has come waits here, in order."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import pulsar

from cdc_core.source.pulsar_id import PulsarId

STREAM_BYTES = 4 << 20
"""A stream ends behind the message that passes this: the client has no bound in bytes, only in messages."""
_MOST_AHEAD = 200


@dataclass(frozen=True, slots=True)
class PulsarMessage:
    id: PulsarId
    message_id: bytes
    payload: bytes

    @classmethod
    def of(cls, message: pulsar.Message) -> PulsarMessage:
        """:raises ValueError: an id that is out of all bounds."""
        id_ = message.message_id()
        return cls(PulsarId.of(id_.ledger_id(), id_.entry_id(), id_.batch_index()), id_.serialize(), message.data())


class PulsarStream:
    """Goes on through reconnects, but then comes back with some messages that were read before.

    The client calls `offer` on a thread of its own, the others are for one thread. When more waits than a stream may
    hold, the rest is dropped and the stream has to be closed; a new one begins behind what was taken.
    """

    # Not `read_next_async`, which `pulsar.asyncio` uses: some of 100,000 messages came before the one they follow (the
    # client finds nobody waiting and keeps a message, who asks in that moment gets the next one). Not `read_next` with
    # a timeout of 0 either: looking at 16 topics every 40 ms costs twice as much as being called.

    def __init__(self, read: PulsarId | None, arrived: Callable[[], None]) -> None:
        """`read`: the last message that is not wanted again."""
        self.full = False
        self._read = read
        self._arrived = arrived
        self._waiting: deque[PulsarMessage] = deque()
        self._came = self._came_bytes = 0  # written by the client's thread
        self._taken_bytes = 0  # written by ours
        self._reader: pulsar.Reader | None = None

    def attach(self, reader: pulsar.Reader) -> None:
        """What reads for it, so that it can be closed."""
        self._reader = reader

    def offer(self, _reader: object, message: pulsar.Message) -> None:
        """Does not block."""
        if self.full:
            return
        found = PulsarMessage.of(message)
        if self._read and found.id <= self._read:
            return
        self._came += 1
        self._came_bytes += len(found.payload)
        self._waiting.append(found)
        self.full = self._came_bytes - self._taken_bytes > STREAM_BYTES
        self._arrived()

    def take(self) -> PulsarMessage | None:
        """The next one, None when there is none now."""
        if not self._waiting:
            return None
        found = self._waiting.popleft()
        self._taken_bytes += len(found.payload)
        return found

    @property
    def spent(self) -> bool:
        """Nothing will come any more."""
        return self.full and not self._waiting

    @property
    def connected(self) -> bool:
        """The client connects it again by itself, after up to a minute."""
        return self._reader is not None and bool(self._reader.is_connected())

    @property
    def fitting(self) -> int:
        """How many messages of the size that they have here the client should fetch ahead."""
        return min(max(STREAM_BYTES * self._came // max(self._came_bytes, 1), 1), _MOST_AHEAD)

    def close(self) -> None:
        """Leaves nothing behind in the cluster; what waits stays. May block for a moment. Idempotent."""
        reader, self._reader = self._reader, None
        if reader:
            with contextlib.suppress(pulsar.PulsarException, ValueError):  # ValueError: it was closed with its client
                reader.close()
