"""A worker that gives a channel back before it has done anything for it, with a real Redis."""

from __future__ import annotations

import time
from typing import NoReturn

import pytest

from cdc_core.clock import SystemClock
from cdc_core.coordination.leases import SAFETY_SECONDS, UNCLEAR_SECONDS
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import TaskStore
from cdc_core.errors import TargetUnavailable
from cdc_core.model.connect import Connect
from cdc_core.pipeline.engine import Engine
from cdc_core.source.memory import MemoryQueue
from cdc_core.source.memory_catalog import MemoryCatalog
from tests.contract.countdown import check_left
from tests.contract.state import State

pytestmark = pytest.mark.contract


def _away(_connect: Connect) -> NoReturn:
    raise TargetUnavailable("away")


@pytest.mark.parametrize(("stopping", "outcome"), [(True, "stopping"), (False, "failed")])
def test_a_batch_that_another_one_has_begun_stays_unclear_for_as_long(
    state: State, stopping: bool, outcome: str
) -> None:
    """Whose lease ran out may have called just before: whoever comes after the one who gives up at once waits, too."""
    state.create("made")
    began = time.monotonic()
    deadline = str(state.channels.now())
    key = state.vchannel(task="made", inflight="x", owner="dead", deadline=deadline, ticket="t")
    engine = Engine(
        "heir",
        state.client,
        state.keys,
        tasks=TaskStore(state.client, state.keys, Secrets(None)),
        clock=SystemClock(),
        open_queue=MemoryQueue,
        open_catalog=MemoryCatalog,
        open_target=_away,
        channel_prefix="by-dev",
        default_partition="_default",
        keepalive=True,
        unclear_seconds=UNCLEAR_SECONDS,
    )
    assert engine.run(key.task, key.name, "t", lambda: stopping) == outcome
    check_left(state.claimed(key, "next").unclear, UNCLEAR_SECONDS - SAFETY_SECONDS, began)
