"""Random rows and random troubles: whole engines over a source and a target in memory, with a real Redis."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from cdc_core.codec.protobuf import msg_pb2
from cdc_core.model.position import Position
from cdc_core.model.task import Desired
from cdc_core.model.timestamp import Tso
from cdc_core.sink.memory import Fault, MemoryTarget
from cdc_core.sink.memory_keyed import MemoryKeyedTarget
from tests.contract.cluster import Cluster
from tests.contract.recorder import broken
from tests.contract.source_of_rows import RowSource

WINDOWS = 60
_FAULTS = (Fault.UNAVAILABLE, Fault.AMBIGUOUS, Fault.PARTIAL)


class Turmoil(ABC):
    """One seed: a task for each collection of the source. Who measures what is equal says so in `is_equal`."""

    def __init__(self, url: str, seed: int, target: MemoryTarget | MemoryKeyedTarget, **task: Any) -> None:
        """`task` are more fields of the tasks' specs."""
        self.rng = random.Random(seed)
        self.source = RowSource(self.rng, Tso.of(int(time.time() * 1000)))
        self.cluster = Cluster(url, self.source, target, self.rng)
        self._faults = target.faults
        self.source.quiet()
        self.tails = {p: Position(p, self.source.queue.tail(p), self.source.tick) for p in self.source.pchannels}
        for name in self.source.collections:
            self.cluster.create(f"task-{name}", name, self.tails, **task)

    @abstractmethod
    def is_equal(self) -> bool:
        """Whether the target has what the source has."""

    @abstractmethod
    def differences(self) -> list[str]:
        """For a person."""

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
        self._faults.clear()
        for task in self.cluster.tasks.all():
            self.cluster.tasks.set_desired(task.id, Desired.RUNNING)
        self.cluster.calm_down()
        self.source.tell_late_drops()
        self.until_equal()
        self.cluster.step(self.source.tick)

    def until_equal(self) -> None:
        self.source.quiet()
        self.until(self.is_equal, "the target does not become equal")

    def until(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"{complaint}: {self._report()}")
            self.source.quiet()
            self.cluster.step(self.source.tick)
            time.sleep(0.01)

    def end(self) -> None:
        """Orderly; nothing was stopped, and no hold is left."""
        stopped = {state.key.name: state.stopped for state in self.cluster.states() if state.stopped}
        assert not stopped
        self.cluster.close()
        assert self.cluster.holds() == {}

    def _report(self) -> str:
        lines = self.differences()
        lines += [f"{state.key.member}: {dict(state.fields) | {'plan': '...'}}" for state in self.cluster.states()]
        lines.append(f"holds {self.cluster.holds()}, source at {self.source.tick.text}")
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
            self._faults.extend(rng.choices(_FAULTS, k=2))
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


class OnStandby(Turmoil):
    """Its target is a standby: every row once, and no rule of it broken."""

    def __init__(self, url: str, seed: int, **task: Any) -> None:
        self.target = MemoryTarget(pchannels=1 + seed % 3)  # of three, one is shared by channels of two source topics
        super().__init__(url, seed, self.target, **task)
        self.source.imports = 0.1
        self.source.late_rows = 0.15
        self.source.torn_upserts = 0.15

    def check(self) -> None:
        found = [*broken(self.cluster.recorder.history), *self.target.violations]
        assert not found, self._report()
        self.end()
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

    def is_equal(self) -> bool:
        rows_equal = all(self.on_target(name) == self.source.rows(name) for name in self.source.collections)
        return rows_equal and self.jobs() == self.jobs_to_come() and self.cluster.all_live

    def jobs_to_come(self) -> Counter[int]:
        return self.source.jobs if self.target.runs_imports else Counter()

    def jobs(self) -> Counter[int]:
        """Imports: how often each was told."""
        return Counter(msg_pb2.ImportMsg.FromString(each.payload).jobID for each in self.target.imports)

    def differences(self) -> list[str]:
        lines = [f"violations {self.target.violations}", f"broken {broken(self.cluster.recorder.history)}"]
        lines.append(f"imports: {self.jobs()} of {self.jobs_to_come()}")
        for name in self.source.collections:
            there, wanted = self.on_target(name), self.source.rows(name)
            lines.append(f"{name}: missing {wanted - there}, too much {there - wanted}, right {there & wanted}")
            lines.append(
                f"  {self.target.describe('default', name)}, source's {self.source.collections[name].partitions}"
            )
        return lines
