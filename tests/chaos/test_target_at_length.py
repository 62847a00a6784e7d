"""A standby in longer trouble; only with CDC_TEST_CHAOS=full. As test_target.py, which has the rest."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import pytest
from pymilvus import MilvusClient

from deploy.local import Milvus, MilvusOptions
from deploy.local.compare import wait_equal
from tests.chaos.front import Front, Mode, Trouble
from tests.chaos.history import broken
from tests.chaos.wide import CALL_ROWS, make_wide, resident, wide_rows
from tests.replication import PATIENCE, OwnDatabase, Replication, await_that
from tests.servers import or_skip
from tests.workload import Shape, Workload, make_collection, rows

BACKLOG_ROWS = 110_000
"""450 MB, several times what a worker may hold (hub.py: 96 MB)."""
MOST_GROWTH = 300 << 20
"""Seen: 176 to 194 MB, and 272 on a machine with three times as many threads that want its cores."""
AWAY_SECONDS = 60.0

pytestmark = [pytest.mark.chaos, pytest.mark.thorough]

Record = Callable[[str, object], None]


def test_a_target_that_is_killed_in_the_middle_of_a_batch(
    replication: Replication, work: Workload, rng: random.Random
) -> None:
    """What does this test do? The standby is killed (SIGKILL) while it works at a call with rows, and comes back.

    How? The front says when such a call has gone to it; large ones, so that there is a middle.
    """
    name = f"wide_{rng.randrange(10**9)}"
    make_wide(replication.source, name)
    work.start()
    for number in range(2):
        with replication.front.trouble(Trouble(Mode.PASS, rows=True)):
            replication.source.insert(name, list(wide_rows(CALL_ROWS, number * CALL_ROWS)))
            replication.front.await_trouble()
            time.sleep(rng.uniform(0, 0.1))
            replication.stack.target.kill()
        replication.stack.target.start().wait_ready()
    work.stop()
    replication.equal([*work.names, name])
    replication.running()
    replication.source.drop_collection(name)
    replication.gone([name])


def test_a_slow_target_holds_back_the_source(
    replication: Replication, own: OwnDatabase, record_property: Record
) -> None:
    """What does this test do? Each call to the standby takes 2 s while more comes than a worker may hold: it waits,
    the worker stays small, `get` says what is in the way, and all arrives once.

    How? 450 MB of rows in one shard; the memory is what the kernel says of the workers.
    """
    task = own.task()
    make_wide(own.source, "wide")
    own.source.insert("wide", list(wide_rows(CALL_ROWS)))
    own.equal("wide")
    before = {worker.name: resident(worker) for worker in replication.system.workers}
    with replication.front.trouble(Trouble(Mode.SLOW, seconds=2.0)):
        for start in range(CALL_ROWS, BACKLOG_ROWS, CALL_ROWS):
            own.source.insert("wide", list(wide_rows(CALL_ROWS, start)))
        await_that(lambda: "slow" in replication.reason(task), "the reason says that the target is slow")
        replication.front.await_trouble(replication.front.befallen + 10)
        grown = max(resident(worker) - before[worker.name] for worker in replication.system.workers)
    record_property("grown_mb", grown >> 20)
    print(f"a worker grew by {grown >> 20} MB")  # noqa: T201
    assert grown < MOST_GROWTH
    own.equal("wide")
    await_that(lambda: not replication.reason(task), "the reason is gone")
    replication.running()


@dataclass(frozen=True)
class Second:
    """Another standby, and what stands before it."""

    server: Milvus
    front: Front


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Second]:
    options = MilvusOptions(name="second", standby=True, dml_channels=64)
    with (
        or_skip(lambda: Milvus(tmp_path_factory.mktemp("second"), options)) as server,
        Front(server.address, tmp_path_factory.mktemp("second-front")) as front,
    ):
        yield Second(server, front)


@pytest.mark.parametrize("away", ["down", "hanging"])
def test_a_target_that_is_away_is_no_trouble_for_another(
    replication: Replication, own: OwnDatabase, second: Second, record_property: Record, away: str
) -> None:
    """What does this test do? Two tasks replicate the same collection to two standbys, and one of these is away for a
    minute: the rows of the other come as before, and when it is back it gets everything once.

    How? The front of the second standby refuses connections, or lets every call hang. How long rows take to be seen on
    the first one is noted, before and meanwhile.
    """
    own.task()
    other = own.task(connect={"uri": second.front.uri})
    make_collection(own.source, "films", Shape(shards=2))
    make_collection(own.source, "quiet", Shape(shards=2))
    target = own.target()
    keys = iter(range(0, 1_000_000, 10))
    own.equal("films", "quiet")

    before = [seen_after(own.source, target, next(keys)) for _ in range(20)]
    if away == "down":
        second.front.down()
    trouble = Trouble(Mode.HANG if away == "hanging" else Mode.PASS)
    with second.front.trouble(trouble):
        began, meanwhile = time.monotonic(), []
        while time.monotonic() - began < AWAY_SECONDS:
            meanwhile.append(seen_after(own.source, target, next(keys)))
        ended = time.monotonic()
        await_that(partial(replication.reason, other), "there is a reason")
    if away == "down":
        second.front.up()
    own.equal("films")
    for name in ("films", "quiet"):
        wait_equal(replication.stack.source.uri, second.server.uri, name, own.name, timeout=PATIENCE)
    gap = longest_silence(replication.front, began, ended)
    figures = {"p50_before": statistics.median(before), "p50_meanwhile": statistics.median(meanwhile), "silence": gap}
    for name, value in figures.items():
        record_property(f"{away}_{name}", round(value, 2))
    print(away, {name: round(value, 2) for name, value in figures.items()}, len(meanwhile))  # noqa: T201
    assert not broken(second.front.calls())


def seen_after(source: MilvusClient, target: MilvusClient, key: int) -> float:
    """Seconds from an insert of ten rows to their being seen on the target."""
    began = time.monotonic()
    source.insert("films", list(rows(10, key)))
    await_that(
        lambda: len(target.query("films", ids=list(range(key, key + 10)), consistency_level="Eventually")) == 10,
        "the rows are seen",
    )
    return time.monotonic() - began


def longest_silence(front: Front, began: float, ended: float) -> float:
    """Seconds without a tick, of the channel where that was longest: Bounded reads and loads wait so long."""
    ticks: dict[str, list[float]] = {}
    for call in front.calls():
        if call.ticks and began <= call.arrived <= ended:
            ticks.setdefault(call.channel, []).append(call.arrived)
    return max(later - earlier for times in ticks.values() for earlier, later in pairwise(times))
