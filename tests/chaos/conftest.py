"""Of every chaos test: its random numbers, its workload, and the look at what came to the target."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.chaos.extent import FULL
from tests.replication import Replication
from tests.workload import Workload

SEED = int(os.environ.get("CDC_TEST_SEED", "1"))

collect_ignore = [] if FULL else ["test_target_at_length.py"]


@pytest.fixture(autouse=True)
def _invariants(request: pytest.FixtureRequest) -> Iterator[None]:
    """After everything else of the test: what its tasks sent breaks no invariant."""
    replication: Replication | None = None
    if "replication" in request.fixturenames:
        replication = request.getfixturevalue("replication")
    yield
    if replication is not None:
        replication.keeps_the_invariants()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Another sequence for each test."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def work(replication: Replication, rng: random.Random) -> Iterator[Workload]:
    with Workload(replication.stack.source.uri, seed=rng.randrange(10_000), collections=6) as work:
        yield work
    replication.gone(work.names)
