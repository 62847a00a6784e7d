"""Calls to the target, repeated until their outcome is clear."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial

import structlog

from cdc_core import backoff
from cdc_core.clock import Clock, SystemClock
from cdc_core.coordination.leases import UNCLEAR_SECONDS
from cdc_core.errors import Refused, TargetUnavailable, TaskStopped
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.batch import Batch, Outgoing
from cdc_core.pipeline.member import Flight
from cdc_core.pipeline.transport import Transport

CALL_SECONDS = 10.0
LEAST_SECONDS = 1.0
"""With less left of a lease no call is begun."""
SLOW_SECONDS = 2.0
"""A call of a batch takes 0.1 s: from here on the target is what everything waits for."""

log = structlog.get_logger(__name__)


class Delivery:
    """Sends the flights of one gate; `on_recovery` is called at the first success after a failure, and when a tick
    did not arrive: then all of the target's channels need one."""

    def __init__(
        self,
        transport: Transport,
        on_recovery: Callable[[], None],
        unclear_seconds: float = UNCLEAR_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self.trouble: str | None = None
        """What the target does not take now, or that it takes its time."""
        self.clock = clock or SystemClock()
        self._transport = transport
        self._on_recovery = on_recovery
        self._unclear_seconds = unclear_seconds
        self._pause = threading.Event()

    def outgoing(self, batch: Batch, base: Tso | None) -> Outgoing:
        """What of a batch travels (Transport)."""
        return self._transport.outgoing(batch, base)

    @property
    def repeatable(self) -> bool:
        """See Transport."""
        return self._transport.repeatable

    def use(self, transport: Transport) -> None:
        """From the next call on."""
        self._transport = transport

    def deliver(self, pchannel: str, flights: Sequence[Flight], tick: Tso | None) -> Collection[Flight]:
        """Send all flights and then the tick, with the same bytes as often as it takes (I4); a tick alone only once.

        Answers those that are on the target. One whose lease ends, or that is told to stop while the target does not
        answer, is left out; one that the target refuses for good gets `abandoned`.
        """
        attempt = 0
        while True:
            flights = [flight for flight in flights if _may_be_sent(flight, attempt)]
            if not flights and (tick is None or attempt):
                if tick is not None:
                    self._on_recovery()
                return ()
            began = self.clock.monotonic()
            try:
                self._transport.send(pchannel, flights, tick, partial(_timeout, flights))
            except TargetUnavailable as error:
                attempt += 1
                self.trouble = str(error)
                if error.unclear:
                    self._hold_back(flights)
                log.warning("target_unavailable", pchannel=pchannel, error=str(error), attempt=attempt)
                self._pause.wait(backoff.delay(attempt, most=2.0))
            except (Refused, TaskStopped) as error:
                if len(flights) <= 1:
                    return self._give_up(flights, error)
                return [f for each in flights for f in self.deliver(pchannel, [each], None)]
            else:
                self._succeeded(attempt, self.clock.monotonic() - began)
                return flights

    def _hold_back(self, flights: Sequence[Flight]) -> None:
        """A call that timed out is written all the same, and no tick may be before it: its rows would double."""
        for flight in flights:
            flight.member.lease.call_unclear(self._unclear_seconds)

    def _succeeded(self, attempt: int, seconds: float) -> None:
        self.trouble = f"the target is slow: it took {seconds:.0f} s for a call" if seconds >= SLOW_SECONDS else None
        if attempt:
            self._on_recovery()

    def _give_up(self, flights: Sequence[Flight], error: Exception) -> Collection[Flight]:
        """A refusal of one flight, or of a tick alone, which is covered by the next one."""
        for flight in flights:
            if isinstance(error, TaskStopped):
                flight.member.fail(error)
            else:
                flight.abandoned = str(error)
        self.trouble = str(error)
        return ()


def _timeout(flights: Sequence[Flight]) -> float:
    """Never longer than any lease: what is written after its end could double a row."""
    left = min([CALL_SECONDS, *(flight.member.lease.left for flight in flights)])
    if left < LEAST_SECONDS:
        raise TargetUnavailable("a lease is about to end: not begun")
    return left


def _may_be_sent(flight: Flight, attempt: int) -> bool:
    lease = flight.member.lease
    return lease.left > LEAST_SECONDS and not (lease.stopping and attempt)
