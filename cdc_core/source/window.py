"""All messages of one vchannel between two ticks."""

from __future__ import annotations

from dataclasses import dataclass

from cdc_core.model.dead_letter import DeadLetter
from cdc_core.model.message import Message
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a vchannel is: everything at or below `resolved` has been read; the rest begins at `position`."""

    resolved: Tso
    position: Position


@dataclass(frozen=True, slots=True)
class Window:
    """Messages of one vchannel in the order they were read, all at or below `mark.resolved`; never empty.

    `letters` is what was read between them and cannot be: it has no time, so it belongs to the tick that comes next.
    """

    messages: tuple[Message, ...]
    mark: Mark
    letters: tuple[DeadLetter, ...] = ()

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(message.size for message in self.messages) + sum(letter.size for letter in self.letters)
