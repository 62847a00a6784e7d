"""A lease as its holder sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cdc_core.clock import Clock
from cdc_core.coordination.leases import LEASE_MS, SAFETY_SECONDS, ChannelKey, Claim, Order
from cdc_core.errors import LeaseLost, Stopping

LEAST_SECONDS = 1.0
"""With less left of a lease no call is begun."""


class Lease:
    """Until when this process may write for a channel, and what it is told to do. Thread-safe.

    The deadline counts from *before* the claim or renewal was sent, and ends `SAFETY_SECONDS` early, so that two
    processes never both think they hold it.
    """

    def __init__(self, claim: Claim, clock: Clock, sent_at: float) -> None:
        self.key: ChannelKey = claim.key
        self.epoch = claim.epoch
        self.settle_only = claim.settle_only
        self._clock = clock
        self._lock = threading.Lock()
        self._deadline = sent_at + LEASE_MS / 1000 - SAFETY_SECONDS
        self._order = Order.GO_ON
        self._listeners: list[Callable[[], None]] = []
        self.lost_at: float | None = None
        self._unclear_until = clock.monotonic() + claim.unclear if claim.unclear else 0.0

    @property
    def left(self) -> float:
        """Seconds in which a write may still end; negative when it is over."""
        return -1.0 if self._order is Order.LOST else self._deadline - self._clock.monotonic()

    @property
    def unclear(self) -> float:
        """For how many seconds a call of what is recorded as in flight may live on in the target: so long its hold may
        not rise."""
        return max(0.0, self._unclear_until - self._clock.monotonic())

    @property
    def order(self) -> Order:
        return self._order

    @property
    def stopping(self) -> bool:
        """Told to leave; what is under way may be ended."""
        return self._order is not Order.GO_ON

    def on_order(self, listener: Callable[[], None]) -> None:
        """Call it when an order to stop comes."""
        self._listeners.append(listener)

    def renewed(self, sent_at: float) -> None:
        with self._lock:
            self._deadline = max(self._deadline, sent_at + LEASE_MS / 1000 - SAFETY_SECONDS)

    def tell(self, order: Order) -> None:
        """Obey; the first order to stop stands, but LOST overrides it. Who only settles does so whatever the task's
        state, and stops for a YIELD alone."""
        with self._lock:
            if order is Order.GO_ON or (self.stopping and order is not Order.LOST):
                return
            if self.settle_only and order in (Order.PAUSE, Order.DELETE):
                return
            self._order = order
            if order is Order.LOST:
                self.lost_at = self.lost_at or self._clock.monotonic()
        for listener in self._listeners:
            listener()

    def call_unclear(self, seconds: float) -> None:
        """For so long a call that has just ended may live on in the target."""
        with self._lock:
            self._unclear_until = max(self._unclear_until, self._clock.monotonic() + seconds)

    def check_held(self) -> None:
        """:raises LeaseLost: nothing may be written any more."""
        if self.left <= 0:
            raise LeaseLost(f"the lease of {self.key.name} is over")

    def check(self) -> None:
        """:raises LeaseLost: nothing may be written any more. :raises Stopping: told to leave."""
        self.check_held()
        if self.stopping:
            raise Stopping(self._order.value)
