"""A standby whose flag somebody has flipped, under load; only with CDC_TEST_CHAOS=full."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from deploy.local import Milvus
from tests.chaos.front import Mode, Trouble
from tests.replication import Replication, await_that
from tests.workload import Workload

pytestmark = [pytest.mark.chaos, pytest.mark.thorough]


def test_a_standby_that_is_started_as_an_ordinary_milvus(replication: Replication, work: Workload) -> None:
    """What does this test do? The standby comes back with `common.ttMsgEnabled: true`, under load: the task is Paused
    with a reason that says what to do, and nothing is written. That done, and resumed, both sides are equal.

    How? The real server, stopped with rows on their way and started with the other `milvus.yaml`, and then with its
    own again; the front's log has its answers.
    """
    work.start()
    with replication.front.trouble(Trouble(Mode.PASS, rows=True)):
        replication.front.await_trouble(50)
    stopped_at = restart(replication.stack.target, standby=False)
    await_that(lambda: replication.api.get(replication.task)["state"] == "Paused", "the task is paused")
    assert "set common.ttMsgEnabled to false" in replication.reason(replication.task)
    replication.at_rest(replication.task)
    calls = [call for call in replication.front.calls() if call.arrived > stopped_at and call.ended]
    assert any(call.has_rows and call.answer.startswith("1900") for call in calls)
    assert all(call.answer for call in calls), "it takes nothing"
    restart(replication.stack.target, standby=True)
    replication.api.resume(replication.task)
    work.stop()
    replication.equal(work.names)
    replication.running()
    await_that(lambda: not replication.reason(replication.task), "the reason is gone")


def restart(server: Milvus, *, standby: bool) -> float:
    """With that in its configuration; answers when it had stopped."""
    server.stop()
    stopped_at = time.monotonic()
    server.options = replace(server.options, standby=standby)
    server.start().wait_ready()
    return stopped_at
