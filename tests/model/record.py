"""A channel's record in Redis, and who may write to it."""

from __future__ import annotations

from typing import NamedTuple


class Record(NamedTuple):
    """The hash of a channel as the scripts use it; 0 is none."""

    resolved: int
    """The checkpoint."""
    last: int = 0
    """The highest timestamp that it ever sent."""
    to: int = 0
    """The end of the batch in flight: the intent (I4)."""
    base: int = 0
    """Its first timestamp, when it is from behind."""
    gated: bool = False
    """Whether it has a hold."""
    epoch: int = 0
    """Of the last claim."""
    unsettled: bool = False
    """A batch was given up; part of it may be on the target."""
    running: bool = True
    """What its task is to do (desired)."""


class Claim(NamedTuple):
    """What `claim.lua` answers: OK, SETTLE, STOPPED or IDLE."""

    word: str
    record: Record


def claim(record: Record) -> Claim:
    """`claim.lua`, of a lease that is free or has run out."""
    word = "OK"
    if not record.running or record.unsettled:
        if not (record.to or record.gated):
            return Claim("STOPPED" if record.unsettled else "IDLE", record)
        word = "SETTLE"
    return Claim(word, record._replace(epoch=record.epoch + 1))
