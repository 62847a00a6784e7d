"""Fixtures with the whole system: a source, a standby, web and workers, and a task over everything in `default`."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from cdc_core.coordination.channels import ChannelStore
from cdc_core.names import Keys
from cdc_core.source.connect import open_queue
from deploy.local import Stack
from deploy.local.compare import DEFAULT, Comparison, NotEqualError, wait_equal
from deploy.local.side import Side
from deploy.local.system import System
from tests.chaos.front import Front
from tests.chaos.history import broken
from tests.evidence import evidence, last_lines
from tests.written import Rows, values_of, written

QUEUES = os.environ.get("CDC_TEST_QUEUES", "kafka").split(",")
"""Of the source, for the tests that name none: `kafka,rocksmq` for a release."""

BROKERS = [queue for queue in QUEUES if queue in ("kafka", "pulsar")]
"""Those of them that are servers of their own."""

PATIENCE = 240.0
"""Seconds until what has not come will not come; the machine may be busy with anything."""


class Replication:
    """Servers, our processes, and a task that replicates the whole of database `default`.

    All tasks reach the standby through `front`, which writes down what is sent to it.
    """

    def __init__(self, stack: Stack, system: System, front: Front) -> None:
        self.stack = stack
        self.system = system
        self.front = front
        self.api = system.api
        self.source = MilvusClient(uri=stack.source.uri)
        self.target = MilvusClient(uri=stack.target.uri)
        self.state = redis.Redis.from_url(stack.redis.url(), decode_responses=True)
        self.task = self.create({DEFAULT: [{"name": "*"}]})
        self._told: set[str] = set()

    def create(self, selection: dict[str, list[dict[str, Any]]], **more: Any) -> str:
        """A task with that selection."""
        connect = {"uri": self.front.uri, **more.pop("connect", {})}
        return self.api.create(milvus_connect_param=connect, db_collections=selection, **more)

    def delete(self, task: str) -> None:
        """And wait until nothing of it is left."""
        self.api.delete(task, ignore_not_found=True)
        await_that(lambda: not self.state.sismember(Keys().tasks, task), "the task is forgotten")

    def revive(self) -> None:
        """Start again what has ended by itself: a 2.3.5 does, now and then, when a collection is dropped (seen: a panic
        of its data node).
        """
        for server in (self.stack.source, self.stack.target):
            if not server.alive:
                print(f"{server.name} has ended by itself and is started again")  # noqa: T201
                server.start().wait_ready()

    def at_rest(self, task: str) -> None:
        """Wait until nothing of a paused task runs any more."""
        store = ChannelStore(self.state, Keys())
        await_that(lambda: not any(state.owner for state in store.of_task(task)), "all channels are released")

    def reason(self, task: str) -> str:
        """What is in the way of a task, as `get` tells it."""
        return str(self.api.get(task).get("reason", ""))

    def channels_of(self, task: str, collection: str) -> frozenset[str]:
        """The standby's channels that the task writes this collection's rows to."""
        plans = [state.plan for state in ChannelStore(self.state, Keys()).of_task(task)]
        return frozenset(
            plan.target_vchannel.pchannel for plan in plans if plan is not None and plan.collection == collection
        )

    def source_of(self, database: str) -> MilvusClient:
        return MilvusClient(uri=self.stack.source.uri, db_name=database)

    def target_of(self, database: str) -> MilvusClient:
        return MilvusClient(uri=self.stack.target.uri, db_name=database)

    def equal(self, names: Iterable[str], database: str = DEFAULT) -> list[Comparison]:
        """Wait until these hold the same on both sides; nobody writes meanwhile."""
        source, target = self.stack.source.uri, self.stack.target.uri
        try:
            return [wait_equal(source, target, name, database, timeout=PATIENCE) for name in names]
        except NotEqualError as error:
            error.add_note(f"tasks: {self.api.list()}")
            error.add_note(f"of the source: {_shown(source, database)}")
            error.add_note(f"of the target: {_shown(target, database)}")
            error.add_note(evidence(self.state, self.task))
            error.add_note(last_lines(self.stack.target.log_path, ("[WARN]", "[ERROR]")))
            raise

    def equal_to_the_queue(self, names: Iterable[str]) -> None:
        """Wait until the target holds what the source's queue does, where the source may not (written.py)."""
        ids = {self.source.describe_collection(name)["collection_id"]: name for name in names}
        queue = open_queue(self.stack.source.mq_uri)
        try:
            found = written(queue, ids)
        finally:
            queue.close()
        with Side(self.stack.target.uri, consistency="Eventually") as target:
            for number, name in ids.items():
                rows = found[number].rows()
                try:
                    await_that(
                        partial(_holds, target, name, rows), f"{name} holds {_total(rows)} rows, each as written"
                    )
                except AssertionError as error:
                    error.add_note(f"count(*) there: {target.count(name)}")
                    error.add_note(evidence(self.state, self.task))
                    raise

    def gone(self, names: Iterable[str], database: str = DEFAULT) -> None:
        """Wait until the target has none of these."""
        with closing(self.target_of(database)) as client:
            names = set(names)
            await_that(lambda: not names & set(client.list_collections()), f"{sorted(names)} are gone on the target")

    def running(self) -> None:
        """No task is Paused."""
        assert {task["state"] for task in self.api.list()} == {"Running"}

    def keeps_the_invariants(self) -> None:
        """What came to the standby breaks none, but for what was told before."""
        found = [each for each in broken(self.front.calls()) if each not in self._told]
        self._told.update(found)
        assert not found, f"{self.front.log_path}:\n" + "\n".join(found)

    def close(self) -> None:
        self.source.close()
        self.target.close()
        self.state.close()


class OwnDatabase:
    """A database of one test, with tasks of its own; a context manager that removes all of it, on both sides."""

    def __init__(self, replication: Replication) -> None:
        self.name = a_name("db")
        self.replication = replication
        self.tasks: list[str] = []
        replication.source.create_database(self.name)
        self.source = replication.source_of(self.name)

    def task(self, *infos: dict[str, Any], **more: Any) -> str:
        """Over the collections `infos` of this database, or all of it."""
        task = self.replication.create({self.name: list(infos) or [{"name": "*"}]}, **more)
        self.tasks.append(task)
        return task

    def target(self) -> MilvusClient:
        """A client; the database is there once a collection is."""
        return self.replication.target_of(self.name)

    def equal(self, *names: str) -> list[Comparison]:
        return self.replication.equal(names, self.name)

    def on_target(self) -> set[str]:
        """Its collections there."""
        if self.name not in self.replication.target.list_databases():
            return set()
        with closing(self.target()) as client:
            return set(client.list_collections())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self.source.list_collections():
            self.source.drop_collection(name)
        self.source.close()
        source, target = self.replication.source, self.replication.target
        await_that(lambda: succeeds(lambda: source.drop_database(self.name)), f"{self.name} can be dropped")
        if error is None:
            await_that(lambda: self.name not in target.list_databases(), f"{self.name} is gone on the target")
        for task in self.tasks:
            self.replication.delete(task)


def _total(rows: Rows) -> int:
    return sum(map(len, rows.values()))


def _holds(side: Side, name: str, rows: Rows) -> bool:
    with suppress(MilvusException):
        if side.count(name) != _total(rows):
            return False
        there = dict(row for division in side.divisions(name) for row in side.rows(name, division))
        return there.keys() == rows.keys() and all(values_of(row) in rows[key] for key, row in there.items())
    return False


def _shown(uri: str, database: str) -> dict[str, str]:
    """The collections of a server, their ids and whether they are loaded."""
    with closing(MilvusClient(uri=uri, db_name=database)) as client:
        found = {}
        for name in client.list_collections():
            with suppress(MilvusException):
                number = client.describe_collection(name)["collection_id"]
                found[name] = f"{number}, {client.get_load_state(name)}, indexes {client.list_indexes(name)}"
        return found


def await_that(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true that {what}"
        time.sleep(0.1)


def succeeds(call: Callable[[], object]) -> bool:
    """Whether Milvus does not refuse it."""
    try:
        call()
    except MilvusException:
        return False
    return True


def a_name(prefix: str = "c") -> str:
    return f"{prefix}_{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="session", params=QUEUES)
def replication(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replication]:
    """By the source's queue; tests keep apart by collection and database."""
    stack: Stack = request.getfixturevalue(f"{request.param}_stack")
    yield from _replication(stack, tmp_path_factory.mktemp(f"{request.param}-system"))


@pytest.fixture
def own(replication: Replication) -> Iterator[OwnDatabase]:
    """A database of the test's own."""
    with OwnDatabase(replication) as database:
        yield database


def _replication(stack: Stack, directory: Path) -> Iterator[Replication]:
    with Front(stack.target.address, directory / "front") as front, System(directory, stack.environment()) as system:
        found = Replication(stack, system, front)
        yield found
        found.delete(found.task)
        found.close()
        found.keeps_the_invariants()
