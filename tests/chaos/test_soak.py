"""Random scripts of DDL and DML with our processes killed, paused and restarted in between; see tests/soak.

A few short ones belong to the tests; `make soak` plays many long ones. `CDC_TEST_SEEDS` are their seeds (`1-20`),
`CDC_TEST_STEPS` says how many steps each has, `CDC_TEST_QUEUES` on which queues.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from pymilvus.exceptions import MilvusException

from tests.evidence import evidence
from tests.replication import QUEUES, Replication, await_that
from tests.soak.catalog_view import catalog_view
from tests.soak.player import Player
from tests.soak.script import DATABASES, Script, Step

STEPS = int(os.environ.get("CDC_TEST_STEPS", "60"))
_first, _, _last = os.environ.get("CDC_TEST_SEEDS", "1-2").partition("-")
SEEDS = range(int(_first), int(_last or _first) + 1)

pytestmark = [pytest.mark.chaos, pytest.mark.parametrize("replication", QUEUES, indirect=True)]


@pytest.mark.parametrize("seed", SEEDS)
def test_both_sides_are_equal_after_a_random_script(replication: Replication, seed: int) -> None:
    """Catalogs by an ordinary client, rows one by one, and what `reconcile` finds."""
    _play(replication, list(Script(seed).steps(STEPS)), f"s{seed}_{os.getpid()}_")


def _play(replication: Replication, steps: list[Step], prefix: str) -> None:
    task = replication.create({f"{prefix}{name}": [{"name": "*"}] for name in DATABASES})
    player = Player(replication, task, prefix)
    try:
        for number, step in enumerate(steps):
            try:
                player.play(step)
            except MilvusException as error:
                error.add_note(f"step {number} of {len(steps)}: {step}")
                raise
        _equal(replication, task, prefix)
    except BaseException as error:
        error.add_note("\n".join(map(str, steps)))
        raise
    player.close()
    await_that(lambda: not _databases(replication, prefix), "all of it is gone on the target")
    replication.delete(task)


def _databases(replication: Replication, prefix: str) -> list[str]:
    return [name for name in replication.target.list_databases() if name.startswith(prefix)]


def _equal(replication: Replication, task: str, prefix: str) -> None:
    source = catalog_view(replication.stack.source.uri, prefix)
    seen: dict[str, Any] = {}

    def same() -> bool:
        seen.clear()
        try:
            seen.update(catalog_view(replication.stack.target.uri, prefix))
        except MilvusException as error:  # it changes while it is looked at
            seen["error"] = str(error)
        return seen == source

    try:
        await_that(same, "the catalogs are equal")
    except AssertionError as error:
        error.add_note(f"source: {source}\ntarget: {seen}\ntask: {replication.api.get(task)}")
        error.add_note(evidence(replication.state, task))
        raise
    for database, collections in source.items():
        replication.equal(collections, database)
    params = {"task_id": task, "dry_run": True}
    found = replication.api.send("maintenance", operation="reconcile", params=params)["differences"]
    assert found == []
    assert replication.api.get(task)["state"] == "Running"
