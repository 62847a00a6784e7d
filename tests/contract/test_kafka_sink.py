"""What a Kafka target does with rows, on a real Kafka."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import KafkaError

from cdc_core.codec.merge import merge
from cdc_core.errors import Refused, TargetUnavailable, TaskStopped
from cdc_core.model.address import WHOLE_COLLECTION, Address, Row
from cdc_core.model.catalog import Collection
from cdc_core.model.connect import KafkaConnect, KafkaFormat, KafkaSasl
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.sink.kafka_catalog import KafkaCatalog
from cdc_core.sink.kafka_cluster import KafkaCluster
from cdc_core.sink.kafka_rows import KafkaRows, form_of
from cdc_core.sink.kafka_session import QUEUE_BYTES, KafkaSession
from cdc_core.sink.kafka_writer import KafkaWriter
from cdc_core.sink.notes import MemoryNotes
from cdc_core.sink.object_change import ObjectChange
from deploy.local import Kafka
from tests.contract.targets import fresh
from tests.kafka_topic import KafkaTopic
from tests.messages import KEY, DataType, collection, delete, insert, parsed, schema_field, simple_insert
from tests.servers import KAFKA_USER

pytestmark = pytest.mark.contract

TIMEOUT = 20.0
T = Tso.of(1_700_000_000_000)
BLOB = schema_field(101, "blob", DataType.VarChar, max_length=65_535)


class Target:
    """A topic, and a sink and a catalog that write to it as one worker does."""

    def __init__(self, topic: KafkaTopic, address: str = "", **connect: Any) -> None:
        self.topic = topic
        self.connect = KafkaConnect(address or topic.address, topic.name, **connect)
        self.writer, form = KafkaWriter(self.connect), form_of(self.connect)
        self.catalog = KafkaCatalog(self.writer, form, MemoryNotes())
        self.sink = KafkaRows(self.writer, form, self.catalog.key_field)

    def made(self, wanted: Collection | None = None) -> Collection:
        wanted = wanted or collection(fresh("films"))
        self.catalog.create_collection(wanted)
        return wanted

    def write(self, made: Collection, *requests: Any, timeout: float = TIMEOUT, merged: bool = False) -> None:
        messages = [parsed(request.SerializeToString()) for request in requests]
        self.sink.write(rows(made, merge(messages) if merged else messages), timeout)


def rows(made: Collection, messages: Sequence[Any]) -> list[Row]:
    return [Row(message, _address(made, message)) for message in messages]


def _address(made: Collection, message: Any) -> Address:
    whole = message.partition_id == WHOLE_COLLECTION
    partition = (WHOLE_COLLECTION, "") if whole else (message.partition_id, message.partition_name)
    return Address(made.id, message.vchannel, made.name, made.database, *partition)


@pytest.fixture
def open_target(kafka_server: Kafka) -> Iterator[Callable[..., Target]]:
    opened: list[Target] = []

    def open_one(partitions: int = 0, config: dict[str, str] | None = None, **more: Any) -> Target:
        opened.append(Target(KafkaTopic(kafka_server.address, partitions, **(config or {})), **more))
        return opened[-1]

    yield open_one
    for target in opened:
        target.sink.close()


@pytest.fixture
def target(open_target: Callable[..., Target]) -> Target:
    return open_target(1)


def ops(target: Target) -> list[tuple[str, Any]]:
    """Of the rows, in the topic's order."""
    return [(each["op"], each["key"]) for each in target.topic.changes() if "vchannel" in each]


def test_a_topic_that_is_missing_is_made_by_the_first_write_and_not_by_a_look(
    open_target: Callable[..., Target],
) -> None:
    target = open_target()
    target.sink.check(TIMEOUT)
    assert not target.topic.exists
    made = target.made()
    target.write(made, simple_insert([1], T))
    assert [each["op"] for each in target.topic.changes()] == ["create_collection", "insert"]


def test_a_change_says_what_where_and_when(target: Target) -> None:
    made = target.made()
    request = simple_insert([7], T, partition=(9, "p1"))
    message = parsed(request.SerializeToString())
    target.sink.write(rows(made, [message]), TIMEOUT)
    found = target.topic.messages()[-1]
    assert found.key() == f"default.{made.name}/7".encode()
    (change,) = [each for each in target.topic.changes() if each["op"] == "insert"]
    assert change | {"position": None} == {
        "op": "insert",
        "database": "default",
        "collection": made.name,
        "collection_id": str(made.id),
        "partition": "p1",
        "key": 7,
        "row": {"id": 7, "v": [0.0, 0.0, 0.0, 0.0]},
        "timestamp": str(int(T)),
        "time": 1_700_000_000_000,
        "position": None,
        "vchannel": message.vchannel,
    }
    assert Position.from_base64(change["position"]) == Position(message.vchannel, message.message_id, T)


def test_rows_take_effect_in_the_order_of_their_times_whatever_the_order_of_the_messages(target: Target) -> None:
    made = target.made()
    target.write(
        made,
        simple_insert([1, 2], [T, T + 30]),
        delete([2], T + 20),
        simple_insert([2], T + 10),
        delete([1, 3], [T + 30, T + 5]),
    )
    assert ops(target) == [("insert", 1), ("delete", 3), ("insert", 2), ("delete", 2), ("delete", 1), ("insert", 2)]
    assert target.topic.tables()[str(made.id)].keys() == {("_default", 2)}


def test_an_upsert_is_one_change_when_it_is_of_one_partition(target: Target) -> None:
    """In the source's queue it is an insert and then a delete of one timestamp."""
    made, p1 = target.made(), (441, "_default")
    target.write(made, simple_insert([1, 2], T))
    target.write(made, simple_insert([1, 3], T + 1), delete([1], T + 1, partition=p1))
    target.write(made, simple_insert([2], T + 2), delete([2], T + 2))
    target.write(made, simple_insert([3], T + 3), delete([3], T + 3, partition=(442, "other")))
    assert ops(target) == [
        *(("insert", 1), ("insert", 2)),
        *(("upsert", 1), ("insert", 3)),
        *(("delete", 2), ("insert", 2)),
        *(("delete", 3), ("insert", 3)),
    ]
    assert target.topic.tables()[str(made.id)].keys() == {("_default", key) for key in (1, 2, 3)}


def test_a_merged_window_is_what_its_messages_were(target: Target) -> None:
    made, p1 = target.made(), (441, "_default")
    requests: list[Any] = [simple_insert([key], T + key) for key in range(40)]
    requests += [simple_insert([5], T + 50), delete([5], T + 50, partition=p1)]
    requests += [delete([6, 7], T + 60, partition=p1), delete([8], T + 61)]
    target.write(made, *requests, merged=True)
    found = ops(target)
    assert found[:40] == [("insert", key) for key in range(40)]
    assert found[40:] == [("upsert", 5), ("delete", 6), ("delete", 7), ("delete", 8)]
    assert {key for _, key in target.topic.tables()[str(made.id)]} == set(range(40)) - {6, 7, 8}


def test_each_partition_of_the_topic_is_a_whole_story(open_target: Callable[..., Target]) -> None:
    """A row's changes are in one, also under another name of its collection; those of objects are in all."""
    target = open_target(4)
    made = target.made()
    for number in range(5):
        target.write(made, simple_insert(list(range(50)), T + number))
    target.catalog.rename_collection("default", made.name, "default", "renamed")
    renamed = Address(made.id, "", "renamed", "default", 441, "_default")
    message = parsed(simple_insert(list(range(50)), T + 9).SerializeToString())
    target.sink.write([Row(message, renamed)], TIMEOUT)
    target.catalog.drop_partition("default", "renamed", "_default", Tso(T + 10))
    target.write(made, simple_insert([3], T + 11))

    where: dict[int, list[int]] = {}
    stories: dict[int, list[str]] = {number: [] for number in range(4)}
    for sent in target.topic.messages():
        change = json.loads(sent.value())
        if "key" in change:
            where.setdefault(change["key"], []).append(sent.partition())
        else:
            stories[sent.partition()].append(change["op"])
    assert all(len(set(partitions)) == 1 for partitions in where.values())
    assert {partitions[0] for partitions in where.values()} == {0, 1, 2, 3}
    assert set(map(tuple, stories.values())) == {("create_collection", "rename_collection", "drop_partition")}
    assert target.topic.tables()[str(made.id)].keys() == {("_default", 3)}


def test_a_call_that_is_repeated_changes_nothing_for_a_reader_that_drops_repeats(target: Target) -> None:
    made = target.made()
    calls: list[list[Any]] = [
        [simple_insert([1, 2], T), delete([1], T + 1)],
        [simple_insert([1], T + 2), delete([2], T + 3)],
    ]
    for repeats in (1, 2, 3):
        for call in calls:
            for _ in range(repeats):
                target.write(made, *call)
        assert target.topic.tables()[str(made.id)].keys() == {("_default", 1)}


def test_more_than_the_queue_holds_is_written_in_one_call(target: Target) -> None:
    made = target.made(collection(fresh("big"), (KEY, BLOB)))
    text = "x" * 60_000
    count = QUEUE_BYTES // len(text) + 100
    target.write(made, insert({"id": list(range(count)), "blob": [text] * count}, T, fields=(KEY, BLOB)))
    assert [key for _, key in ops(target)] == list(range(count))


def test_small_rows_pass_a_topic_that_takes_small_batches_only(open_target: Callable[..., Target]) -> None:
    """The brokers refuse a batch, not a message."""
    target = open_target(1, config={"max.message.bytes": "20000"})
    made = target.made(collection(fresh("small"), (KEY, BLOB)))
    texts = [os.urandom(1_000).hex() for _ in range(300)]
    target.write(made, insert({"id": list(range(300)), "blob": texts}, T, fields=(KEY, BLOB)))
    assert [key for _, key in ops(target)] == list(range(300))


@pytest.mark.parametrize("limit", [None, "20000"])
def test_a_row_that_is_too_large_is_refused_and_others_go_on(
    open_target: Callable[..., Target], limit: str | None
) -> None:
    """By this side, which never sends as much, or by the topic."""
    target = open_target(1, config={"max.message.bytes": limit} if limit else {})
    made = target.made(collection(fresh("huge"), (KEY, BLOB)))
    huge = insert({"id": [1], "blob": [os.urandom(13 << 20 if limit is None else 30_000).hex()]}, T, fields=(KEY, BLOB))
    with pytest.raises(Refused, match=r"max\.message\.bytes.*base64"):
        target.write(made, huge)
    target.write(made, insert({"id": [2], "blob": ["x"]}, T + 1, fields=(KEY, BLOB)))
    assert ops(target) == [("insert", 2)]


def test_a_message_that_cannot_be_read_is_refused(target: Target) -> None:
    made = target.made()
    request = simple_insert([1, 2], T)
    request.timestamps.append(T + 1)
    with pytest.raises(Refused, match="different numbers of rows"):
        target.write(made, request)
    with pytest.raises(Refused, match="has no field 'id'"):
        target.write(made, insert({"blob": ["x"]}, T, fields=(BLOB,)))


def test_rows_of_a_collection_that_nobody_made_wait(target: Target) -> None:
    with pytest.raises(TargetUnavailable, match="was not made"):
        target.write(collection(fresh("unknown")), simple_insert([1], T))


def test_nothing_is_lost_or_out_of_order_when_the_broker_is_killed(target: Target, kafka_server: Kafka) -> None:
    """Given a writer that repeats each call until it succeeds, when the broker is killed and comes back, then a reader
    has all of it, in order."""
    made, stop = target.made(), threading.Event()
    written: list[int] = []
    failed: list[TargetUnavailable] = []

    def work() -> None:
        number = 0
        while not stop.is_set():
            request = simple_insert(list(range(number, number + 20)), T + number)
            _until_taken(lambda request=request: target.write(made, request, timeout=2.0), failed)
            written.append(number)
            number += 20

    thread = threading.Thread(target=work)
    thread.start()
    try:
        _await(lambda: len(written) >= 20, "it writes")
        kafka_server.kill()
        _await(lambda: failed, "a call gives up")
        kafka_server.start().wait_ready()
        before = len(written)
        _await(lambda: len(written) >= before + 20, "it writes again")
    finally:
        stop.set()
        thread.join()
    assert {key for _, key in target.topic.tables()[str(made.id)]} == set(range(written[-1] + 20))
    first_seen = list(dict.fromkeys(key for _, key in ops(target)))
    assert first_seen == sorted(first_seen)


def test_a_call_that_is_late_says_so_and_is_not_written_later(target: Target, kafka_server: Kafka) -> None:
    """A broker that hangs may still take what is on its way to it, and nothing of what waits behind that."""
    made, count = target.made(collection(fresh("late"), (KEY, BLOB))), 300

    def request(keys: Sequence[int], at: int) -> Any:
        return insert({"id": keys, "blob": ["x" * 60_000] * len(keys)}, at, fields=(KEY, BLOB))

    target.write(made, request([1], T))
    with _hanging(kafka_server):
        with pytest.raises(TargetUnavailable, match="not written in time") as caught:
            target.write(made, request(range(1_000, 1_000 + count), T + 1), timeout=1.0)
        assert caught.value.unclear
        with pytest.raises(TargetUnavailable) as caught:
            target.write(made, request([3], T + 2), timeout=1.0)
        assert not caught.value.unclear, "there is no session to write it to"
    _until_taken(lambda: target.write(made, request([4], T + 3)))
    found = [key for _, key in ops(target)]
    assert [key for key in found if key < 1_000] == [1, 4]
    assert 1_000 + count - 1 not in found


def test_brokers_that_are_not_there(kafka_server: Kafka) -> None:
    nowhere = Target(KafkaTopic(kafka_server.address), "127.0.0.1:1")
    with pytest.raises(TargetUnavailable, match=r"127\.0\.0\.1:1"):
        nowhere.sink.check(1.5)
    with pytest.raises(TargetUnavailable, match=r"127\.0\.0\.1:1") as caught:
        nowhere.writer.write([], 1.5)
    assert not caught.value.unclear


def test_a_closed_sink_takes_nothing_more(target: Target) -> None:
    made = target.made()
    target.sink.close()
    with pytest.raises(TargetUnavailable, match="closed"):
        target.write(made, simple_insert([1], T))


def test_an_error_that_the_client_cannot_mend_ends_its_session_and_not_the_sink(target: Target) -> None:
    topic = KafkaCluster(target.connect).made_topic(TIMEOUT)
    session = KafkaSession(target.connect, topic)
    session.send([], time.monotonic() + TIMEOUT)
    session.note(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "out of order", fatal=True))
    assert session.broken
    with pytest.raises(TargetUnavailable, match="out of order"):
        session.send(
            form_of(target.connect).of_objects(ObjectChange("create_database", "films")), time.monotonic() + TIMEOUT
        )
    target.made()
    assert [each["op"] for each in target.topic.changes()] == ["create_collection"]


def test_a_topic_that_is_deleted_by_hand_is_made_again(target: Target) -> None:
    made = target.made()
    target.topic.admin.delete_topics([target.topic.name])[target.topic.name].result(TIMEOUT)
    _until_taken(lambda: target.write(made, simple_insert([1], T), timeout=2.0))
    assert ops(target) == [("insert", 1)]


def test_a_session_leaves_no_thread_behind(target: Target) -> None:
    before = set(threading.enumerate())
    target.made()
    own = [each for each in threading.enumerate() if each.name == "kafka-reports" and each not in before]
    assert own
    target.sink.close()
    _await(lambda: not any(each.is_alive() for each in own), "its thread has ended")


# Credentials


@pytest.mark.parametrize("mechanism", ["", "PLAIN", "SCRAM-SHA-256"])
def test_the_right_credentials_are_taken(secured_kafka: Kafka, mechanism: str) -> None:
    """PLAIN when nothing is said."""
    target = secured(secured_kafka, KafkaSasl(*KAFKA_USER, mechanism))
    target.sink.check(TIMEOUT)
    target.made()
    assert [each["op"] for each in target.topic.changes()] == ["create_collection"]
    target.sink.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_wrong_password_stops_the_task(secured_kafka: Kafka, mechanism: str) -> None:
    target = secured(secured_kafka, KafkaSasl(KAFKA_USER[0], "wrong-secret", mechanism, "SASL_PLAINTEXT"))
    for call in (lambda: target.sink.check(TIMEOUT), target.made):
        with pytest.raises(TaskStopped, match="password") as caught:
            call()
        assert "wrong-secret" not in str(caught.value)


def test_what_can_never_be_dialled_or_written_stops_the_task(kafka_server: Kafka) -> None:
    topic = KafkaTopic(kafka_server.address)
    target = Target(topic, enable_sasl=True, sasl=KafkaSasl(*KAFKA_USER, "ABACUS"))
    with pytest.raises(TaskStopped, match="ABACUS"):
        target.sink.check(TIMEOUT)
    topic.name = "no topic/has such a name"
    for call in (lambda: Target(topic).sink.check(TIMEOUT), Target(topic).made):
        with pytest.raises(TaskStopped, match="no topic/has such a name"):
            call()


def secured(server: Kafka, sasl: KafkaSasl) -> Target:
    return Target(KafkaTopic(server.address), server.address_of("SASL_PLAINTEXT"), enable_sasl=True, sasl=sasl)


# The other format


def test_the_reference_s_envelope_is_written_by_the_same_rules(open_target: Callable[..., Target]) -> None:
    target = open_target(1, format=KafkaFormat.REFERENCE)
    made = target.made()
    target.write(
        made, simple_insert([1], T), simple_insert([1], T + 1), delete([1], T + 1, partition=(441, "_default"))
    )
    target.write(made, delete([1], T + 2))
    target.catalog.drop_collection("default", made.name, Tso(T + 3))
    found = target.topic.messages()
    infos = [bytes(each.value()).split(b'"info":"')[1][:-2].decode() for each in found]
    assert infos == [
        "create collection",
        *("insert data", "delete data", "insert data", "delete data"),
        "drop collection",
    ]
    headers = dict(found[2].headers() or ())
    assert (headers["timestamp"], headers["partition"]) == (str(int(T + 1)).encode(), b"_default")


def _until_taken(call: Callable[[], None], failed: list[TargetUnavailable] | None = None) -> None:
    ends = time.monotonic() + 60
    while True:
        try:
            return call()
        except TargetUnavailable as error:
            assert time.monotonic() < ends, "the target does not come back"
            if failed is not None:
                failed.append(error)


def _await(condition: Callable[[], object], what: str) -> None:
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends, f"it did not come true that {what}"
        time.sleep(0.02)


@contextmanager
def _hanging(server: Kafka) -> Iterator[None]:
    server.suspend()
    try:
        yield
    finally:
        server.resume_process()
