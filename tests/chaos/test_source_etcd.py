"""The source's etcd cannot be reached by us, under load; only with CDC_TEST_CHAOS=full."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pyetcd
import pytest
from pymilvus import MilvusClient

from tests.chaos.outcome import all_is_well
from tests.chaos.ratchet import Ratchet
from tests.chaos.wire import Mode
from tests.chaos.wired_worker import WiredWorker
from tests.replication import QUEUES, Replication, a_name, await_that, succeeds
from tests.workload import Shape, Workload, make_collection, rows

pytestmark = [pytest.mark.chaos, pytest.mark.thorough, pytest.mark.parametrize("replication", QUEUES, indirect=True)]


class Names:
    """Collections that change in ways that only etcd shows, and their alias."""

    def __init__(self) -> None:
        self.stays, self.goes, self.comes, self.old, self.new = (a_name(each) for each in "sgcon")
        self.alias = a_name("alias")


@pytest.fixture
def names(replication: Replication) -> Iterator[Names]:
    """Each dropped at the end, however far the test has come."""
    found, source = Names(), replication.source
    yield found
    succeeds(lambda: source.drop_alias(found.alias))
    left = [name for name in vars(found).values() if name in source.list_collections()]
    for name in left:
        source.drop_collection(name)
    replication.gone(left)


@pytest.mark.parametrize("mode", [Mode.CUT, Mode.SWALLOW])
def test_the_catalog_changes_and_is_compacted_while_nobody_of_us_watches(
    replication: Replication, wired: list[WiredWorker], work: Workload, names: Names, rng: random.Random, mode: Mode
) -> None:
    """What does this test do? Aliases, renames, new and dropped collections that come while no worker reaches etcd, and
    whose revisions etcd has forgotten when they do, are all on the target afterwards.

    How? The wires to etcd alone are cut or swallow everything, under load; the source is changed, etcd compacted at its
    newest revision and defragmented, the wires mended.
    """
    source, target = replication.source, replication.target
    pids = [worker.pid for worker in wired]
    for name in (names.stays, names.goes, names.old):
        make_collection(source, name, Shape(shards=2))
        source.insert(name, list(rows(50)))
    replication.equal([names.stays, names.goes, names.old])
    with Ratchet(replication.state):
        work.start()
        time.sleep(rng.uniform(2, 4))
        for worker in wired:
            worker.etcd.turn(mode)
        await_that(lambda: "etcd" in replication.reason(replication.task), "the reason names etcd")
        source.create_alias(names.stays, names.alias)
        source.rename_collection(names.old, names.new)
        source.drop_collection(names.goes)
        make_collection(source, names.comes, Shape(shards=2))
        for name in (names.stays, names.new, names.comes):
            source.insert(name, list(rows(50, 50)))
        forget(replication)
        for worker in wired:
            worker.etcd.turn(Mode.PASS)
        await_that(lambda: not replication.reason(replication.task), "the reason is gone")
        work.stop()
        all_is_well(replication, work)
        replication.equal([names.stays, names.new, names.comes])
        await_that(lambda: aliases(target, names.stays) == {names.alias}, "the alias is on the target")
        replication.gone([names.goes, names.old])
    assert [worker.pid for worker in wired] == pids


def forget(replication: Replication) -> None:
    """etcd keeps no revision but its newest."""
    host, _, port = replication.stack.source.etcd_endpoint.partition(":")
    client = pyetcd.client(host=host, port=int(port))
    try:
        client.compact(client.get_response("no key").header.revision, physical=True)
        client.defragment()
    finally:
        client.close()


def aliases(client: MilvusClient, name: str) -> set[str]:
    return set(client.describe_collection(name)["aliases"])
