"""Ticks of several targets in one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import pairwise

import pytest

from cdc_core.clock import ManualClock
from cdc_core.coordination.gates import Gates, Request, Round
from cdc_core.coordination.leases import Claim
from cdc_core.coordination.workers import Workers
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.lease import Lease
from cdc_core.pipeline.member import Member
from cdc_core.pipeline.target import QUIET_SECONDS, Target
from cdc_core.pipeline.ticker import LEAST_ADVANCE_MS, QUIET_BEATS, Ticker
from cdc_core.pipeline.transport import Replicated
from cdc_core.sink.memory import MemoryTarget
from cdc_core.source.window import Mark
from tests.contract.guarded import until
from tests.contract.state import State

pytestmark = pytest.mark.contract

NOW = Tso.of(1_700_000_000_000)
PCHANNEL = "target-rootcoord-dml_0"
PATIENCE = 30.0


class Silent(MemoryTarget):
    """A host that hangs: a call has no answer until it is let go."""

    def __init__(self) -> None:
        super().__init__(pchannels=1)
        self.asked = threading.Event()
        self.let_go = threading.Event()

    def tick_all(self, ticks: Mapping[str, Tso], timeout: float) -> Mapping[str, Exception]:
        self.asked.set()
        self.let_go.wait(PATIENCE)
        return super().tick_all(ticks, timeout)


class Heard(MemoryTarget):
    """Says when it was ticked."""

    def __init__(self) -> None:
        super().__init__(pchannels=1)
        self.ticked = threading.Semaphore(0)

    def tick_all(self, ticks: Mapping[str, Tso], timeout: float) -> Mapping[str, Exception]:
        self.ticked.release()
        return super().tick_all(ticks, timeout)


@pytest.fixture
def silent() -> Iterator[Silent]:
    target = Silent()
    yield target
    target.let_go.set()


def test_a_target_is_quiet_when_no_rows_have_gone_there_for_a_while(state: State) -> None:
    clock = ManualClock()
    gates = Gates(state.client, state.keys, "worker")
    sink = MemoryTarget(pchannels=1)
    with closing(Target("heard", Replicated(sink), sink, gates, lambda: None, 0.3, clock)) as target:
        assert target.quiet, "nobody has come"
        target.gate(PCHANNEL)
        assert not target.quiet
        clock.advance(QUIET_SECONDS + 1)
        assert target.quiet


def test_a_quiet_target_ticks_less_often(state: State) -> None:
    """In one ticker with a busy one, beside a source that comes as much further from beat to beat as a tick has to
    gain: the quiet one is asked about and ticked at every second beat only, and each tick of it gains twice as much.
    """
    least: dict[str, int | None] = {}
    source_at = NOW

    class Noted(Gates):
        def rounds(self, requests: Sequence[Request]) -> list[Round]:
            least.update((request.target, request.least_advance) for request in requests)
            return super().rounds(requests)

    def beat() -> list[Target]:
        nonlocal source_at
        source_at = Tso.of(source_at.ms + LEAST_ADVANCE_MS)
        return targets

    def gains(name: str) -> list[int]:
        return [after.ms - before.ms for before, after in pairwise(sinks[name].ticks(PCHANNEL))]

    gates = Noted(state.client, state.keys, "worker")
    clocks = {"quiet": ManualClock(), "busy": ManualClock()}
    sinks = {name: MemoryTarget(pchannels=1) for name in clocks}
    targets = [
        Target(name, Replicated(sinks[name]), sinks[name], gates, lambda: None, 0.3, clock)
        for name, clock in clocks.items()
    ]
    ticker = Ticker(gates, beat, lambda _target: ())
    try:
        for number, target in enumerate(targets):
            _enter(target, state.claimed(state.vchannel(number), "worker"), lambda: source_at)
        clocks["quiet"].advance(QUIET_SECONDS + 1)
        ticker.start()
        until(lambda: LEAST_ADVANCE_MS in gains("busy") and len(gains("quiet")) > 1)
        assert min(gains("quiet")) >= LEAST_ADVANCE_MS * QUIET_BEATS
        assert least == {"busy": LEAST_ADVANCE_MS, "quiet": LEAST_ADVANCE_MS * QUIET_BEATS}
    finally:
        ticker.close()
        for target in targets:
            target.close()


def _enter(target: Target, claim: Claim, source_at: Callable[[], Tso]) -> None:
    """An idle vchannel, which is always as far as its source."""

    def idle() -> Mark:
        return Mark(source_at(), Position("p", b"", source_at()))

    clock = ManualClock()
    lease = Lease(claim, clock, clock.monotonic())
    target.gate(PCHANNEL).enter(Member(lease, "p", NOW, idle, lambda _: None, lambda: None))


def test_a_target_that_hangs_silences_no_other(state: State, silent: Silent) -> None:
    """It is the first in turn, and the other one's channel is ticked all the same, again and again."""
    heard = Heard()
    gates = Gates(state.client, state.keys, "worker")
    targets = [
        Target(name, Replicated(each), each, gates, lambda: None, 0.3)
        for name, each in {"silent": silent, "heard": heard}.items()
    ]
    Workers(state.client, state.keys).report_source_clock(NOW, 0.0)
    ticker = Ticker(gates, lambda: targets, lambda _target: [PCHANNEL])
    try:
        ticker.start()
        assert silent.asked.wait(PATIENCE)
        for _ in range(3):
            assert heard.ticked.acquire(timeout=PATIENCE)
        assert not silent.let_go.is_set()
    finally:
        silent.let_go.set()
        ticker.close()
        for target in targets:
            target.close()
