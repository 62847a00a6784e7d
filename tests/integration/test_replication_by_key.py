"""The whole system with a target that is written by its ordinary API: a Milvus 2.3.5, and a Milvus Lite."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from deploy.local import Milvus, Redis, Stack
from deploy.local.compare import Comparison, compare
from deploy.local.system import System
from tests.replication import Replication, a_name, await_that, succeeds
from tests.workload import SHAPES, Shape, Workload, make_collection, rows

pytestmark = pytest.mark.integration

BY_KEY = {"sink": "sdk"}


class ByKey:
    """A database of the source and a task that writes it to a target by key."""

    def __init__(self, replication: Replication, target: Milvus) -> None:
        self.replication = replication
        self.source_uri, self.target_uri = replication.stack.source.uri, target.uri
        self.database = a_name("db")
        replication.source.create_database(self.database)
        self.task = replication.create({self.database: [{"name": "*"}]}, connect={"uri": target.uri}, extension=BY_KEY)
        self.source = MilvusClient(self.source_uri, db_name=self.database)

    def equal(self, names: Iterable[str]) -> list[Comparison]:
        """Wait until the target holds each row of the source, once; shards and who makes the keys may differ."""
        return [_equal(self.source_uri, self.target_uri, name, self.database) for name in names]

    def on_target(self) -> MilvusClient:
        """There once a collection is."""
        return MilvusClient(self.target_uri, db_name=self.database)

    def close(self) -> None:
        for name in self.source.list_collections():
            self.source.drop_collection(name)
        self.source.close()
        source = self.replication.source
        await_that(lambda: succeeds(lambda: source.drop_database(self.database)), f"{self.database} can be dropped")
        with closing(MilvusClient(self.target_uri)) as target:
            await_that(lambda: self.database not in target.list_databases(), f"{self.database} is gone on the target")
        self.replication.delete(self.task)


@pytest.fixture
def by_key(request: pytest.FixtureRequest, ordinary_server: Milvus) -> Iterator[ByKey]:
    found = ByKey(request.getfixturevalue("replication"), ordinary_server)
    yield found
    found.close()


@pytest.mark.parametrize("replication", ["rocksmq"], indirect=True)
def test_changes_of_every_kind_arrive_while_a_worker_is_killed(replication: Replication, by_key: ByKey) -> None:
    """Rows, upserts, deletes, partitions, partition keys, given keys, a collection that is dropped and made again,
    with their indexes and loaded; one of two workers is killed and comes back meanwhile.
    """
    shapes = (SHAPES[0], SHAPES[1], SHAPES[3], SHAPES[4], SHAPES[5])
    seed = random.Random("by key").randrange(10_000)
    with Workload(by_key.source_uri, seed, len(shapes), database=by_key.database, shapes=shapes, most_rows=60) as work:
        work.run(operations=60)
        victim = replication.system.workers[0]
        victim.kill()
        work.run(operations=60)
        victim.start().wait_ready()
        work.run(operations=30)
        assert sum(each.rows_target for each in by_key.equal(work.names)) > 0
        look = {"task_id": by_key.task, "dry_run": True}
        found = replication.api.send("maintenance", operation="reconcile", params=look)
        assert found["differences"] == [], "shards and own partitions are no differences"
    replication.running()


@pytest.mark.parametrize("replication", ["rocksmq"], indirect=True)
def test_a_collection_that_is_there_with_other_shards_is_taken_and_renamed(
    replication: Replication, by_key: ByKey
) -> None:
    """It was made by hand, with a row of a key that the source writes, too; rows follow it to its new name."""
    name = a_name()
    with closing(MilvusClient(by_key.target_uri)) as target, suppress(MilvusException):  # the task may be first
        target.create_database(by_key.database)
    with closing(by_key.on_target()) as target:
        make_collection(target, name, Shape(shards=1))
        target.upsert(name, list(rows(1)))
        make_collection(by_key.source, name, Shape(shards=2))
        by_key.source.insert(name, list(rows(500)))
        by_key.source.delete(name, ids=[7])
        (found,) = by_key.equal([name])
        assert found.rows_target == 499
        assert target.describe_collection(name)["num_shards"] == 1
        renamed = a_name()
        by_key.source.rename_collection(name, renamed)
        await_that(lambda: renamed in target.list_collections(), f"{renamed} has its new name on the target")
        by_key.source.insert(renamed, list(rows(10, start=2000)))
        (found,) = by_key.equal([renamed])
        assert found.rows_target == 509
    replication.running()


@pytest.mark.parametrize("replication", ["rocksmq"], indirect=True)
def test_which_milvus_it_is_decides_how_it_may_be_written(replication: Replication, ordinary_server: Milvus) -> None:
    """Both ways round: the look ahead says what to ask for instead."""

    def checks(uri: str, **more: Any) -> dict[str, dict[str, Any]]:
        found = replication.api.send(
            "create",
            milvus_connect_param={"uri": uri},
            db_collections={a_name("db"): [{"name": "*"}]},
            validate_only=True,
            **more,
        )
        return {each["name"]: each for each in found["checks"]}

    standby, ordinary = replication.stack.target.uri, ordinary_server.uri
    assert '"sink": "sdk"' in checks(ordinary)["standby"]["advice"]
    assert "leave out extension.sink" in checks(standby, extension=BY_KEY)["standby"]["advice"]
    found = checks(ordinary, extension=BY_KEY)
    assert {found[name]["status"] for name in ("target", "standby", "version", "schemas")} == {"pass"}
    assert "channels" not in found


@pytest.fixture
def lite(rocksmq_stack: Stack, redis_server: Redis, tmp_path: Path) -> Iterator[System]:
    """Our own processes with a single worker, and a state of their own."""
    own = {"CDC_REDIS_URL": redis_server.url(10), "CDC_BROKER_URL": redis_server.url(11)}
    with System(tmp_path / "system", rocksmq_stack.environment() | own, workers=1) as system:
        yield system


def test_milvus_lite_by_a_single_worker_that_is_restarted(rocksmq_stack: Stack, lite: System, tmp_path: Path) -> None:
    """Rows, upserts, deletes, partitions, an index and the load; the worker ends and goes on with the file."""
    database, name = a_name("db"), a_name()
    source_uri = rocksmq_stack.source.uri
    with closing(MilvusClient(source_uri)) as admin:
        admin.create_database(database)
    source = MilvusClient(source_uri, db_name=database)
    task = lite.api.create(
        milvus_connect_param={"uri": f"{tmp_path}/copy.db"},
        db_collections={database: [{"name": "*"}]},
        extension=BY_KEY,
    )
    try:
        make_collection(source, name, Shape(shards=2, partitions=True))
        source.create_partition(name, "p1")
        source.insert(name, list(rows(300)))
        source.insert(name, list(rows(100, start=1000)), partition_name="p1")
        source.delete(name, ids=list(range(50)))
        source.upsert(name, [{**row, "text": "new"} for row in rows(20, start=100)])
        lite.workers[0].restart()
        source.delete(name, ids=[1000], partition_name="p1")
        found = _equal(source_uri, lambda: _served(lite), name, database)
        assert found.rows_target == 349
        source.drop_collection(name)
        with closing(MilvusClient(_served(lite), db_name=database)) as target:
            await_that(lambda: name not in target.list_collections(), f"{name} is gone in the file")
        assert lite.api.get(task)["state"] == "Running"
    finally:
        lite.api.delete(task)
        for left in source.list_collections():
            source.drop_collection(left)
        source.close()
        with closing(MilvusClient(source_uri)) as admin:
            await_that(lambda: succeeds(lambda: admin.drop_database(database)), f"{database} can be dropped")


def _served(system: System) -> str:
    """Where the worker serves the file now, as its log says."""
    served = [line for line in system.workers[0].log_path.read_text().splitlines() if "milvus_lite_serves" in line]
    return str(json.loads(served[-1])["uri"]) if served else "http://127.0.0.1:1"


def _equal(source: str, target: Any, name: str, database: str) -> Comparison:
    """Wait until the target holds each row of the source, once."""
    last: list[object] = []

    def same() -> bool:
        with suppress(MilvusException):
            uri = target() if callable(target) else target
            each = compare(source, uri, name, database)
            last[:] = [each]
            return not (each.missing or each.surplus or each.different) and each.count_target == each.rows_target
        return False

    try:
        await_that(same, f"{name} is equal by key")
    except AssertionError as error:
        error.add_note(f"last seen: {last}")
        raise
    found = last[0]
    assert isinstance(found, Comparison)
    return found
