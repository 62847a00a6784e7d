"""A message of the source that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cdc_core.model.position import Position

SHOWN_BYTES = 64
"""Of the message: enough to tell what it may be."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Bytes that are no message, a message of an unknown type, or an empty one, where a message should be.

    `channel` is the topic, `message_id` and `order` are the queue's (see `Record`), `reason` says what is wrong with
    it; `start` are its first bytes, `length` is how many it has. `vchannel` or `collection_id` is whose it is, as far
    as that can be told; '' and 0 when it may be anybody's on that topic.
    """

    channel: str
    message_id: bytes
    order: int
    reason: str
    start: bytes
    length: int
    vchannel: str = ""
    collection_id: int = 0

    @property
    def position(self) -> Position:
        return Position(self.channel, self.message_id)

    @property
    def place(self) -> str:
        """By which it is told from others, and known again when it is read again."""
        return f"{self.channel}/{self.message_id.hex()}"

    @property
    def size(self) -> int:
        """Bytes that are held here."""
        return len(self.start) + len(self.reason)

    def __str__(self) -> str:
        return f"{self.channel}, position {self.position.to_base64()}: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """As it is stored and shown."""
        shown: dict[str, Any] = {
            "channel": self.channel,
            "position": self.position.to_base64(),
            "reason": self.reason,
            "bytes": self.start.hex(),
            "length": self.length,
        }
        if self.vchannel:
            shown["vchannel"] = self.vchannel
        if self.collection_id:
            shown["collection_id"] = self.collection_id
        return shown
