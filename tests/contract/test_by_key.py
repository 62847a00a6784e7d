"""Rows by key through any trouble: whole engines over a target that knows no ticks, with a real Redis.

What does this test do? What test_exactly_once.py does, on a target that takes rows by their keys: random rows, workers
that are killed at random calls, lost answers of Redis, calls that fail before, in or after being done, pauses,
partitions that come, go and come again. At the end the target must hold the source's last row of each key in each
partition, and nothing else.
How does it accomplish this? The same runs with another target and another measure of what is equal.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from cdc_core.codec import merge
from cdc_core.model.message import Kind
from cdc_core.model.position import Position
from cdc_core.model.task import Desired
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline import gate, replicator
from cdc_core.sink.memory import Fault
from cdc_core.sink.memory_keyed import MemoryKeyedTarget
from deploy.local import Redis
from tests.contract.cluster import Cluster
from tests.contract.source_of_rows import RowSource
from tests.contract.test_exactly_once import WINDOWS

pytestmark = pytest.mark.contract

SEEDS = range(int(os.environ.get("SOAK_SEEDS", "2")))
Held = dict[tuple[str, object], float]
"""(partition, key) -> the value of the row."""


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few rows make many batches, and some messages are large."""
    monkeypatch.setattr(merge, "SMALL_BYTES", 900)
    monkeypatch.setattr(merge, "MERGED_BYTES", 3_000)
    monkeypatch.setattr(replicator, "BATCH_BYTES", 6_000)
    monkeypatch.setattr(gate, "ROUND_BYTES", 9_000)


class Run:
    """One seed."""

    def __init__(self, url: str, seed: int) -> None:
        self.rng = random.Random(seed)
        self.source = RowSource(self.rng, Tso.of(int(time.time() * 1000)))
        self.target = MemoryKeyedTarget()
        self.cluster = Cluster(url, self.source, self.target, self.rng)
        self.source.quiet()
        tails = {p: Position(p, self.source.queue.tail(p), self.source.tick) for p in self.source.pchannels}
        for name in self.source.collections:
            self.cluster.create(f"task-{name}", name, tails)

    def disturb(self) -> None:
        for _ in range(2):
            self.cluster.add_worker()
        for _ in range(WINDOWS):
            self.source.window(self.rng.randrange(8))
            self.cluster.step(self.source.tick)
            self._trouble()
            time.sleep(self.rng.choice([0.0, 0.0, 0.005, 0.03]))  # the pace of the source, not a wait

    def calm_down(self) -> None:
        self.target.faults.clear()
        for task in self.cluster.tasks.all():
            self.cluster.tasks.set_desired(task.id, Desired.RUNNING)
        self.cluster.calm_down()
        self.source.tell_late_drops()
        deadline = time.monotonic() + 30
        while not all(self.held(name) == self.wanted(name) for name in self.source.collections):
            assert time.monotonic() < deadline, self._report()
            self.source.quiet()
            self.cluster.step(self.source.tick)
            time.sleep(0.01)

    def held(self, name: str) -> Held:
        if self.target.describe("default", name) is None:
            return {}
        return {place: row["v"][0] for place, row in self.target.rows("default", name).items()}  # type: ignore[index]

    def wanted(self, name: str) -> Held:
        """The last row of each key in each partition."""
        held: Held = {}
        for change in sorted(self.source.changes, key=lambda each: (each.at, each.kind is not Kind.DELETE)):
            if change.collection != name:
                continue
            if change.kind is Kind.INSERT:
                held[change.partition, change.key] = change.value
            elif change.kind is Kind.DELETE:
                held = {place: value for place, value in held.items() if place[1] != change.key}
            else:
                held = {place: value for place, value in held.items() if place[0] != change.partition}
        return held

    def _trouble(self) -> None:
        rng, alive = self.rng, [each for each in self.cluster.workers if not each.life.over]
        if rng.random() < 0.10 and alive:
            rng.choice(alive).life.burn(rng.randrange(1, 40))
        if rng.random() < 0.10:
            for worker in alive:
                worker.life.lost_answers = rng.choice([0.0, 0.0, 0.05])
        if rng.random() < 0.15:
            self.target.faults.extend(rng.choices([Fault.UNAVAILABLE, Fault.AMBIGUOUS, Fault.PARTIAL], k=2))
        if rng.random() < 0.08:
            task = f"task-{rng.choice(list(self.source.collections))}"
            self.cluster.tasks.set_desired(task, rng.choice([Desired.PAUSED, Desired.RUNNING, Desired.RUNNING]))
        if rng.random() < 0.05 and alive:
            rng.choice(alive).stopping = True
        if len([each for each in alive if not each.stopping]) < 2:
            self.cluster.add_worker()
        for chance, do in (
            (0.06, self.source.add_partition),
            (0.04, self.source.drop_partition),
            (0.06, self.source.recreate_partition),
        ):
            if rng.random() < chance:
                do(rng.choice(list(self.source.collections)))

    def _report(self) -> str:
        lines = []
        for name in self.source.collections:
            held, wanted = self.held(name), self.wanted(name)
            lines.append(f"{name}: missing {wanted.items() - held.items()}, too much {held.items() - wanted.items()}")
        lines += [f"{state.key.member}: {dict(state.fields) | {'plan': '...'}}" for state in self.cluster.states()]
        lines += [f"{worker.id}: {worker.outcomes[-8:]}" for worker in self.cluster.workers]
        return "\n".join(lines)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_row_of_each_key_through_any_trouble(redis_server: Redis, seed: int) -> None:
    run = Run(redis_server.url(7), seed)
    try:
        run.disturb()
        run.calm_down()
        assert sum(len(run.held(name)) for name in run.source.collections) > 0
        assert not [state for state in run.cluster.states() if state.stopped]
        run.cluster.close()
        assert run.cluster.holds() == {}
    finally:
        run.cluster.abandon()
