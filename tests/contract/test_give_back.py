"""A worker that gives a channel back, or must not, with a real Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import pytest

from cdc_core.clock import SystemClock
from cdc_core.coordination.leases import SAFETY_SECONDS, UNCLEAR_SECONDS, ChannelKey, Order
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import TaskStore
from cdc_core.errors import Refused, TargetUnavailable, TaskStopped
from cdc_core.model.connect import Connect
from cdc_core.model.task import Desired
from cdc_core.pipeline import replicator
from cdc_core.pipeline.engine import Engine
from cdc_core.pipeline.transport import Transport
from cdc_core.sink.base import TargetCatalog
from cdc_core.sink.memory import Fault
from cdc_core.source.memory import MemoryQueue
from cdc_core.source.memory_catalog import MemoryCatalog
from deploy.local import Redis
from tests.contract.countdown import check_left
from tests.contract.state import State
from tests.contract.turmoil import OnStandby

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
    engine = _engine(state, _away)
    assert engine.run(key.task, key.name, "t", lambda: stopping) == outcome
    check_left(state.claimed(key, "next").unclear, UNCLEAR_SECONDS - SAFETY_SECONDS, began)


@pytest.mark.parametrize("error", [TargetUnavailable("away"), Refused("no"), TaskStopped("credentials")])
def test_a_lease_that_is_over_is_not_given_back_whatever_else_has_happened(state: State, error: Exception) -> None:
    """A call may be under way: whoever comes next has to wait for as long as one of a killed process could live on."""
    state.create("made")
    key = state.vchannel(task="made", ticket="t")

    def over(_connect: Connect) -> NoReturn:
        engine.running[key].tell(Order.LOST)
        raise error

    engine = _engine(state, over)
    assert engine.run(key.task, key.name, "t", lambda: False) == "lost"
    assert state.fields(key)["owner"] == "heir"


def test_a_lease_that_ends_while_a_clean_stop_waits_for_its_call_is_not_given_back(
    redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a call that hangs and a stop, when the lease ends first, then its heir knows that the call may live on."""
    run = OnStandby(redis_server.url(7), 2)
    try:
        worker = run.cluster.add_worker()
        run.source.window(8)
        run.until_equal()
        hangs, let, send = threading.Event(), threading.Event(), run.target.send

        def hang(pchannel: str, messages: Any, **more: Any) -> None:
            if messages:
                hangs.set()
                let.wait(20)
            send(pchannel, messages, **more)

        monkeypatch.setattr(run.target, "send", hang)
        while not hangs.is_set():
            run.source.window(8)
            hangs.wait(0.1)
        (state,) = [each for each in run.cluster.states() if run.cluster.channels.intent(each.key)][:1]
        lease = worker.engine.running[state.key]
        lease.tell(Order.YIELD)
        threading.Event().wait(0.3)  # so that it waits for its call
        lease.tell(Order.LOST)
        run.until(lambda: state.key not in worker.engine.running, "it does not end")
        let.set()
        assert "lost" in worker.outcomes
        (after,) = run.cluster.channels.read([state.key])
        assert after.owner == worker.id
    finally:
        let.set()
        run.cluster.abandon()


@pytest.mark.usefixtures("small_limits")
def test_a_batch_of_an_unclear_call_is_not_given_up_with_the_one_behind_it(
    redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a batch whose call timed out, and rows behind it that are too large, when the task is paused, then the
    batch keeps its record and its hold, and whoever comes next settles it: its rows would land behind ticks."""
    run = OnStandby(redis_server.url(7), 4)
    cluster, task = run.cluster, "task-c0"
    key = ChannelKey(task, run.source.collections["c0"].vchannels[0].name)
    too_large, refused = threading.Event(), threading.Event()

    def refuse(_messages: object) -> None:
        if too_large.is_set() and threading.current_thread().name.endswith(key.name):
            refused.set()
            raise Refused("too large")

    monkeypatch.setattr(replicator, "refuse_oversize", refuse)
    try:
        cluster.add_worker()
        run.source.window(8)
        run.until_equal()
        cluster.tasks.set_desired("task-c1", Desired.PAUSED)
        run.until(
            lambda: not any(each.owner for each in cluster.channels.of_task("task-c1")), "the other does not rest"
        )
        run.target.faults.extend([Fault.AMBIGUOUS] * 4 + [Fault.UNAVAILABLE] * 100_000)
        run.source.window(30)
        run.source.quiet()
        run.until(lambda: cluster.channels.intent(key), "nothing is in flight")
        too_large.set()
        while not refused.is_set():
            run.source.window(8)
            refused.wait(0.1)
        cluster.tasks.set_desired(task, Desired.PAUSED)
        run.until(lambda: "stopped" in _record(run, key), "it does not stop")
        assert "unsettled" not in _record(run, key)
        assert any(hold.endswith(key.member) for hold in cluster.holds())
        too_large.clear()
        run.target.faults.clear()
        run.until(lambda: "inflight" not in _record(run, key), "nobody settles it")
        run.calm_down()
        run.check()
    finally:
        run.cluster.abandon()


def _record(run: OnStandby, key: ChannelKey) -> Mapping[str, str]:
    (state,) = run.cluster.channels.read([key])
    return state.fields


def _engine(state: State, open_target: Callable[[Connect], tuple[Transport, TargetCatalog]]) -> Engine:
    return Engine(
        "heir",
        state.client,
        state.keys,
        tasks=TaskStore(state.client, state.keys, Secrets(None)),
        clock=SystemClock(),
        open_queue=MemoryQueue,
        open_catalog=MemoryCatalog,
        open_target=open_target,
        channel_prefix="by-dev",
        default_partition="_default",
        keepalive=True,
        unclear_seconds=UNCLEAR_SECONDS,
    )
