"""What a live catalog does, on the twin in memory and on a real etcd."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from cdc_core.errors import SourceUnavailable
from cdc_core.model.catalog import Database, Index, ObjectState, Serving
from cdc_core.source.catalog import SourceCatalog
from deploy.local import Etcd
from tests.contract.catalogs import TOMBSTONE, CatalogHands, EtcdHands, MemoryHands, a_collection

pytestmark = pytest.mark.contract

PATIENCE = 30.0


@pytest.fixture(params=["memory", "etcd"])
def hands(request: pytest.FixtureRequest) -> Iterator[CatalogHands]:
    one = MemoryHands() if request.param == "memory" else EtcdHands(request.getfixturevalue("etcd_server"))
    yield one
    one.close()


@pytest.fixture
def etcd(etcd_server: Etcd) -> Iterator[EtcdHands]:
    one = EtcdHands(etcd_server)
    yield one
    one.close()


def await_that(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true that {what}"
        time.sleep(0.01)


def test_an_empty_source_has_the_default_database(hands: CatalogHands) -> None:
    assert hands.catalog.refresh().databases == {1: Database(1, "default", {})}
    assert hands.catalog.refresh().collections == {}


def test_refresh_shows_what_was_there_when_it_was_called(hands: CatalogHands) -> None:
    for number in range(100, 130):
        collection = a_collection(number, f"c{number}")
        hands.put_collection(collection)
        assert hands.catalog.refresh().collections[number] == collection
    for number in range(100, 130):
        hands.remove_collection(a_collection(number, f"c{number}"))
        assert number not in hands.catalog.refresh().collections


def test_current_follows_without_being_asked_to(hands: CatalogHands) -> None:
    hands.catalog.refresh()
    hands.put_collection(a_collection(100, "first"))
    await_that(lambda: 100 in hands.catalog.current().collections, "the collection shows")
    hands.put_collection(a_collection(100, "renamed"))
    await_that(lambda: hands.catalog.current().collections[100].name == "renamed", "the new name shows")
    hands.remove_collection(a_collection(100, "renamed"))
    await_that(lambda: not hands.catalog.current().collections, "the collection is gone")


def test_revisions_only_grow(hands: CatalogHands) -> None:
    revisions = [hands.catalog.refresh().revision]
    for number in range(100, 110):
        hands.put_collection(a_collection(number, f"c{number}"))
        revisions.append(hands.catalog.refresh().revision)
    assert revisions == sorted(set(revisions))


def test_every_subscriber_is_woken_by_a_change(hands: CatalogHands) -> None:
    hands.catalog.refresh()
    woken, never = threading.Event(), threading.Event()

    def fail() -> None:
        raise RuntimeError("a subscriber that fails harms nobody")

    hands.catalog.subscribe(fail)
    hands.catalog.subscribe(woken.set)
    leave = hands.catalog.subscribe(never.set)
    leave()
    hands.put_collection(a_collection(100, "first"))
    assert woken.wait(PATIENCE)
    assert not never.is_set()


def test_databases_come_and_go(hands: CatalogHands) -> None:
    database = Database(7, "sales", {"replica.number": "2"})
    hands.put_database(database)
    collection = a_collection(100, "orders", database="sales")
    hands.put_collection(collection)
    catalog = hands.catalog.refresh()
    assert catalog.databases[7] == database
    assert catalog.collections == {100: collection}
    hands.remove_collection(collection)
    hands.remove_database(7)
    assert 7 not in hands.catalog.refresh().databases


def test_aliases_come_move_and_go(hands: CatalogHands) -> None:
    one, other = a_collection(450, "films"), a_collection(460, "books")
    hands.put_collection(replace(one, aliases=frozenset({"a", "b"})))
    hands.put_collection(other)
    assert hands.catalog.refresh().collections[450].aliases == {"a", "b"}
    hands.put_collection(replace(one, aliases=frozenset({"b"})))
    hands.put_collection(replace(other, aliases=frozenset({"a"})))
    found = hands.catalog.refresh().collections
    assert (found[450].aliases, found[460].aliases) == ({"b"}, {"a"})


def test_what_serves_a_collection_is_read_when_asked(hands: CatalogHands) -> None:
    one = a_collection(450, "films")
    hands.put_collection(one)
    assert hands.catalog.serving({450}).get(450, Serving()) == Serving()
    served = Serving((Index("of_v", "vector", {"index_type": "FLAT", "metric_type": "L2"}),), 2)
    hands.put_serving(one, served)
    assert hands.catalog.serving({450, 45})[450] == served
    assert hands.catalog.serving({7, *range(1000, 1100), 450}) == {450: served}, "of many at once, too"
    assert hands.catalog.serving({451}) == {}
    hands.put_serving(one, replace(served, replicas=0))
    assert hands.catalog.serving({450, 45})[450].replicas == 0


def test_before_the_first_read_it_says_that_it_knows_nothing() -> None:
    catalog = SourceCatalog("127.0.0.1:1", "by-dev", "meta")
    try:
        with pytest.raises(SourceUnavailable):
            catalog.current()
        with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:1"):
            catalog.refresh()
    finally:
        catalog.close()


def test_another_endpoint_is_tried_when_one_does_not_answer(etcd_server: Etcd) -> None:
    catalog = SourceCatalog(f"127.0.0.1:1,http://{etcd_server.endpoint}", "nobody", "meta")
    try:
        assert catalog.refresh().collections == {}
    finally:
        catalog.close()


def test_a_collection_without_its_fields_is_still_being_created(etcd: EtcdHands) -> None:
    collection = a_collection(100, "first")
    etcd.put(etcd.info_key(collection), etcd.info(collection).SerializeToString())
    assert etcd.catalog.refresh().collections[100].state == ObjectState.CREATING
    etcd.put_collection(collection)
    assert etcd.catalog.refresh().collections[100] == collection


def test_a_tombstone_is_no_object(etcd: EtcdHands) -> None:
    collection = a_collection(100, "first")
    etcd.put_collection(collection)
    assert 100 in etcd.catalog.refresh().collections
    etcd.put("partitions/100/101", TOMBSTONE)
    assert etcd.catalog.refresh().collections[100].partitions == ()
    etcd.put(etcd.info_key(collection), TOMBSTONE)
    assert etcd.catalog.refresh().collections == {}


def test_the_record_from_before_there_were_databases_is_read(etcd: EtcdHands) -> None:
    collection = a_collection(100, "old")
    etcd.put_collection(collection)
    etcd.delete(etcd.info_key(collection))
    etcd.put("collection/100", etcd.info(collection).SerializeToString())
    assert etcd.catalog.refresh().collections == {100: collection}


def test_a_collection_of_a_database_that_is_gone_is_no_more(etcd: EtcdHands) -> None:
    etcd.put_database(Database(7, "sales", {}))
    etcd.put_collection(a_collection(100, "orders", database="sales"))
    assert 100 in etcd.catalog.refresh().collections
    etcd.put("database/db-info/7", TOMBSTONE)
    assert 100 not in etcd.catalog.refresh().collections


def test_an_unreadable_record_hides_only_its_collection(etcd: EtcdHands) -> None:
    etcd.put_collection(a_collection(100, "first"))
    etcd.put("database/collection-info/1/200", b"\xff\xff")
    assert set(etcd.catalog.refresh().collections) == {100}


def test_other_keys_are_none_of_its_business(etcd: EtcdHands) -> None:
    etcd.put("credential/users/root", b"secret")
    etcd.put("database/aliases/1/alias", b"x")
    etcd.etcd.put(f"{etcd.root}/meta/root-coord-2/database/db-info/9", b"x")
    etcd.etcd.put(f"{etcd.root}/meta/snapshots/root-coord/database/collection-info/1/100_ts1", b"x")
    assert etcd.catalog.refresh().collections == {}


def test_only_changed_collections_are_built_again(etcd: EtcdHands) -> None:
    for number in (100, 200):
        etcd.put_collection(a_collection(number, f"c{number}"))
    before = etcd.catalog.refresh()
    etcd.put_collection(a_collection(200, "renamed"))
    after = etcd.catalog.refresh()
    assert after.collections[100] is before.collections[100]
    assert after.collections[200].name == "renamed"
    assert before.collections[200].name == "c200", "a catalog that was given out does not change"


def test_more_keys_than_a_page_are_of_one_revision(etcd: EtcdHands) -> None:
    many = [a_collection(1000 + 10 * number, f"c{number}") for number in range(900)]
    transactions = etcd.etcd.transactions
    for collection in many:
        records = {**etcd.parts(collection), etcd.info_key(collection): etcd.info(collection).SerializeToString()}
        etcd.etcd.transaction([], [transactions.put(etcd.key(key), value) for key, value in records.items()], [])
    assert len(etcd.catalog.refresh().collections) == 900
    again = SourceCatalog(etcd.etcd.endpoint_in_use.netloc, etcd.root, "meta")
    try:
        assert again.refresh().collections == {collection.id: collection for collection in many}
    finally:
        again.close()


def test_it_goes_on_after_etcd_was_killed_and_compacted(etcd: EtcdHands, etcd_server: Etcd) -> None:
    """Given a catalog that watches, when etcd is killed and compacted, then it keeps its view and catches up."""
    first = a_collection(100, "first")
    etcd.put_collection(first)
    etcd.put_collection(a_collection(200, "second"))
    known = etcd.catalog.refresh()
    for _ in range(2):
        etcd_server.kill()
        with pytest.raises(SourceUnavailable):
            etcd.catalog.refresh()
        assert etcd.catalog.current().collections == known.collections
        etcd_server.start().wait_ready()
    etcd.remove_collection(first)
    etcd.put_collection(dataclasses.replace(first, id=300, name="third"))
    revision = etcd.catalog.refresh().revision
    etcd.etcd.compact(revision, physical=True)
    await_that(lambda: set(etcd.catalog.current().collections) == {200, 300}, "the view is that of etcd")
    etcd.put_collection(a_collection(400, "fourth"))
    await_that(lambda: 400 in etcd.catalog.current().collections, "the watch lives")


def test_it_notices_an_etcd_that_hangs(etcd: EtcdHands, etcd_server: Etcd) -> None:
    etcd.catalog.refresh()
    etcd_server.suspend()
    try:
        with pytest.raises(SourceUnavailable):
            etcd.catalog.refresh()
    finally:
        etcd_server.resume_process()
    etcd.put_collection(a_collection(100, "first"))
    await_that(lambda: 100 in etcd.catalog.current().collections, "the view is that of etcd")


def test_close_leaves_no_thread(etcd_server: Etcd) -> None:
    before = set(threading.enumerate())
    catalog = SourceCatalog(etcd_server.endpoint, "nobody", "meta")
    catalog.refresh()
    catalog.close()
    catalog.close()
    await_that(lambda: set(threading.enumerate()) <= before, "its threads are gone")
