"""What the tests of a task's catalog share: a task over everything, on targets and sources in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cdc_core.clock import SystemClock
from cdc_core.codec import merge
from cdc_core.coordination.barriers import Barriers
from cdc_core.coordination.dead_letters import DeadLetters
from cdc_core.coordination.gates import Gates
from cdc_core.coordination.objects import Objects
from cdc_core.coordination.requests import Requests
from cdc_core.model.connect import MilvusConnect
from cdc_core.model.task import Beginning, CollectionSelector, Desired, Task, TaskSpec, TaskState
from cdc_core.pipeline import gate, replicator
from cdc_core.pipeline.dead_letter_office import DeadLetterOffice
from cdc_core.pipeline.lease import Lease
from cdc_core.pipeline.target import Target
from cdc_core.pipeline.task_context import TaskContext
from cdc_core.pipeline.transport import Replicated
from cdc_core.sink.memory import MemoryTarget
from cdc_core.source.memory_catalog import MemoryCatalog
from cdc_core.transform.filter import Selection
from cdc_core.transform.mapping import Names
from deploy.local import Redis
from tests.contract.brokers import Broker, KafkaBroker, MemoryBroker, NatsmqBroker, PulsarBroker, RocksmqBroker
from tests.contract.state import State


@pytest.fixture
def state(redis_server: Redis) -> Iterator[State]:
    state = State(redis_server.url(6))
    state.task()
    yield state
    state.close()


@pytest.fixture
def target() -> MemoryTarget:
    return MemoryTarget()


@pytest.fixture
def context(state: State, target: MemoryTarget) -> TaskContext:
    connect = MilvusConnect(uri="http://target:19530")
    spec = TaskSpec("one", connect, {"default": (CollectionSelector("*", {}),)})
    claim = state.claimed(state.catalog(), "worker")
    gates = Gates(state.client, state.keys, "worker")
    return TaskContext(
        task=Task(spec, Beginning({}, frozenset()), Desired.RUNNING, TaskState.RUNNING, "", 0.0),
        selection=Selection.of(spec),
        names=Names(spec.name_mapping),
        lease=Lease(claim, SystemClock(), time.monotonic()),
        target=Target(connect.identity, Replicated(target), target, gates, lambda: None, 0.3),
        channels=state.channels,
        objects=Objects(state.client, state.keys),
        barriers=Barriers(state.client, state.keys),
        gates=gates,
        requests=Requests(state.client, state.keys),
        dead_letters=DeadLetterOffice(spec, DeadLetters(state.client, state.keys)),
        default_partition="_default",
    )


@pytest.fixture
def source() -> MemoryCatalog:
    return MemoryCatalog()


@pytest.fixture(params=["memory", "kafka", "pulsar", "rocksmq", "natsmq"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    made: dict[str, Callable[[], Broker]] = {
        "memory": MemoryBroker,
        "kafka": lambda: KafkaBroker(request.getfixturevalue("kafka_server")),
        "pulsar": lambda: PulsarBroker(request.getfixturevalue("pulsar_server")),
        "rocksmq": lambda: RocksmqBroker(tmp_path),
        "natsmq": lambda: NatsmqBroker(request.getfixturevalue("nats_server")),
    }
    one = made[request.param]()
    yield one
    one.close()


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few rows make many batches, and some messages are large."""
    monkeypatch.setattr(merge, "SMALL_BYTES", 900)
    monkeypatch.setattr(merge, "MERGED_BYTES", 3_000)
    monkeypatch.setattr(replicator, "BATCH_BYTES", 6_000)
    monkeypatch.setattr(gate, "ROUND_BYTES", 9_000)
