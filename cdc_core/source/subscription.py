"""One vchannel's part of a pchannel: what was read is cut into windows and waits here to be taken."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from cdc_core.codec import rewrite
from cdc_core.errors import CdcError
from cdc_core.model.channel import VChannel
from cdc_core.model.dead_letter import DeadLetter
from cdc_core.model.message import Kind, Message
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.source.window import Mark, Window

PAIR_MS = 10_000
"""By the source's ticks: so long the insert of an upsert waits for its delete. A source that was killed between them
never writes it."""


class TickSource(Protocol):
    """Where the last tick of the pchannel is kept, once for all its vchannels."""

    tick: Message | None


class Subscription:
    """The windows of one vchannel, in order, from `start` on.

    The reading thread calls `offer`, `close_window` and `fail`; the vchannel's thread calls the rest. A tick without
    data does not come here at all: `idle_mark` looks it up. At least one whole window is admitted, however large.
    """

    def __init__(self, vchannel: VChannel, start: Position, limit: Callable[[], int]) -> None:
        self.vchannel = vchannel
        self._name = vchannel.name
        self.start = start
        self.begins_at = 0  # the queue's order of the start
        self.skip_until = -1  # the queue's order up to which an earlier feed has delivered already
        self.source: TickSource | None = None
        self._limit = limit
        self._open: list[Message | DeadLetter] = []
        self._windows: deque[Window] = deque()
        self._bytes = 0
        self._outstanding = 0
        self._error: CdcError | None = None
        self._ready = threading.Condition()
        self._woken = False

    # the reading thread

    def offer(self, item: Message | DeadLetter) -> bool:
        """Keep it for the next window; False when it is an old one."""
        if self._error or item.order <= self.skip_until or self._is_done(item):
            return False
        self._open.append(item)
        return True

    def close_window(self, tick: Message) -> bool:
        """Everything at or below the tick is complete now; True when something stays for the next window: newer
        messages, or all while a half of an upsert is to come. What an earlier feed has read closed its windows.
        """
        if tick.order <= self.skip_until:
            return bool(self._open)
        ready = [item for item in self._open if _is_due(item, tick)]
        if self._error or not ready or _lacks_a_half(ready, tick):
            return bool(self._open)
        rest = [item for item in self._open if not _is_due(item, tick)]
        messages = tuple(item for item in ready if isinstance(item, Message))
        letters = tuple(item for item in ready if isinstance(item, DeadLetter))
        # Never below the start: a letter between the start's place and its time is read again.
        resolved = max(tick.first, self.start.timestamp)
        window = Window(messages, Mark(resolved, self._place(rest, tick)), letters)
        with self._ready:
            self._open = rest
            self._windows.append(window)
            self._bytes += window.size
            self._ready.notify()
        return bool(rest)

    def fail(self, error: CdcError) -> None:
        """Nothing more will come, whatever is offered; told when everything before has been taken."""
        with self._ready:
            self._error = self._error or error
            self._ready.notify()

    @property
    def full(self) -> bool:
        """Whether reading should wait until windows have been taken."""
        return self._bytes > 0 and self._bytes > self._limit()  # idle ones, the most, cost nothing

    @property
    def backlog(self) -> int:
        """Bytes in windows that were not taken yet."""
        return self._bytes

    @property
    def has_open(self) -> bool:
        return bool(self._open)

    # the vchannel's thread

    def take(self, most_bytes: int, timeout: float) -> Sequence[Window]:
        """The next windows, about `most_bytes` of them and at least one; empty after `timeout` seconds or a `wake`.

        :raises CdcError: what ended the reading (`PositionTrimmed`, `Undecodable`, ...).
        """
        with self._ready:
            self._ready.wait_for(lambda: self._windows or self._error or self._woken, timeout)
            self._woken = False
            taken: list[Window] = []
            size = 0
            while self._windows and (not taken or size + self._windows[0].size <= most_bytes):
                window = self._windows.popleft()
                size += window.size
                taken.append(window)
            self._bytes -= size
            self._outstanding += len(taken)
            if not taken and self._error:
                raise self._error
            return taken

    def settled(self, windows: int) -> None:
        """So many of the windows that were taken are on the target and recorded."""
        with self._ready:
            self._outstanding -= windows

    def wake(self) -> None:
        """End a `take` that waits."""
        with self._ready:
            self._woken = True
            self._ready.notify()

    def idle_mark(self) -> Mark | None:
        """How far it is while nothing waits: up to the pchannel's last tick. None when something does."""
        source = self.source  # None once nothing is delivered any more
        tick = source.tick if source else None  # first: what is read later is newer than this tick
        with self._ready:
            if tick is None or self._windows or self._outstanding or self._error or tick.order <= self.skip_until:
                return None
            if self._open and any(_is_due(item, tick) for item in self._open):
                return None
            return Mark(max(tick.first, self.start.timestamp), self._place(self._open, tick))

    def _is_done(self, item: Message | DeadLetter) -> bool:
        """What the tick has closed up to which the checkpoint goes. A letter has no time: it is not known to be, and is
        told again. Behind that tick nothing is done: a source that was killed may write rows below its own last tick.
        """
        return isinstance(item, Message) and item.first <= self.start.timestamp and not self._is_past_start()

    def _is_past_start(self) -> bool:
        tick = self.source.tick if self.source else None
        return tick is not None and tick.order >= self.begins_at and tick.first >= self.start.timestamp

    def _place(self, rest: Sequence[Message | DeadLetter], tick: Message) -> Position:
        first = min(rest, key=lambda item: item.order) if rest else tick
        return Position(self._name, first.message_id, max(tick.first, self.start.timestamp))

    def resolved(self) -> Tso:
        """The timestamp up to which it was read, for lag; zero when unknown."""
        source = self.source
        tick = source.tick if source else None
        return tick.first if tick else self.start.timestamp


def _is_due(item: Message | DeadLetter, tick: Message) -> bool:
    """Whether the tick closes the window that it is in."""
    return item.first <= tick.first if isinstance(item, Message) else item.order < tick.order


def _lacks_a_half(ready: Sequence[Message | DeadLetter], tick: Message) -> bool:
    """Whether the insert of an upsert is here and its delete is not. A source that was killed ticks between them, and
    the delete comes below that tick: in a window of its own it would go from behind, above the insert that has to
    survive it. Never for longer than the oldest of them may wait. Pure, so that who reads again cuts the same windows.
    Of a dropped collection no rows matter.
    """
    messages = [item for item in ready if isinstance(item, Message)]
    if any(message.kind is Kind.DROP_COLLECTION for message in messages):
        return False
    halves = {message.first for message in messages if message.half}
    if halves:
        deletes = (message for message in messages if message.kind is Kind.DELETE)
        halves.difference_update(stamp for delete in deletes for stamp in rewrite.row_timestamps(delete))
    return bool(halves) and tick.first.ms - min(halves).ms < PAIR_MS
