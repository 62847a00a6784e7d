"""Ticks of several targets in one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import pytest

from cdc_core.clock import ManualClock
from cdc_core.coordination.gates import Gates, Request, Round
from cdc_core.coordination.workers import Workers
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.lease import Lease
from cdc_core.pipeline.member import Member
from cdc_core.pipeline.target import QUIET_SECONDS, Target
from cdc_core.pipeline.ticker import LEAST_ADVANCE_MS, QUIET_BEATS, Ticker
from cdc_core.pipeline.transport import Replicated
from cdc_core.sink.memory import MemoryTarget
from tests.contract.state import State

pytestmark = pytest.mark.contract

NOW = Tso.of(1_700_000_000_000)
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
    target = Target("heard", Replicated(Heard()), MemoryTarget(pchannels=1), gates, lambda: None, 0.3, clock)
    assert target.quiet, "nobody has come"
    target.gate("target-dml_0")
    assert not target.quiet
    clock.advance(QUIET_SECONDS + 1)
    assert target.quiet
    target.close()


def test_a_quiet_target_ticks_less_often(state: State) -> None:
    """In one ticker with a busy one: every tick has to gain twice as much, so as much is missing."""
    least: dict[str, int | None] = {}

    class Noted(Gates):
        def rounds(self, requests: Sequence[Request]) -> list[Round]:
            least.update((request.target, request.least_advance) for request in requests)
            return super().rounds(requests)

    gates = Noted(state.client, state.keys, "worker")
    clocks = {"quiet": ManualClock(), "busy": ManualClock()}
    targets = [
        Target(name, Replicated(each := Heard()), each, gates, lambda: None, 0.3, clock)
        for name, clock in clocks.items()
    ]
    for number, target in enumerate(targets):
        claim = state.claimed(state.vchannel(number), "worker")
        member = Member(Lease(claim, ManualClock(), 0.0), "p", NOW, lambda: None, lambda _: None, lambda: None)
        target.gate("target-dml_0").enter(member)
    clocks["quiet"].advance(QUIET_SECONDS + 1)
    ticker = Ticker(gates, lambda: targets, lambda _target: ())
    ticker.start()
    deadline = time.monotonic() + PATIENCE
    while len(least) < len(targets):
        assert time.monotonic() < deadline, "nobody ticks"
        time.sleep(0.01)
    ticker.close()
    assert least == {"busy": LEAST_ADVANCE_MS, "quiet": LEAST_ADVANCE_MS * QUIET_BEATS}


def test_a_target_that_hangs_silences_no_other(state: State, silent: Silent) -> None:
    """It is the first in turn, and the other one's channel is ticked all the same, again and again."""
    heard = Heard()
    gates = Gates(state.client, state.keys, "worker")
    targets = [
        Target(name, Replicated(each), each, gates, lambda: None, 0.3)
        for name, each in {"silent": silent, "heard": heard}.items()
    ]
    Workers(state.client, state.keys).report_source_clock(NOW, 0.0)
    ticker = Ticker(gates, lambda: targets, lambda _target: ["target-dml_0"])
    ticker.start()
    assert silent.asked.wait(PATIENCE)
    for _ in range(3):
        assert heard.ticked.acquire(timeout=PATIENCE)
    assert not silent.let_go.is_set()
    silent.let_go.set()
    ticker.close()
