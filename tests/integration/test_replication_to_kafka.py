"""A topic that follows a Milvus: whoever reads it by docs/kafka-target.md has what the source has."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from cdc_core.model.position import Position
from cdc_core.names import Keys
from deploy.local import Kafka
from deploy.local.side import Side
from tests.every_kind import every_value, make_every_kind
from tests.kafka_topic import KafkaTopic
from tests.replication import OwnDatabase, Replication, await_that
from tests.workload import Shape, Workload, index_and_load

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("replication", ["rocksmq"], indirect=True)]

SHAPES = (
    Shape(shards=2, partitions=True, dynamic=True),
    Shape(varchar_key=True, auto_id=True),
    Shape(shards=2, partition_key=True),
    Shape(partitions=True, drops=True),
)
EVERY_OP = {"insert", "upsert", "delete", "create_index", "load_collection", "create_partition", "drop_partition"}
Tables = dict[str, dict[tuple[str | None, Any], dict[str, Any]]]


def follow(own: OwnDatabase, topic: KafkaTopic, **more: Any) -> str:
    """A task over the test's database that writes to the topic."""
    connect = {"address": topic.address, "topic": topic.name}
    task = own.replication.api.create(kafka_connect_param=connect, db_collections={own.name: [{"name": "*"}]}, **more)
    own.tasks.append(task)
    return task


def source_tables(own: OwnDatabase) -> Tables:
    """By collection id; the partition is None where Milvus does not tell it."""
    tables: Tables = {}
    with Side(own.replication.stack.source.uri, own.name) as side:
        for name in side.collections():
            number = str(side.client.describe_collection(name)["collection_id"])
            tables[number] = {
                (partition, key): _plain(row)
                for partition in side.divisions(name)
                for key, row in side.rows(name, partition)
            }
    return tables


def topic_tables(topic: KafkaTopic, like: Tables) -> Tables:
    """What a reader has; a partition is left out where `like` does not tell it."""
    tables: Tables = {}
    for number, rows in topic.tables().items():
        untold = any(partition is None for partition, _ in like.get(number, {}))
        found = [((None if untold else partition, key), row) for (partition, key), row in rows.items()]
        assert len(dict(found)) == len(found), "a key in two partitions"
        tables[number] = {name: row | row.pop("$meta", {}) for name, row in found}
    return tables


def await_equal(own: OwnDatabase, topic: KafkaTopic) -> Tables:
    """Nobody writes meanwhile."""
    wanted = source_tables(own)
    await_that(lambda: topic_tables(topic, wanted) == wanted, f"the topic holds what the source holds; {own.name}")
    return wanted


def test_a_topic_holds_what_the_source_holds_through_a_kill_of_a_worker(
    replication: Replication, own: OwnDatabase, kafka_server: Kafka
) -> None:
    """Given rows, upserts, deletes, partitions and collections that come and go, when a worker is killed, then the
    tables of a reader are the source's, and what came twice was there before."""
    topic = KafkaTopic(kafka_server.address, 3)
    task = follow(own, topic)
    with Workload(replication.stack.source.uri, seed=7, shapes=SHAPES, database=own.name, most_rows=60) as work:
        work.start()
        await_that(lambda: topic.exists and len(topic.messages()) > 300, "it flows")
        worker = replication.system.workers[0]
        worker.kill()
        worker.start().wait_ready()
        await_that(lambda: {change["op"] for change in topic.changes()} >= EVERY_OP, "every kind of change is told")
        work.stop()
        wanted = await_equal(own, topic)
        assert sum(map(len, wanted.values())) > 100
        _positions_hold(topic)
    await_that(lambda: topic.tables() == {}, "all collections are dropped")
    assert replication.api.get(task)["state"] == "Running"
    assert "reason" not in replication.api.get(task)


def test_every_kind_of_column_arrives_and_the_broker_may_be_killed(
    replication: Replication, own: OwnDatabase, kafka_server: Kafka
) -> None:
    topic = KafkaTopic(kafka_server.address)
    task = follow(own, topic)
    make_every_kind(own.source, "kinds")
    index_and_load(own.source, "kinds")
    own.source.insert("kinds", [every_value(number) for number in range(100)])
    await_equal(own, topic)
    kafka_server.kill()
    own.source.upsert("kinds", [every_value(number, 1) for number in range(50, 120)])
    await_that(lambda: replication.api.get(task).get("reason"), "the task says that Kafka is away")
    assert replication.api.get(task)["state"] == "Running"
    kafka_server.start().wait_ready()
    (rows,) = await_equal(own, topic).values()
    assert len(rows) == 120
    replication.delete(task)
    assert replication.state.hkeys(Keys().target(f"{kafka_server.address}/{topic.name}")) == [json.dumps([own.name])]


def _positions_hold(topic: KafkaTopic) -> None:
    """They are of their changes, and where a vchannel goes back, there are repeats only."""
    seen: dict[tuple[int, str], tuple[int, set[tuple[Any, ...]]]] = {}
    for message in topic.messages():
        change = json.loads(message.value())
        if "vchannel" not in change:
            continue
        at = int(change["timestamp"])
        position = Position.from_base64(change["position"])
        assert (position.channel, position.timestamp) == (change["vchannel"], at)
        last, before = seen.setdefault((message.partition(), change["vchannel"]), (0, set()))
        what = (at, change["op"], change["partition"], change["key"], message.value())
        assert at >= last or what in before, f"{change['op']} of {change['key']} comes late, and for the first time"
        before.add(what)
        seen[message.partition(), change["vchannel"]] = (max(at, last), before)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """As JSON has it."""
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, bytes):
        with suppress(ValueError):
            return json.loads(value)
    if isinstance(value, str | dict | int | float | bool):
        return value
    return [_plain_value(each) for each in value]
