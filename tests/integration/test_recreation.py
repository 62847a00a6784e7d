"""One name again and again: the next collection of a name waits for the drop of the one before, on real servers."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.replication import OwnDatabase, Replication, await_that, succeeds
from tests.workload import Shape, make_collection, rows

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("replication", ["kafka"], indirect=True)]

TIMES = 20
PAUSED, NOBODY = range(5, 10), range(12, 16)
"""Of the times: while the task is paused, while every worker is down."""


def test_one_name_is_dropped_and_made_again_twenty_times(replication: Replication, own: OwnDatabase) -> None:
    """Given rows in each, the shards changing, some loaded and flushed; then the target has the last one, with its
    rows alone, and none of the nineteen stays behind.
    """
    task = own.task()
    for time in range(TIMES):
        if time:
            own.source.drop_collection("films")
        make_collection(own.source, "films", Shape(shards=1 + time % 2), load=time % 5 == 4)
        own.source.insert("films", list(rows(10 + time, start=1000 * time)))
        if time % 5 == 1:
            own.source.flush("films")
        _trouble(replication, task, time)
    assert own.equal("films")[0].count_target == 10 + TIMES - 1
    replication.running()


def test_a_database_is_dropped_with_what_was_in_it_while_nobody_looks(
    replication: Replication, own: OwnDatabase
) -> None:
    """Given collections with rows on both sides, when they and their database are dropped while the task is paused and
    made anew with other rows, then the target has the new ones alone.
    """
    other = f"{own.name}_other"
    replication.source.create_database(other)
    task = replication.create({other: [{"name": "*"}]})
    source = replication.source_of(other)
    for name in ("films", "books"):
        make_collection(source, name, Shape(shards=2))
        source.insert(name, list(rows(50)))
    replication.equal(["films", "books"], other)
    replication.api.pause(task)
    source.insert("films", list(rows(50, 50)))
    for name in ("films", "books"):
        source.drop_collection(name)
    await_that(lambda: succeeds(lambda: replication.source.drop_database(other)), "the database can be dropped")
    replication.source.create_database(other)
    make_collection(source, "films", Shape())
    source.insert("films", list(rows(7, 500)))
    replication.api.resume(task)
    assert replication.equal(["films"], other)[0].count_target == 7
    with closing(replication.target_of(other)) as target:
        await_that(lambda: target.list_collections() == ["films"], "the older ones are gone")
    source.drop_collection("films")
    await_that(lambda: succeeds(lambda: replication.source.drop_database(other)), "the database can be dropped")
    await_that(lambda: other not in replication.target.list_databases(), "it is gone on the target")
    source.close()
    replication.delete(task)


def _trouble(replication: Replication, task: str, time: int) -> None:
    if time == PAUSED.start:
        replication.api.pause(task)
    if time == PAUSED.stop:
        replication.api.resume(task)
    if time == NOBODY.start:
        for worker in replication.system.workers:
            worker.kill()
    if time == NOBODY.stop:
        replication.system.start()
