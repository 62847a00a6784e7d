"""One topic as the Pulsar client reads it, message by message."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulsar

from cdc_core.errors import SourceUnavailable
from cdc_core.source.pulsar_id import PulsarId


@dataclass(frozen=True, slots=True)
class PulsarMessage:
    """A message in the client's hands; the payload is copied only when it is wanted."""

    id: PulsarId
    _message: Any

    @classmethod
    def of(cls, message: Any) -> PulsarMessage:
        """:raises ValueError: an id that is out of all bounds."""
        id_ = message.message_id()
        return cls(PulsarId.of(id_.ledger_id(), id_.entry_id(), id_.batch_index()), message)

    @property
    def message_id(self) -> bytes:
        found: bytes = self._message.message_id().serialize()
        return found

    @property
    def payload(self) -> bytes:
        found: bytes = self._message.data()
        return found


class PulsarStream:
    """Reads on through reconnects, but then comes back with some messages that were read before. For one thread."""

    def __init__(self, reader: pulsar.Reader, unavailable: Callable[[object], SourceUnavailable]) -> None:
        self._reader = reader
        self._unavailable = unavailable

    @property
    def connected(self) -> bool:
        """The client connects it again by itself, after up to a minute."""
        return bool(self._reader.is_connected())

    def ask(self, answer: Callable[[Any], None]) -> None:
        """Does not block: `answer` gets the client's next message, now or later and then on a thread of the client.

        Ask again only then. None says that this stream is no good any more. `answer` must not raise: the client would
        end the process.
        """

        def answered(result: Any, message: Any) -> None:
            answer(message if result == pulsar.Result.Ok else None)

        # The same that `pulsar.asyncio` does; it has no public name for threads.
        self._reader._reader.read_next_async(answered)  # noqa: SLF001

    def has_more(self) -> bool:
        """Whether the topic holds a message at or behind the place where this stream is. May block some seconds.

        :raises SourceUnavailable: no answer.
        """
        try:
            return bool(self._reader.has_message_available())
        except pulsar.PulsarException as error:
            raise self._unavailable(error) from error

    def first_from(self, wanted: PulsarId | None, timeout: float) -> PulsarMessage:
        """The next message that is not before `wanted`. Blocks; only while nothing is asked.

        :raises SourceUnavailable: none came within `timeout` seconds.
        """
        try:
            while True:
                message = PulsarMessage.of(self._reader.read_next(int(timeout * 1000))._message)  # noqa: SLF001
                if wanted is None or message.id >= wanted:
                    return message
        except pulsar.PulsarException as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Leaves nothing behind in the cluster. May block for a moment."""
        with contextlib.suppress(pulsar.PulsarException, ValueError):  # ValueError: it was closed with its client
            self._reader.close()
