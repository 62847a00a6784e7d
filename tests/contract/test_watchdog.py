"""A thread that hangs cannot be ended: its process is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cdc_core.coordination.leases import ChannelKey
from cdc_core.names import CATALOG
from deploy.local import Redis
from tests.contract.state import State
from tests.replication import await_that

pytestmark = pytest.mark.contract

LONG = 120.0
"""Seconds; the watchdog waits for 30 (workers/supervisor.py, which wants settings to be imported)."""
KEY = ChannelKey("one", CATALOG)


@pytest.fixture
def state(redis_server: Redis) -> Iterator[State]:
    state = State(redis_server.url(6))
    state.create()
    yield state
    state.close()


@pytest.fixture
def worker(state: State, redis_server: Redis) -> Iterator[subprocess.Popen[str]]:
    """It has claimed the catalog, and hangs."""
    settings = {"CDC_SOURCE_MQ": "kafka://127.0.0.1:1", "CDC_BROKER_URL": redis_server.url(5)}
    arguments = [sys.executable, "-m", "tests.contract.hung_worker", redis_server.url(6), state.keys.prefix, "api"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        arguments,
        cwd=root,
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        await_that(lambda: state.fields(KEY).get("owner") == "hung" or process.poll() is not None, "it has claimed")
        yield process
        process.kill()


def test_a_channel_that_hangs_after_its_lease_was_lost_ends_its_process(
    state: State, worker: subprocess.Popen[str]
) -> None:
    """As long as the lease is its own, it is renewed; and when somebody else has it, the process has some time left."""
    assert worker.stdout
    first = int(state.fields(KEY)["deadline"])
    await_that(lambda: int(state.fields(KEY)["deadline"]) > first, "the lease is renewed")
    state.put(KEY, owner="another", epoch="7")
    state.client.publish(state.keys.wake, KEY.task)
    await_that(lambda: ended(worker), "the process has ended")
    assert worker.returncode == 70
    told = worker.stdout.read()
    assert "channels_hang" in told
    assert CATALOG in told
    assert "_hang" in told, "where it hangs"
    assert state.fields(KEY)["owner"] == "another"


def ended(worker: subprocess.Popen[str]) -> bool:
    """If not, much time passes there: it may not have heard of the loss before."""
    if worker.poll() is None:
        with suppress(BrokenPipeError):
            assert worker.stdin
            os.write(worker.stdin.fileno(), f"{LONG}\n".encode())  # past the buffer, which nobody could empty then
    return worker.poll() is not None
