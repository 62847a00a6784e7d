"""A channel of the standby: what its readers make of the messages in it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from tests.model.source import Part


class Message(NamedTuple):
    """In the channel: a message of a member's rows, under the timestamps it was sent with."""

    stamps: tuple[int, ...]
    member: int
    rows: tuple[int, ...]


class Target(NamedTuple):
    """`waiting` is in the channel and no tick has passed it; `living` are calls whose caller has given up, but which
    may still be written; `applied` are rows as bits, per member.

    The rows of a member all have one key, so they must be applied in the order of their numbers.
    """

    tick: int
    waiting: frozenset[Message]
    living: frozenset[Message]
    applied: tuple[int, ...]
    fault: str = ""
    """What cannot be put right any more."""


def messages(member: int, parts: tuple[Part, ...]) -> frozenset[Message]:
    return frozenset(Message(part.stamps, member, part.rows) for part in parts)


def written(target: Target, sent: frozenset[Message]) -> Target:
    """A message with the same bytes need not be told apart: readers drop it within what one tick applies."""
    return target._replace(waiting=target.waiting | sent)


def landed(target: Target, message: Message) -> Target:
    """A call of which nobody has heard any more is written after all."""
    return written(target, frozenset([message]))._replace(living=target.living - {message})


@lru_cache(maxsize=1 << 16)  # the same target is met with many states of Redis
def ticked(target: Target, tick: int) -> Target:
    """Applies what is at or below the tick, in the order of the timestamps; of equal ids one. A lower tick than the
    last one does nothing."""
    if tick <= target.tick:
        return target
    passed = sorted(message for message in target.waiting if message.stamps[-1] <= tick)
    applied, fault, ids = list(target.applied), "", set()
    rows = []
    for message in passed:
        if (message.member, message.rows[0]) not in ids:
            ids.add((message.member, message.rows[0]))
            rows += [(stamp, message.member, row) for stamp, row in zip(message.stamps, message.rows, strict=True)]
    for _, member, row in sorted(rows):
        fault = fault or _wrong(applied[member], member, row)
        applied[member] |= 1 << row
    return target._replace(tick=tick, waiting=target.waiting.difference(passed), applied=tuple(applied), fault=fault)


def _wrong(applied: int, member: int, row: int) -> str:
    name = "ab"[member]
    if applied & 1 << row:
        return f"DOUBLED: row {name}{row + 1} is applied a second time"
    if applied >> row:
        return f"REORDERED: row {name}{row + 1} is applied after a newer one of its key"
    return ""


def recovered(target: Target) -> Target:
    """A crash, with a checkpoint at the last tick: the channel is read again, and a message whose smallest timestamp
    is at or below the checkpoint is left out as seen. An older checkpoint leaves out less."""
    kept = frozenset(message for message in target.waiting if message.stamps[0] > target.tick)
    return target._replace(waiting=kept)
