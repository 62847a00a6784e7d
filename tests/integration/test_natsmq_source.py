"""A source whose queue is inside it, and goes down with it: natsmq."""

from __future__ import annotations

import pytest

from tests.replication import Replication, a_name, await_that, succeeds
from tests.workload import Shape, make_collection, rows

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("replication", ["natsmq"], indirect=True)
def test_rows_deletes_and_drops_arrive_through_a_kill_of_the_source(replication: Replication) -> None:
    """Given a source that is killed right behind a write, when it is back and written to, then both sides are equal."""
    source, server = replication.source, replication.stack.source
    kept, dropped = a_name("kept"), a_name("dropped")
    for name in (kept, dropped):
        make_collection(source, name, Shape(shards=2))
        source.insert(name, list(rows(500)))
    source.delete(kept, ids=list(range(100)))
    replication.equal([kept, dropped])
    source.insert(kept, list(rows(300, 500)))
    server.kill()
    server.start().wait_ready()
    more = list(rows(200, 800))
    await_that(lambda: succeeds(lambda: source.upsert(kept, more)), "the source takes rows again")
    source.delete(kept, ids=list(range(400, 600)))
    await_that(lambda: succeeds(lambda: source.drop_collection(dropped)), "the source drops a collection")
    assert replication.equal([kept])[0].count_target == 700
    replication.gone([dropped])
    replication.running()
    source.drop_collection(kept)
    replication.gone([kept])
