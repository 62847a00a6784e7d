"""Messages in the topics of a running source that cannot be read: a task stops there, or skips them, and says so.

They are written into the topics that the source itself reads: a Milvus 2.3.5 logs them and goes on. The task over
`default` that other tests share is away meanwhile, because it would stop.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import Producer

from cdc_core.codec.protobuf import common_pb2, msg_pb2
from cdc_core.model.channel import op_channel, pchannel_of
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.source.sequence import to_message_id
from deploy.local.compare import DEFAULT
from tests.replication import OwnDatabase, Replication, await_that
from tests.workload import Shape, index_and_load, make_collection, rows

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("replication", ["kafka"], indirect=True)]

UNKNOWN = msg_pb2.TimeTickMsg(base=common_pb2.MsgBase(msg_type=9999, msgID=1, timestamp=1)).SerializeToString()
GARBAGE = (b"\xff\xff no message", UNKNOWN, b"", None)
REASONS = ("malformed", "type 9999 (unknown)", "empty", "empty")
SIDES = ("stop", "skip")


@dataclass(frozen=True, slots=True)
class Side:
    """A database, and a task over it that does one of the two things at what it cannot read."""

    own: OwnDatabase
    task: str

    def shown(self) -> dict[str, Any]:
        return self.own.replication.api.get(self.task)

    def topics(self) -> set[str]:
        """Those that carry its collection's rows."""
        found = self.own.replication.api.position(self.task)["positions"]
        return {pchannel_of(each["channel_name"]) for each in found}

    def letters(self) -> list[dict[str, Any]]:
        """All of them; each is there once."""
        found = self.shown().get("dead_letters", {"count": 0, "entries": []})
        assert found["count"] == len(found["entries"]) == len({each["position"] for each in found["entries"]})
        return list(found["entries"])

    def reason(self) -> str:
        return str(self.shown().get("reason", ""))

    def indexes(self) -> list[str]:
        with closing(self.own.target()) as target:
            return list(target.list_indexes("films"))

    def rest(self) -> None:
        self.own.replication.api.pause(self.task)
        self.own.replication.at_rest(self.task)

    def again(self) -> Side:
        """The task anew, with its positions, to skip."""
        self.rest()
        places = self.own.replication.api.position(self.task)
        self.own.replication.delete(self.task)
        info = {"name": "films", "positions": {each["channel_name"]: each["msg_id"] for each in places["positions"]}}
        (op,) = places["op_positions"]
        made = self.own.task(info, rpc_channel_info={"position": op["msg_id"]}, on_undecodable="skip")
        return Side(self.own, made)


@pytest.fixture
def sides(replication: Replication) -> Iterator[dict[str, Side]]:
    """One of each, with a collection of 100 rows that is equal on both sides."""
    replication.delete(replication.task)
    with ExitStack() as stack:
        stack.callback(lambda: setattr(replication, "task", replication.create({DEFAULT: [{"name": "*"}]})))
        owns = {word: stack.enter_context(OwnDatabase(replication)) for word in SIDES}
        found = {word: Side(own, own.task(on_undecodable=word)) for word, own in owns.items()}
        for own in owns.values():
            make_collection(own.source, "films", Shape(shards=2))
            own.source.insert("films", list(rows(100)))
        for own in owns.values():
            own.equal("films")
        yield found


def test_rows_behind_what_cannot_be_read(replication: Replication, sides: dict[str, Side]) -> None:
    """Given bytes of no sense, an unknown type and nothing at all in the topics of two collections, then the one whose
    task stops says where and why and gets no row from behind, the other is equal; each lists what it met, once, also
    when all workers are killed. A new task that skips goes on where the stopped one is.
    """
    stop, skip = sides["stop"], sides["skip"]
    mine, theirs = stop.topics(), skip.topics()
    written = {topic: _write(replication, topic) for topic in mine | theirs}
    _change(sides, 100)
    skip.own.equal("films")
    await_that(lambda: len(stop.letters()) == len(mine), "the stopped one shows where it has stopped")
    _kill_workers(replication)
    _change(sides, 200)
    skip.own.equal("films")
    for topic in theirs:
        found = [each for each in skip.letters() if each["channel"] == topic]
        assert [each["position"] for each in found] == written[topic]
        assert all(reason in each["reason"] for reason, each in zip(REASONS, found, strict=True))
    assert len(skip.letters()) == len(GARBAGE) * len(theirs)
    stop.rest()
    replication.api.resume(stop.task)
    await_that(lambda: all(written[topic][0] in stop.reason() for topic in mine), "it has stopped again")
    assert stop.shown()["state"] == "Running"
    assert {each["position"] for each in stop.letters()} == {written[topic][0] for topic in mine}
    with closing(stop.own.target()) as target:
        found = target.query("films", "id >= 0", ["id"], limit=1_000, consistency_level="Eventually")
        assert {row["id"] for row in found} == set(range(100))
    again = stop.again()
    stop.own.equal("films")
    assert {each["position"] for each in again.letters()} == {place for topic in mine for place in written[topic]}


def test_operations_behind_what_cannot_be_read(replication: Replication, sides: dict[str, Side]) -> None:
    """Given the same in the topic of operations, then the rows of both tasks go on; the one that skips follows the
    operations behind it, the one that stops none of them, and says where and why.
    """
    stop, skip = sides["stop"], sides["skip"]
    topic = op_channel(replication.stack.source.channel_prefix)
    written = _write(replication, topic)
    _change(sides, 100)
    for side in (stop, skip):
        side.own.equal("films")
        side.own.source.release_collection("films")
        side.own.source.drop_index("films", "vector")
    await_that(lambda: not skip.indexes(), "the one that skips has no index any more")
    await_that(lambda: written[0] in stop.reason(), "the other says where it has stopped")
    _kill_workers(replication)
    index_and_load(skip.own.source, "films")
    skip.own.equal("films")
    assert [each["position"] for each in skip.letters()] == written
    assert {each["channel"] for each in skip.letters()} == {topic}
    assert skip.reason() == ""
    await_that(lambda: written[0] in stop.reason(), "the other has stopped again")
    assert [each["position"] for each in stop.letters()] == written[:1]
    assert stop.indexes() == ["vector"]
    again = stop.again()
    await_that(lambda: not stop.indexes(), "the operations behind it are applied")
    index_and_load(stop.own.source, "films")
    stop.own.equal("films")
    assert [each["position"] for each in again.letters()] == written


def test_an_import_that_the_target_cannot_be_told_of(replication: Replication, sides: dict[str, Side]) -> None:
    """Given the message that a 2.5 source writes for an import, composed, in the topics of each collection, and a
    standby that is a 2.3, then one task stops there and the other skips it; both say what to do, and only the rows of
    its own collection are concerned.
    """
    for side in sides.values():
        made = side.own.source.describe_collection("films")["collection_id"]
        base = common_pb2.MsgBase(msg_type=408, timestamp=_soon())
        files = [msg_pb2.ImportFile(id=1, paths=["films.parquet"])]
        payload = msg_pb2.ImportMsg(base=base, collection_name="films", collectionID=made, files=files, jobID=1)
        for topic in side.topics():
            _produce(replication, topic, payload.SerializeToString())
    _change(sides, 100)
    sides["skip"].own.equal("films")
    for side in sides.values():
        await_that(lambda side=side: len(side.letters()) == len(side.topics()), "every channel shows its letter")
        assert all("by hand" in each["reason"] for each in side.letters())
    await_that(lambda: "an import of files" in sides["stop"].reason(), "the other says why it has stopped")
    assert sides["skip"].reason() == ""
    again = sides["stop"].again()
    again.own.equal("films")
    assert len(again.letters()) == len(again.topics())


def _write(replication: Replication, topic: str) -> list[str]:
    """All the garbage; answers where each is, as a position."""
    offsets = [_produce(replication, topic, payload) for payload in GARBAGE]
    return [Position(topic, to_message_id(offset)).to_base64() for offset in offsets]


def _soon() -> Tso:
    """A time of the source that none of its ticks has reached."""
    return Tso.of(int(time.time() * 1000) + 1_000)


def _produce(replication: Replication, topic: str, payload: bytes | None) -> int:
    """Answers the offset."""
    assert replication.stack.kafka
    offsets: list[int] = []
    producer = Producer({"bootstrap.servers": replication.stack.kafka.address})
    producer.produce(topic, payload, partition=0, on_delivery=lambda _error, made: offsets.append(made.offset()))
    producer.flush()
    return offsets[0]


def _change(sides: dict[str, Side], start: int) -> None:
    for side in sides.values():
        side.own.source.insert("films", list(rows(100, start)))
        side.own.source.delete("films", ids=[start, start + 1])


def _kill_workers(replication: Replication) -> None:
    for worker in replication.system.workers:
        worker.kill()
    replication.system.start()
