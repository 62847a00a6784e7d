"""The issue's own test: random changes of 20 collections, and then both sides are compared row by row."""

from __future__ import annotations

import os

import pytest

from tests.replication import Replication
from tests.workload import Workload

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("replication", ["kafka", "rocksmq"], indirect=True),
]

SECONDS = float(os.environ.get("CDC_TEST_SECONDS", "15"))


def test_twenty_collections_are_equal_after_random_changes(replication: Replication) -> None:
    """Given inserts, deletes, upserts, flushes, partitions and collections that come and go, then all rows are equal
    and every count(*) is.
    """
    with Workload(replication.stack.source.uri, seed=20, collections=20) as work:
        work.run_for(SECONDS)
        print(f"{work.done} operations, {len(work.errors)} refused by the source: {work.errors[:5]}")  # noqa: T201
        found = replication.equal(work.names)
        print("\n".join(map(str, found)))  # noqa: T201
    replication.running()
    replication.gone(work.names)
