"""What the chaos tests share: chance, load, workers whose wires can be cut, the look at what came to the target, and
which tests run.

`CDC_TEST_CHAOS=full` also runs those that are marked `thorough`; without it they are not collected.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.chaos.extent import FULL
from tests.chaos.wired_worker import WiredWorker
from tests.replication import Replication
from tests.workload import Workload

SEED = int(os.environ.get("CDC_TEST_SEED", "1"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if FULL or not item.get_closest_marker("thorough")]


@pytest.fixture(autouse=True)
def _invariants(request: pytest.FixtureRequest) -> Iterator[None]:
    """After everything else of the test: what its tasks sent breaks no invariant."""
    replication: Replication | None = None
    if "replication" in request.fixturenames:
        replication = request.getfixturevalue("replication")
        replication.revive()
    yield
    if replication is not None:
        replication.keeps_the_invariants()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Another sequence for each test."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def work(replication: Replication, rng: random.Random) -> Iterator[Workload]:
    """On the source; not begun."""
    with Workload(replication.stack.source.uri, seed=rng.randrange(10_000), collections=6) as work:
        yield work
    replication.gone(work.names)


@pytest.fixture(scope="module")
def wired(replication: Replication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[WiredWorker]]:
    """Two workers in the place of the others, each with wires of its own."""
    for worker in replication.system.workers:
        worker.terminate()
    directory, environment = tmp_path_factory.mktemp("wired"), replication.system.environment
    with ExitStack() as running:
        yield [
            running.enter_context(WiredWorker(f"wired-{number}", directory / f"wired-{number}", environment, SEED))
            for number in range(2)
        ]
    replication.system.start()
