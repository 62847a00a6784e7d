"""Everything at one moment: Redis, the workers, the target, and what may still go wrong."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, TypeVar

from tests.model.gate import Done, Gate
from tests.model.record import Record
from tests.model.target import Target

_Item = TypeVar("_Item")


class Phase(IntEnum):
    """What a worker has come to with a batch."""

    IDLE = 0
    BEGUN = 1
    SENT = 2


class Worker(NamedTuple):
    """Who holds a vchannel's lease, or thinks so, and the batch in its hands."""

    epoch: int
    settling: bool
    phase: Phase = Phase.IDLE
    after: int = 0
    to: int = 0
    base: int = 0
    parts: int = 0
    """How many messages of the batch are on the target."""
    unclear: bool = False
    """A call of this batch timed out."""


class Troubles(NamedTuple):
    """How often each may still happen."""

    kills: int = 0
    losses: int = 0
    """A lease ends while its holder lives on."""
    restarts: int = 0
    """Of the target, which forgets what it has not flushed."""
    pauses: int = 0
    resumes: int = 0
    timeouts: int = 0
    """Calls that may be written after their caller has given up."""
    refusals: int = 0

    def less(self, name: str) -> Troubles:
        """One of these has happened."""
        return self._replace(**{name: getattr(self, name) - 1})


class State(NamedTuple):
    """The members of one gate by number: a vchannel of task a, and one of task b."""

    gate: Gate
    records: tuple[Record, ...]
    workers: tuple[Worker | None, ...]
    stale: tuple[Worker | None, ...]
    """Processes that do not know yet that they have lost their lease."""
    target: Target
    granted: frozenset[int]
    """Ticks granted and not sent, perhaps never."""
    present: int
    """The source's time as far as it is known, 0 when it is not."""
    left: Troubles

    def take(self, member: int, done: Done) -> State:
        """What an operation of the gate has made of Redis."""
        return self._replace(gate=done.gate, records=_with(self.records, member, done.record))

    def keep(self, member: int, record: Record) -> State:
        return self._replace(records=_with(self.records, member, record))

    def man(self, member: int, worker: Worker | None) -> State:
        return self._replace(workers=_with(self.workers, member, worker))

    def remember(self, member: int, worker: Worker | None) -> State:
        return self._replace(stale=_with(self.stale, member, worker))


def _with(items: tuple[_Item, ...], member: int, item: _Item) -> tuple[_Item, ...]:
    return (*items[:member], item, *items[member + 1 :])
