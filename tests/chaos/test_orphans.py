"""What a killed worker leaves behind when nobody wants its task any more."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from cdc_core.coordination.channels import ChannelState, ChannelStore
from cdc_core.coordination.gates import Gates
from cdc_core.model.timestamp import ZERO, Tso
from cdc_core.names import CATALOG, Keys
from tests.chaos.ratchet import Ratchet
from tests.chaos.wire import Mode
from tests.chaos.wired_worker import WiredWorker
from tests.replication import QUEUES, OwnDatabase, Replication, await_that
from tests.workload import Shape, make_collection, rows

pytestmark = [pytest.mark.chaos, pytest.mark.parametrize("replication", QUEUES, indirect=True)]


@pytest.fixture
def holder() -> Iterator[list[WiredWorker]]:
    """Who is filled in by the test, and mended after it."""
    holders: list[WiredWorker] = []
    yield holders
    for worker in holders:
        worker.target.turn(Mode.PASS)
        worker.start().wait_ready()


@pytest.mark.parametrize("then", ["pause", pytest.param("delete", marks=pytest.mark.thorough)])
def test_a_batch_in_flight_of_a_task_that_is_not_to_run_any_more_is_settled(
    replication: Replication,
    wired: list[WiredWorker],
    holder: list[WiredWorker],
    own: OwnDatabase,
    rng: random.Random,
    then: str,
) -> None:
    """What does this test do? A worker is killed with a batch under way, then its task is paused or deleted.

    How? Its way to the target swallows, so that the batch is recorded and never acknowledged. Another worker settles
    it: record and hold go, and the ticks of its channel, for which every other task there waits, pass its rows.
    """
    make_collection(own.source, "c", Shape())
    task = own.task({"name": "c"})
    own.source.insert("c", list(rows(10)))
    own.equal("c")
    store, gates = ChannelStore(replication.state, Keys()), Gates(replication.state, Keys(), "a test")

    def channel() -> ChannelState:
        (found,) = (state for state in store.of_task(task) if state.key.name != CATALOG)
        return found

    (killed,) = (worker for worker in wired if worker.id == channel().owner)
    holder.append(killed)
    with Ratchet(replication.state):
        killed.target.turn(Mode.SWALLOW)
        own.source.insert("c", list(rows(rng.randrange(5, 50), 10)))
        await_that(lambda: "inflight" in channel().fields, "a batch is under way")
        killed.kill()
        left = channel()
        getattr(replication.api, then)(task)
        if then == "delete":
            await_that(lambda: not store.of_task(task), "it is settled and forgotten")
        else:
            await_that(lambda: not channel().unsettled and not channel().owner, "it is settled and released")
        plan, last = left.plan, Tso.parse(left.fields["last"])
        assert plan
        await_that(
            lambda: (gates.tick(plan.target, plan.target_vchannel.pchannel) or ZERO) >= last, "ticks pass its rows"
        )
    if then == "delete":
        own.task({"name": "c"})  # nobody else would drop it on the target
    else:
        replication.api.resume(task)
    own.equal("c")
