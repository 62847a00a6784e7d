"""Ticks while nothing happens: idle vchannels raise their holds together, and every channel of the target ticks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest

import redis
import structlog

from cdc_core.coordination.gates import Gates, Request, Round
from cdc_core.errors import CdcError
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.target import Target

IDLE_SECONDS = 0.5
"""How often idle channels tick: Strong reads and loads on the target wait for it. Rows never do (gate.py)."""
QUIET_BEATS = 2
"""A target where nothing happens (target.py) ticks at every second of those times: half the cost of being idle."""
LEAST_ADVANCE_MS = 400
"""Several processes may hold vchannels of one gate: one of them ticks it."""
TICK_TIMEOUT = 5.0

log = structlog.get_logger(__name__)


class Ticker:
    """A thread per process and a short one per target, one trip to Redis and one call per channel each time: a target
    that does not answer keeps no other one waiting.

    `others` are pchannels of a target that have no gate here and are this process' to keep alive: none, or, for the
    leader, all that the target has.
    """

    def __init__(
        self, gates: Gates, targets: Callable[[], Iterable[Target]], others: Callable[[Target], Iterable[str]]
    ) -> None:
        self._gates = gates
        self._targets = targets
        self._others = others
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)
        self._beats: dict[str, threading.Thread] = {}
        self._number = 0

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look now: a target has recovered."""
        self._woken.set()

    def close(self) -> None:
        self._stop.set()
        self._woken.set()
        for thread in (self._thread, *self._beats.values()):
            thread.join(10.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._woken.wait(IDLE_SECONDS)
            self._woken.clear()
            self._number += 1
            for target in self._targets():
                beats = QUIET_BEATS if target.quiet else 1
                if target.recovered.is_set() or self._number % beats == 0:
                    self._begin(target, LEAST_ADVANCE_MS * beats)

    def _begin(self, target: Target, least_advance: int) -> None:
        """Unless the last time is not over."""
        last = self._beats.get(target.identity)
        if last is None or not last.is_alive():
            name, args = f"ticks-{target.identity}", (target, least_advance)
            beat = threading.Thread(target=self._beat, args=args, name=name, daemon=True)
            self._beats[target.identity] = beat
            beat.start()

    def _beat(self, target: Target, least_advance: int) -> None:
        try:
            self._tick(target, least_advance)
        except (redis.RedisError, CdcError) as error:
            log.warning("ticks_failed", target=target.identity, error=str(error))
        except Exception:
            log.exception("ticker_failed", target=target.identity)

    def _tick(self, target: Target, least_advance: int) -> None:
        recovered = target.recovered.is_set()
        gates = [gate for gate in target.gates if not gate.empty]
        served = {gate.pchannel for gate in gates}
        others = sorted({*self._others(target), *(target.catalog.pchannels() if recovered else ())} - served)
        asked = [gate.idle_request(least_advance) for gate in gates]
        requests = [request for request, _ in asked]
        requests += [Request(target.identity, pchannel, (), LEAST_ADVANCE_MS * 2) for pchannel in others]
        outcomes: Sequence[Round] = ()
        try:
            outcomes = self._gates.rounds(requests)
        finally:
            for (_, take), outcome in zip_longest(asked, outcomes[: len(asked)]):
                take(outcome)  # the gate sends its tick
        due = {
            request.pchannel: outcome.last
            for number, (request, outcome) in enumerate(zip(requests, outcomes, strict=True))
            if outcome.last and (recovered or (outcome.tick and number >= len(asked)))
        }
        self._send(target, due)

    def _send(self, target: Target, ticks: Mapping[str, Tso]) -> None:
        """A tick that was granted and does not arrive is covered by the next one; a lower one does no harm."""
        failed = target.transport.tick_all(ticks, TICK_TIMEOUT) if ticks else {}
        if failed:
            target.recovered.set()  # until it has taken a tick on every channel
        elif target.recovered.is_set():
            target.outages += 1
            target.recovered.clear()
        for pchannel, error in failed.items():
            log.warning("tick_failed", target=target.identity, pchannel=pchannel, error=str(error))
