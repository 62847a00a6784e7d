"""Numbered queues: message ids that are one number, and what a topic of them still holds."""

from __future__ import annotations

from dataclasses import dataclass

from cdc_core.errors import PositionTrimmed

_ID_BYTES = 8
REMEDY = (
    "Delete the collection's task, copy the collection anew and create the task with the positions of that copy; "
    "keep the source's messages longer than the longest time a task may stand still."
)


def to_message_id(number: int) -> bytes:
    """Milvus' form of a Kafka offset, a RocksMQ id or a natsmq sequence: 8 bytes, little-endian."""
    return number.to_bytes(_ID_BYTES, "little")


def to_number(message_id: bytes) -> int:
    """:raises ValueError: not 8 bytes."""
    if len(message_id) != _ID_BYTES:
        raise ValueError(f"{message_id.hex()!r} is no message id of this queue: expected {_ID_BYTES} bytes")
    return int.from_bytes(message_id, "little")


@dataclass(frozen=True, slots=True)
class Bounds:
    """A topic holds messages from `first` up to but without `end`; it is empty when they are equal.

    `dense`: every number between them is a message (Kafka); otherwise topics share the numbers (RocksMQ).
    """

    first: int
    end: int
    dense: bool = True

    @property
    def last_id(self) -> bytes:
        return to_message_id(self.end - 1) if self.first < self.end else b""

    @property
    def first_id(self) -> bytes:
        return to_message_id(self.first) if self.first < self.end else b""

    def check(self, pchannel: str, wanted: int) -> None:
        """:raises PositionTrimmed: reading from `wanted` would leave messages out."""
        if wanted < self.first:
            raise trimmed(pchannel, wanted, self.first, self.dense)
        if wanted > self.end:
            raise PositionTrimmed(
                f"{pchannel}: wanted message {wanted}, but the topic ends before {self.end}: it was made anew or "
                f"cut off, what it holds is not what this task has read. {REMEDY}"
            )


def trimmed(pchannel: str, wanted: int, first: int, dense: bool) -> PositionTrimmed:
    """The error that says what is gone and what to do."""
    gone = f"{first - wanted} messages" if dense else f"up to {first - wanted} messages"
    return PositionTrimmed(
        f"{pchannel}: wanted message {wanted}, the first one still there is {first}: {gone} are gone. {REMEDY}"
    )
