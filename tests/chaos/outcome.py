"""What must be so after every trouble, and who holds what meanwhile."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from cdc_core.coordination.channels import ChannelStore
from cdc_core.names import Keys
from deploy.local.system import Worker
from tests.replication import Replication
from tests.workload import Workload

_Worker = TypeVar("_Worker", bound=Worker)


def all_is_well(replication: Replication, work: Workload) -> None:
    """Both sides are equal, row by row and by count(*), and every task is Running."""
    found = replication.equal(work.names)
    replication.running()
    rows = sum(each.count_source for each in found)
    print(f"equal: {rows} rows after {work.done} operations, {len(work.errors)} refused {work.errors[:2]}")  # noqa: T201


def owners(replication: Replication) -> set[str]:
    """Of the channels of the task over everything; '' when one of them has none."""
    return {state.owner for state in ChannelStore(replication.state, Keys()).of_task(replication.task)}


def who_holds_something(workers: Sequence[_Worker], replication: Replication, rng: random.Random) -> _Worker:
    """One of them."""
    held = owners(replication)
    return rng.choice([worker for worker in workers if worker.id in held])
