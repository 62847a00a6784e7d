"""Nothing lost, nothing twice, in order: whole engines over memory queues and targets, with a real Redis.

What does this test do? It writes random rows into a source and lets several worker processes (engines in this one)
replicate them, while they are killed at random calls, their Redis answers get lost, the target fails in every way it
knows, and tasks are paused and resumed. At the end the target must hold what the source holds, nothing may have broken
a rule of the target (`MemoryTarget.violations`), and the history of everything sent must keep the invariants.
How does it accomplish this? A killed process is an engine whose every call to the outside fails for ever, from a random
call on; a lease that ran out is one whose deadline is put into the past. Everything random comes from the seed.

`SOAK_SEEDS=500` runs that many seeds instead of the few.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from cdc_core.codec import merge
from cdc_core.coordination import scripts
from cdc_core.model.position import Position
from cdc_core.model.task import Desired, OnUndecodable
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline import gate, replicator
from cdc_core.sink.memory import Fault, MemoryTarget
from deploy.local import Redis
from tests.contract.cluster import Cluster
from tests.contract.recorder import Event, Seen, Sent, Ticked, broken
from tests.contract.source_of_rows import RowSource

pytestmark = pytest.mark.contract

SEEDS = range(int(os.environ.get("SOAK_SEEDS", "3")))
WINDOWS = 60


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few rows make many batches, and some messages are large."""
    monkeypatch.setattr(merge, "SMALL_BYTES", 900)
    monkeypatch.setattr(merge, "MERGED_BYTES", 3_000)
    monkeypatch.setattr(replicator, "BATCH_BYTES", 6_000)
    monkeypatch.setattr(gate, "ROUND_BYTES", 9_000)


class Run:
    """One seed."""

    def __init__(self, url: str, seed: int, on_undecodable: OnUndecodable = OnUndecodable.STOP) -> None:
        self.rng = random.Random(seed)
        start = Tso.of(int(time.time() * 1000))
        self.source = RowSource(self.rng, start)
        self.target = MemoryTarget(pchannels=2)
        self.cluster = Cluster(url, self.source, self.target, self.rng)
        self.source.quiet()
        self.tails = {p: Position(p, self.source.queue.tail(p), self.source.tick) for p in self.source.pchannels}
        for name in self.source.collections:
            self.cluster.create(f"task-{name}", name, self.tails, on_undecodable=on_undecodable)

    def disturb(self) -> None:
        """Rows and troubles."""
        for _ in range(2):
            self.cluster.add_worker()
        for _ in range(WINDOWS):
            self.source.window(self.rng.randrange(8))
            self.cluster.step(self.source.tick)
            self._trouble()
            time.sleep(self.rng.choice([0.0, 0.0, 0.005, 0.03]))  # the pace of the source, not a wait

    def calm_down(self) -> None:
        """Everybody runs, nothing fails, the dead are buried; until the target has everything."""
        self.target.faults.clear()
        for task in self.cluster.tasks.all():
            self.cluster.tasks.set_desired(task.id, Desired.RUNNING)
        self.cluster.calm_down()
        self.source.tell_late_drops()
        self.until_equal()
        self.cluster.step(self.source.tick)

    def until_equal(self) -> None:
        self.source.quiet()
        self.until(self._is_equal, "the target does not become equal")

    def check(self) -> None:
        stopped = {state.key.name: state.stopped for state in self.cluster.states() if state.stopped}
        assert not stopped
        assert broken(self.cluster.recorder.history) == []
        assert self.target.violations == []
        self.cluster.close()
        assert self.cluster.holds() == {}
        for name in self.source.collections:
            assert self.on_target(name) == self.source.rows(name)

    def on_target(self, name: str) -> Counter[tuple[object, float]]:
        """Rows of partitions that exist; a standby does not answer others."""
        made = self.target.describe("default", name)
        if made is None:
            return Counter()
        rows = self.target.stored("default", name).rows
        there = set(made.partitions.values())
        return Counter((row.key, row.row["v"][0]) for row in rows if row.partition_id in there)  # type: ignore[index]

    def _is_equal(self) -> bool:
        rows_equal = all(self.on_target(name) == self.source.rows(name) for name in self.source.collections)
        return rows_equal and self.cluster.all_live

    def until(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"{complaint}: {self._report()}")
            self.source.quiet()
            self.cluster.step(self.source.tick)
            time.sleep(0.01)

    def _report(self) -> str:
        lines = [f"violations {self.target.violations}", f"broken {broken(self.cluster.recorder.history)}"]
        for name in self.source.collections:
            there, wanted = self.on_target(name), self.source.rows(name)
            lines.append(f"{name}: missing {wanted - there}, too much {there - wanted}")
        lines += [f"{state.key.member}: {dict(state.fields) | {'plan': '...'}}" for state in self.cluster.states()]
        lines.append(f"holds {self.cluster.holds()}")
        lines += [f"{worker.id}: {worker.outcomes[-8:]}" for worker in self.cluster.workers]
        return "\n".join(lines)

    def _trouble(self) -> None:
        rng, alive = self.rng, [each for each in self.cluster.workers if not each.life.over]
        task = f"task-{rng.choice(list(self.source.collections))}"
        if rng.random() < 0.10 and alive:
            rng.choice(alive).life.burn(rng.randrange(1, 40))
        if rng.random() < 0.10:
            for worker in alive:
                worker.life.lost_answers = rng.choice([0.0, 0.0, 0.05])
        if rng.random() < 0.15:
            self.target.faults.extend(rng.choices([Fault.UNAVAILABLE, Fault.AMBIGUOUS, Fault.PARTIAL], k=2))
        if rng.random() < 0.08:
            self.cluster.tasks.set_desired(task, rng.choice([Desired.PAUSED, Desired.RUNNING, Desired.RUNNING]))
        if rng.random() < 0.05 and alive:
            rng.choice(alive).stopping = True
        if len([each for each in alive if not each.stopping]) < 2:
            self.cluster.add_worker()
        source = self.source
        for chance, do in (
            (0.06, source.add_partition),
            (0.04, source.drop_partition),
            (0.06, source.recreate_partition),
        ):
            if rng.random() < chance:
                do(rng.choice(list(source.collections)))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_row_exactly_once_through_any_trouble(redis_server: Redis, seed: int) -> None:
    run = Run(redis_server.url(7), seed)
    try:
        run.disturb()
        run.calm_down()
        run.check()
    finally:
        run.cluster.abandon()


def test_a_partition_may_be_made_again_before_its_drop_is_told(redis_server: Redis) -> None:
    """Given rows of a partition that was made again under its name, when the older one's drop stands behind them in
    the queue, as a Milvus in trouble writes it, then nobody waits for what is never read, and only new rows are there.
    """
    run = Run(redis_server.url(7), 1)
    source, names = run.source, list(run.source.collections)
    source.late_drops = 0.0
    try:
        run.cluster.add_worker()
        for name in names:
            source.add_partition(name)
        for _ in range(5):
            source.window(8)
        run.until_equal()
        for name in names:
            source.recreate_partition(name)
        for _ in range(5):
            source.window(8)
        run.until_equal()
        assert all(len(run.on_target(name)) > 0 for name in names)
        source.tell_late_drops()
        run.calm_down()
        run.check()
    finally:
        run.cluster.abandon()


WRONG = {
    "I2: the hold is raised before the record": (
        "redis.call('HSET', channel, 'inflight', intent, 'base', '', 'last', later(last, largest), 'gate', gate)",
        "redis.call('HSET', channel, 'inflight', intent, 'base', '', 'gate', gate) put('s:' .. member, largest)",
    ),
    "I3: a tick above the holds": ("tick = ts_floor(bound)", "tick = ts_plus(ts_floor(bound), 300 * LOGICAL)"),
    "no room of its own from behind": (
        "local base = ts_plus(line, 1)",
        "local base = ts_text(ts_parts(line) - 999, 1)",
    ),
}


@pytest.mark.parametrize("rule", WRONG)
def test_a_protocol_without_one_of_its_rules_is_found_out(
    redis_server: Redis, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the test above is known to be able to fail: each wrong script breaks something within a few seeds."""
    right, wrong = WRONG[rule]
    text = scripts.text("round")
    assert text.count(right) == 1
    monkeypatch.setattr(scripts, "text", lambda name: text.replace(right, wrong) if name == "round" else original(name))
    for seed in range(5):
        run = Run(redis_server.url(7), seed)
        try:
            run.disturb()
            if broken(run.cluster.recorder.history) or run.target.violations:
                return
        finally:
            run.cluster.abandon()
    pytest.fail("nobody noticed")


original = scripts.text


def test_broken_histories_are_told_from_sound_ones() -> None:
    """The checker of the history has teeth."""
    at, line = Tso.of(1_000_010), Tso.of(1_000_000)
    sound = Sent("g", "m", 1, (at, Tso(at + 1)), b"x", line.text, "{}")
    tick = Ticked("g", line, line.text, {"s:m": line.text})
    history: list[Event] = [Seen("c", line.text), sound, sound, tick, Seen("c", at.text), Seen("c", at.text)]
    assert broken(history) == []
    wrong: dict[str, list[Event]] = {
        "I1 1 of m at g: sent at": [replace(sound, hold=at.text)],
        "under the hold none": [replace(sound, hold="")],
        "without an intent": [replace(sound, intent="")],
        "with other bytes": [sound, replace(sound, payload=b"y")],
        "I6 1 of m": [replace(sound, stamps=(at, Tso.of(1_000_051)))],
        "above the hold": [replace(tick, tick=Tso.of(1_000_050), granted=Tso.of(1_000_050).text)],
        "above the granted one": [replace(tick, granted="")],
        "off the grid": [replace(tick, tick=Tso(line - 1))],
        "I5 c went back": [Seen("c", at.text), Seen("c", line.text)],
    }
    for complaint, events in wrong.items():
        assert [complaint in text for text in broken(events)] == [True], complaint
