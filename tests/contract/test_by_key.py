"""Rows by key through any trouble: whole engines over a target that knows no ticks, with a real Redis.

What does this test do? What test_exactly_once.py does, on a target that takes rows by their keys: random rows, workers
that are killed at random calls, lost answers of Redis, calls that fail before, in or after being done, pauses,
partitions that come, go and come again. At the end the target must hold the source's last row of each key in each
partition, and nothing else.
How does it accomplish this? The same runs with another target and another measure of what is equal.
"""

from __future__ import annotations

import os

import pytest

from cdc_core.model.message import Kind
from cdc_core.sink.memory_keyed import MemoryKeyedTarget
from deploy.local import Redis
from tests.contract.turmoil import Turmoil

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("small_limits")]

SEEDS = range(int(os.environ.get("SOAK_SEEDS", "2")))
Held = dict[tuple[str, object], float]
"""(partition, key) -> the value of the row."""


class OnKeys(Turmoil):
    """Its target takes rows by their keys: the last row of each key in each partition."""

    def __init__(self, url: str, seed: int) -> None:
        self.target = MemoryKeyedTarget()
        super().__init__(url, seed, self.target)

    def is_equal(self) -> bool:
        return all(self.held(name) == self.wanted(name) for name in self.source.collections)

    def differences(self) -> list[str]:
        lines = []
        for name in self.source.collections:
            held, wanted = self.held(name), self.wanted(name)
            lines.append(f"{name}: missing {wanted.items() - held.items()}, too much {held.items() - wanted.items()}")
        return lines

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


@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_row_of_each_key_through_any_trouble(redis_server: Redis, seed: int) -> None:
    run = OnKeys(redis_server.url(7), seed)
    try:
        run.disturb()
        run.calm_down()
        assert sum(len(run.held(name)) for name in run.source.collections) > 0
        run.end()
    finally:
        run.cluster.abandon()
