"""A standby whose disk is full, under load; only with CDC_TEST_CHAOS=full."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local import Milvus, MilvusOptions
from deploy.local.compare import wait_equal
from tests.chaos.disk import Disk
from tests.chaos.front import Front, Mode, Trouble
from tests.chaos.history import broken
from tests.chaos.wide import CALL_ROWS, make_wide, resident, wide_rows
from tests.replication import PATIENCE, OwnDatabase, Replication, await_that
from tests.servers import or_skip
from tests.workload import Workload

DISK_BYTES = 1 << 30
ROOM_BYTES = 24 << 20
CALLS = 20
"""Of 8 MB each: seven times as much as there is room for, and more than a worker may hold (hub.py: 96 MB)."""
FULL = "No space left on device"
MOST_GROWTH = {"kafka": 250 << 20, "rocksmq": 500 << 20}
"""Of a worker; it opens a RocksMQ by RocksDB, which has memory of its own."""

pytestmark = [pytest.mark.chaos, pytest.mark.thorough]

Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Small:
    """A standby with a disk of its own, and what stands before it."""

    server: Milvus
    front: Front
    disk: Disk


@pytest.fixture
def small(replication: Replication, tmp_path: Path) -> Iterator[Small]:
    """Queue, storage and log of segments are on that disk; what it logs is not, and its etcd is the stack's."""
    etcd = replication.stack.etcd.endpoint if replication.stack.etcd else None
    options = MilvusOptions(name="small", standby=True, dml_channels=64, session_ttl=10, etcd=etcd)
    with or_skip(lambda: Disk(tmp_path / "disk", DISK_BYTES)) as disk:
        server = or_skip(lambda: Milvus(disk.directory / "milvus", options))
        server.directory.mkdir(exist_ok=True)
        server.log_path.symlink_to(tmp_path / "small.log")
        with server, Front(server.address, tmp_path / "front") as front:
            yield Small(server, front, disk)


def test_a_target_whose_disk_is_full(
    replication: Replication, own: OwnDatabase, small: Small, rng: random.Random, record_property: Record
) -> None:
    """What does this test do? The disk of the standby, with its queue and its storage, is full while rows go on
    coming: `get` says so in the standby's words, our memory stays bounded, no process of ours ends. When there is space
    again, all is there once. A standby that died of it is started again, by hand.

    How? A file system of its own, filled up by a large file but for 24 MB, and 160 MB of rows beside the usual load.
    Seen of a 2.3.5 whose etcd is elsewhere: each write is refused, and some seconds later it may or may not end; with
    space again it goes on by itself, or once it is started.
    """
    pids = [process.pid for process in replication.system.processes]
    task = own.task(connect={"uri": small.front.uri})
    make_wide(own.source, "wide")
    uri, seed = replication.stack.source.uri, rng.randrange(10_000)
    with Workload(uri, seed=seed, collections=3, database=own.name, drops=False) as work:
        own.source.insert("wide", list(wide_rows(CALL_ROWS)))
        equal(replication, own, small, ["wide", *work.names])
        before = {worker.name: resident(worker) for worker in replication.system.workers}
        work.start()
        small.disk.fill(ROOM_BYTES)
        reasons = []
        for number in range(1, CALLS + 1):
            own.source.insert("wide", list(wide_rows(CALL_ROWS, number * CALL_ROWS)))
            reasons.append(replication.reason(task))
        if not any(FULL in reason for reason in reasons):
            await_that(lambda: FULL in replication.reason(task), "the reason says it")
        with small.front.trouble(Trouble(Mode.PASS, rows=True)):
            small.front.await_trouble(20, PATIENCE)  # it is tried again and again
        grown = max(resident(worker) - before[worker.name] for worker in replication.system.workers)
        small.disk.clear()
        died = not small.server.alive
        await_that(lambda: not replication.reason(task) or not small.server.alive, "it goes on, or has ended")
        small.server.start().wait_ready()
        work.stop()
        equal(replication, own, small, ["wide", *work.names])
    record_property("grown_mb", grown >> 20)
    print(f"a worker grew by {grown >> 20} MB; the standby died: {died}")  # noqa: T201
    queue = "kafka" if replication.stack.kafka else "rocksmq"
    assert grown < MOST_GROWTH[queue]
    await_that(lambda: not replication.reason(task), "the reason is gone")
    replication.running()
    assert [process.pid for process in replication.system.processes] == pids
    assert not broken(small.front.calls())


def equal(replication: Replication, own: OwnDatabase, small: Small, names: list[str]) -> None:
    for name in names:
        wait_equal(replication.stack.source.uri, small.server.uri, name, own.name, timeout=PATIENCE)
