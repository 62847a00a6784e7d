"""What no message of the source tells, or told while nobody listened, on real servers: see pipeline/reconcile.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pymilvus import MilvusClient

from deploy.local.system import Refused
from tests.replication import OwnDatabase, Replication, a_name, await_that
from tests.workload import Shape, make_collection, rows

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("replication", ["kafka"], indirect=True)]


@pytest.fixture
def name(replication: Replication) -> Iterator[str]:
    """Of a collection in `default`, dropped at the end with its aliases."""
    found = a_name()
    yield found
    source = replication.source
    if source.has_collection(found):
        for alias in _aliases(source, found):
            source.drop_alias(alias)
        source.drop_collection(found)
    replication.gone([found])


def test_what_was_before_the_task_serves_on_the_target(own: OwnDatabase) -> None:
    """Index, load and alias of a collection that is older than its task, with its rows."""
    alias = a_name("alias")
    make_collection(own.source, "older", Shape(shards=2))
    own.source.create_alias("older", alias)
    own.source.insert("older", list(rows(100)))
    own.task({"name": "older", "use_start_position": True})
    await_that(lambda: "older" in own.on_target(), "the collection is on the target")
    assert own.equal("older")[0].count_target == 100
    with closing(own.target()) as target:
        await_that(lambda: _aliases(target, "older") == {alias}, "the alias is on the target")
        assert target.list_indexes("older") == own.source.list_indexes("older")
    own.source.drop_alias(alias)


def test_aliases_follow(replication: Replication, name: str) -> None:
    """While we run, and while all workers are down; an alias moves from one collection to the other."""
    source, target, system = replication.source, replication.target, replication.system
    other, alias, moving = a_name("other"), a_name("alias"), a_name("moving")
    for each in (name, other):
        make_collection(source, each, Shape())
    source.create_alias(name, alias)
    source.create_alias(name, moving)
    await_that(lambda: _aliases(target, name) == {alias, moving}, "the aliases are on the target")
    for worker in system.workers:
        worker.kill()
    source.drop_alias(alias)
    source.alter_alias(other, moving)
    system.start()
    await_that(lambda: _aliases(target, other) == {moving}, "the alias has moved on the target")
    await_that(lambda: _aliases(target, name) == set(), "the dropped one is gone on the target")
    source.drop_alias(moving)
    source.drop_collection(other)
    replication.gone([other])


def test_a_user_asks_what_differs_and_has_it_mended(replication: Replication, name: str) -> None:
    """Twice in a row changes nothing the second time."""
    make_collection(replication.source, name, Shape())
    replication.equal([name])
    assert _of(replication, name, dry_run=True) == []
    replication.target.release_collection(name)
    for _ in range(2):
        assert _of(replication, name, dry_run=True) == [("load", "missing")]
    assert _of(replication, name) == [("load", "missing")]
    replication.equal([name])
    assert _of(replication, name) == []


def test_a_reconcile_that_cannot_be_is_told(replication: Replication, own: OwnDatabase) -> None:
    task = own.task()
    assert _state(replication, task_id="nobody") == "not found the task, task_id: nobody"
    assert _state(replication) == "task_id is required"
    assert "expected true or false" in _state(replication, task_id=task, dry_run="yes")
    replication.api.pause(task)
    assert "resume it, then reconcile" in _state(replication, task_id=task)
    with pytest.raises(Refused):
        replication.api.pause(task)


def _of(replication: Replication, name: str, **params: Any) -> list[tuple[str, str]]:
    """Kind and state of the differences of one collection."""
    params = {"task_id": replication.task, **params}
    found = replication.api.send("maintenance", operation="reconcile", params=params)["differences"]
    return [(each["kind"], each["state"]) for each in found if each["collection"] == name]


def _state(replication: Replication, **params: Any) -> str:
    return str(replication.api.send("maintenance", operation="reconcile", params=params)["State"])


def _aliases(client: MilvusClient, name: str) -> set[str]:
    return set(client.describe_collection(name)["aliases"])
