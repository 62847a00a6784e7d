"""Calls to the target, and the pauses after those that failed."""

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
from cdc_core.pipeline.lease import LEAST_SECONDS
from cdc_core.pipeline.member import Flight
from cdc_core.pipeline.transport import Transport

CALL_SECONDS = 10.0
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
        self._failures = 0
        """Calls with rows since the last one that succeeded."""

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
        """Send all flights that may be sent, and then the tick, once; returns behind the pause when that failed.

        Answers those that are on the target; the others are for the next turn, with the same bytes (I4). One that the
        target refuses for good gets `abandoned`. A tick alone that does not arrive is the ticker's.
        """
        flights = [flight for flight in flights if flight.may_be_sent]
        if not flights and tick is None:
            return ()
        began = self.clock.monotonic()
        try:
            self._transport.send(pchannel, flights, tick, partial(_timeout, flights))
        except TargetUnavailable as error:
            self._failed(pchannel, flights, error)
            return ()
        except (Refused, TaskStopped) as error:
            if len(flights) <= 1:
                return self._give_up(flights, error)
            return [f for each in flights for f in self.deliver(pchannel, [each], None)]
        self._succeeded(self.clock.monotonic() - began)
        return flights

    def _failed(self, pchannel: str, flights: Sequence[Flight], error: TargetUnavailable) -> None:
        """A call that timed out is written all the same, and no tick may be before it: its rows would double."""
        attempt = self._failures + 1
        self.trouble = str(error)
        for flight in flights:
            flight.failed = True
            if error.unclear:
                flight.member.lease.call_unclear(self._unclear_seconds)
        if flights:
            self._failures = attempt
        else:
            self._on_recovery()
        log.warning("target_unavailable", pchannel=pchannel, error=str(error), attempt=attempt)
        self._pause.wait(backoff.delay(attempt, most=2.0))

    def _succeeded(self, seconds: float) -> None:
        self.trouble = f"the target is slow: it took {seconds:.0f} s for a call" if seconds >= SLOW_SECONDS else None
        if self._failures:
            self._failures = 0
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
