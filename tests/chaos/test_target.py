"""A standby in trouble, under load. What every test here does:

All calls to the standby go through a front (front.py), which makes the trouble and writes every call down; after the
test the log must keep the invariants (history.py). Then both sides must become equal, row by row and by count(*).
The long ones are in test_target_at_length.py.
"""

from __future__ import annotations

import random
from functools import partial

import pytest
from pymilvus import MilvusClient

from tests.chaos.extent import FULL
from tests.chaos.front import Mode, Trouble
from tests.replication import OwnDatabase, Replication, await_that
from tests.workload import Shape, Workload, make_collection, rows

LATE = [Mode.LATE, Mode.OVERDUE, Mode.LOST] if FULL else [Mode.LATE]

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("mode", LATE)
def test_a_call_without_an_answer_is_written_all_the_same(
    replication: Replication, work: Workload, rng: random.Random, mode: Mode
) -> None:
    """What does this test do? Calls with rows fail at our side, and the standby gets them all the same, at once or
    seconds after they were sent again: nothing is doubled.

    How? The front breaks off three calls, or lets them wait for their deadline, and passes them on some seconds later.
    """
    work.start()
    with replication.front.trouble(Trouble(mode, seconds=rng.uniform(2, 6), rows=True, most=3)):
        replication.front.await_trouble(3)
        work.stop()
        replication.equal(work.names)
    replication.running()


def test_a_target_that_is_no_standby_any_more_stops_the_task(replication: Replication, work: Workload) -> None:
    """What does this test do? The standby refuses everything, as after its promotion: the task is Paused with a reason
    that says what to do, and once that is done a resume goes on where it was.

    How? The front answers what a promoted 2.3.5 does.
    """
    work.start()
    with replication.front.trouble(Trouble(Mode.REFUSED)):
        await_that(lambda: replication.api.get(replication.task)["state"] == "Paused", "the task is paused")
        assert "set common.ttMsgEnabled to false" in replication.api.get(replication.task)["reason"]
    replication.api.resume(replication.task)
    work.stop()
    replication.equal(work.names)
    replication.running()
    await_that(lambda: not replication.reason(replication.task), "the reason is gone")


def test_a_collection_that_was_dropped_by_hand_stops_alone(replication: Replication, own: OwnDatabase) -> None:
    """What does this test do? Somebody drops a collection on the standby while a batch of it is on its way: it stops
    with a reason, the other one goes on; dropped at the source as well, it is forgotten.

    How? The front holds up the call with its rows until the collection is gone.
    """
    task = own.task()
    for name in ("lost", "kept"):
        make_collection(own.source, name, Shape())
        own.source.insert(name, list(rows(100)))
    own.equal("lost", "kept")
    with replication.front.trouble(
        Trouble(Mode.SLOW, seconds=60.0, channels=replication.channels_of(task, "lost"), rows=True, most=1)
    ):
        own.source.insert("lost", list(rows(100, 100)))
        replication.front.await_trouble()
        own.target().drop_collection("lost")
    own.source.insert("kept", list(rows(100, 100)))
    own.equal("kept")
    await_that(lambda: "lost" in replication.reason(task), "the reason names the collection")
    own.source.insert("kept", list(rows(100, 200)))
    own.equal("kept")
    replication.running()
    own.source.drop_collection("lost")
    await_that(lambda: not replication.reason(task), "the reason is gone")


def test_a_partition_that_was_dropped_by_hand_stops_its_collection(replication: Replication, own: OwnDatabase) -> None:
    """What does this test do? Somebody drops a partition on the standby while a batch of it is on its way: its
    collection stops with a reason, the other one goes on; dropped at the source as well, all is equal.

    How? The front holds up the call with its rows until the partition is gone.
    """
    task = own.task()
    for name in ("parted", "whole"):
        make_collection(own.source, name, Shape())
        own.source.create_partition(name, "p")
        own.source.insert(name, list(rows(100)), partition_name="p")
        own.source.insert(name, list(rows(100, 100)))
    own.equal("parted", "whole")
    with replication.front.trouble(
        Trouble(Mode.SLOW, seconds=60.0, channels=replication.channels_of(task, "parted"), rows=True, most=1)
    ):
        own.source.insert("parted", list(rows(100, 200)), partition_name="p")
        replication.front.await_trouble()
        drop_partition(own.target(), "parted", "p")
    own.source.insert("whole", list(rows(100, 200)), partition_name="p")
    own.equal("whole")
    await_that(lambda: "parted: partition p was dropped" in replication.reason(task), "the reason names the partition")
    own.source.insert("parted", list(rows(100, 300)))
    own.source.insert("whole", list(rows(100, 300)))
    own.equal("whole")
    replication.running()
    drop_partition(own.source, "parted", "p")
    own.equal("parted")
    await_that(lambda: not replication.reason(task), "the reason is gone")


def drop_partition(client: MilvusClient, collection: str, name: str) -> None:
    client.release_partitions(collection, [name])
    client.drop_partition(collection, name)


def test_a_call_that_hangs_holds_up_no_other_collection(replication: Replication, own: OwnDatabase) -> None:
    """What does this test do? The standby does not answer on one channel: what is on others goes on, `get` says so,
    no process ends, and when it answers again the rows of that channel are there, too.

    How? The front lets every call to that channel wait for its deadline.
    """
    pids = [process.pid for process in replication.system.processes]
    task = own.task()
    for name in ("hung", "free"):
        make_collection(own.source, name, Shape())
        own.source.insert(name, list(rows(100)))
    own.equal("hung", "free")
    channels = replication.channels_of(task, "hung")
    assert not channels & replication.channels_of(task, "free")
    with replication.front.trouble(Trouble(Mode.HANG, channels=channels)):
        for number in range(1, 6):
            for name in ("hung", "free"):
                own.source.insert(name, list(rows(100, number * 100)))
            own.equal("free")
        await_that(partial(replication.reason, task), "there is a reason")
        assert "ReplicateMessage" in replication.reason(task)
    own.equal("hung", "free")
    await_that(lambda: not replication.reason(task), "the reason is gone")
    assert [process.pid for process in replication.system.processes] == pids
