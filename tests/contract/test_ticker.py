"""Ticks of several targets in one process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

import pytest

from cdc_core.coordination.gates import Gates
from cdc_core.coordination.workers import Workers
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.target import Target
from cdc_core.pipeline.ticker import Ticker
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
