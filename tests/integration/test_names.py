"""Other names on the target: rows, operations, aliases and drops of mapped databases and collections."""

from __future__ import annotations

from contextlib import closing

import pytest
from pymilvus import MilvusClient

from deploy.local.system import Refused
from tests.replication import Replication, a_name, await_that, succeeds
from tests.workload import Shape, make_collection, rows

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("replication", ["kafka"], indirect=True)]


def test_a_database_and_a_collection_have_other_names_on_the_target(replication: Replication) -> None:
    """Made, filled, changed, dropped and made again; `kept` keeps its name in the other database."""
    here, there, films = a_name("here"), a_name("there"), a_name("films")
    replication.source.create_database(here)
    mapping = {"source_db": here, "target_db": there, "collection_mapping": {"films": films}}
    task = replication.create({here: [{"name": "*"}]}, name_mapping=[mapping])
    with closing(replication.source_of(here)) as source:
        for name in ("films", "kept"):
            make_collection(source, name, Shape(shards=2, partitions=True))
            source.create_partition(name, "p")
            source.insert(name, list(rows(100)))
            source.insert(name, list(rows(50, 100)), partition_name="p")
        source.delete("films", ids=list(range(10)))
        source.create_alias("films", "movies")
        await_that(lambda: there in replication.target.list_databases(), "the database is on the target")
        with closing(replication.target_of(there)) as target:
            await_that(lambda: _counts(target, films, "kept") == [140, 150], "the rows are on the target")
            await_that(lambda: target.describe_collection(films)["aliases"] == ["movies"], "the alias is on the target")
            source.drop_alias("movies")
            source.release_partitions("films", ["p"])
            source.drop_partition("films", "p")
            await_that(lambda: _counts(target, films) == [90], "the partition is gone on the target")
            source.drop_collection("films")
            make_collection(source, "films", Shape())
            source.insert("films", list(rows(7)))
            await_that(lambda: _counts(target, films) == [7], "the new one is on the target")
        for name in ("films", "kept"):
            source.drop_collection(name)
    replication.source.drop_database(here)
    await_that(lambda: there not in replication.target.list_databases(), "the database is gone on the target")
    assert here not in replication.target.list_databases()
    replication.delete(task)


def test_two_collections_are_never_written_to_one_name(replication: Replication) -> None:
    here = a_name("here")
    mapping = {"source_db": here, "target_db": "default", "collection_mapping": {"a": "b"}}
    with pytest.raises(Refused, match="where the task"):
        replication.create({here: [{"name": "a"}]}, name_mapping=[mapping])


def test_a_renamed_collection_is_renamed_on_the_target(replication: Replication) -> None:
    """Rows and loads before, between and after; while we run and while nobody does; then dropped. With the rename an
    altered property comes: a 2.3.5 source writes it to its etcd only when it writes the collection for another reason.
    """
    source, target = replication.source, replication.target
    first, second, third = a_name("first"), a_name("second"), a_name("third")
    make_collection(source, first, Shape(shards=2))
    source.insert(first, list(rows(50)))
    replication.equal([first])
    source.rename_collection(first, second)
    source.insert(second, list(rows(50, 50)))
    source.release_collection(second)
    await_that(lambda: target.has_collection(second), "it has its second name on the target")
    await_that(lambda: "NotLoad" in str(target.get_load_state(second)["state"]), "it is released on the target")
    assert not target.has_collection(first)
    for worker in replication.system.workers:
        worker.kill()
    source.load_collection(second)
    source.alter_collection_properties(second, {"collection.ttl.seconds": "86400"})
    source.rename_collection(second, third)
    source.insert(third, list(rows(50, 100)))
    make_collection(source, first, Shape())
    source.insert(first, list(rows(7)))
    replication.system.start()
    found = replication.equal([third, first])
    assert [each.count_target for each in found] == [150, 7]
    assert target.describe_collection(third)["properties"]["collection.ttl.seconds"] == "86400"
    for name in (third, first):
        source.drop_collection(name)
    replication.gone([first, second, third])


def _counts(client: MilvusClient, *names: str) -> list[int]:
    """count(*) of each that can be read, -1 of the others."""
    found = [-1] * len(names)
    for place, name in enumerate(names):
        if succeeds(lambda name=name: client.query(name, "", ["count(*)"])):  # type: ignore[misc]
            found[place] = int(client.query(name, "", ["count(*)"])[0]["count(*)"])
    return found
