"""One vchannel's place at a gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cdc_core.errors import CdcError, LeaseLost
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.batch import Batch, Outgoing
from cdc_core.pipeline.lease import LEAST_SECONDS, Lease
from cdc_core.source.window import Mark


@dataclass(slots=True)
class Flight:
    """A batch that was begun, so recorded in Redis, and is sent until its fate is clear."""

    member: Member
    batch: Batch
    outgoing: Outgoing
    failed: bool = False
    """A call of it has failed: who is told to stop does not wait for a target that is away."""
    abandoned: str = ""

    @property
    def may_be_sent(self) -> bool:
        lease = self.member.lease
        return lease.left > LEAST_SECONDS and not (self.member.error or (self.failed and lease.stopping))


@dataclass(eq=False, slots=True)
class Member:
    """Changed under the gate's condition only.

    `idle` answers how far the vchannel is while nothing waits; `on_commit` is told of each batch that is recorded,
    `on_error` that `error` ends it.
    At most one batch is in flight and one waits behind it.
    """

    lease: Lease
    source_pchannel: str
    resolved: Tso
    idle: Callable[[], Mark | None]
    on_commit: Callable[[Batch], None]
    on_error: Callable[[], None]
    in_step: bool = False
    leaving: bool = False
    left: bool = False
    raising: bool = False
    """The ticker is raising its hold: a leave waits for the answer, or the raise would put the hold back after it."""
    abandon: str | None = None
    waiting: Batch | None = None
    flight: Flight | None = None
    error: CdcError | None = None

    @property
    def busy(self) -> bool:
        return self.waiting is not None or self.flight is not None

    @property
    def ready(self) -> bool:
        """Whether its batch can begin, or it can leave: not while one is in flight, or rests after an unclear call."""
        if self.flight is not None:
            return False
        return self.lease.left > 0 if self.waiting is not None else self.may_leave

    @property
    def may_leave(self) -> bool:
        """What is given up loses its hold for good: not while a call of it may live on in the target."""
        unclear = self.abandon is not None and self.lease.unclear
        return self.leaving and not (self.busy or self.raising or unclear)

    def fail(self, error: CdcError) -> None:
        """The first error stands, but nothing is stronger than a lost lease. What waits is never begun."""
        self.waiting = None
        if self.error is None or isinstance(error, LeaseLost):
            self.error = error
        self.on_error()

    def news(self) -> Mark | None:
        """The idle mark, when it is above what is recorded."""
        if self.busy or self.leaving or self.left or self.error or self.lease.left <= 0:
            return None
        mark = self.idle()
        return mark if mark and mark.resolved > self.resolved else None
