"""What reading natsmq does to its server, and what is particular to streams."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from cdc_core.errors import PositionTrimmed
from cdc_core.source.base import Lost, Record
from cdc_core.source.natsmq import NatsmqQueue
from cdc_core.source.natsmq_reader import NatsmqReader
from deploy.local import Nats
from tests.contract.streams import Streams

pytestmark = pytest.mark.contract

PATIENCE = 30.0


@pytest.fixture
def streams(nats_server: Nats) -> Iterator[Streams]:
    with contextlib.closing(Streams(nats_server.address)) as hands:
        yield hands


@pytest.fixture
def queue(nats_server: Nats) -> Iterator[NatsmqQueue]:
    with contextlib.closing(NatsmqQueue(nats_server.address)) as one:
        yield one


@pytest.fixture
def reader(queue: NatsmqQueue) -> Iterator[NatsmqReader]:
    with contextlib.closing(queue.reader()) as one:
        yield one


@pytest.fixture
def stream() -> str:
    return f"by-dev-rootcoord-dml_{uuid.uuid4().hex[:12]}"


def read(reader: NatsmqReader, count: int) -> list[Record]:
    found: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} records came"
        for item in reader.poll(0.5):
            assert isinstance(item, Record), item
            found.append(item)
    return found


def await_that(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true that {what}"
        time.sleep(0.02)


def test_who_stops_reading_leaves_nothing_on_the_server(queue: NatsmqQueue, streams: Streams, stream: str) -> None:
    for number in range(3):
        streams.append(stream, b"%d" % number)
    with contextlib.closing(queue.reader()) as reader:
        reader.add(stream, b"")
        read(reader, 3)
        assert streams.consumer_count(stream) == 1
        reader.remove(stream)
        await_that(lambda: not streams.consumer_count(stream), "the consumer is gone after remove")
        reader.add(stream, b"")
        read(reader, 3)
    assert streams.consumer_count(stream) == 0


def test_who_is_killed_leaves_a_consumer_that_the_server_removes_by_itself(
    reader: NatsmqReader, streams: Streams, stream: str
) -> None:
    streams.append(stream, b"0")
    reader.add(stream, b"")
    (consumer,) = streams.consumers(stream)
    assert consumer.config.durable_name is None
    assert consumer.config.inactive_threshold == 30


def test_a_reader_that_rests_holds_back_no_retention(reader: NatsmqReader, streams: Streams, stream: str) -> None:
    """Given a stream that keeps ten messages, when more come while it is paused, then they go and it is told."""
    streams.make(stream, max_msgs=10)
    for number in range(5):
        streams.append(stream, b"%d" % number)
    reader.add(stream, b"")
    read(reader, 5)
    reader.pause(stream)
    for _ in range(600):  # more than one fetch
        streams.append(stream, b"x")
    assert streams.first(stream) == 596
    reader.resume(stream)
    found = _until_lost(reader)
    orders = [item.order for item in found if isinstance(item, Record)]
    assert orders == list(range(6, 6 + len(orders)))
    told = found[-1]
    assert isinstance(told, Lost)
    assert isinstance(told.error, PositionTrimmed)
    assert f"wanted message {6 + len(orders)}" in str(told.error)


def test_a_stream_that_was_made_anew_is_not_taken_for_the_old_one(
    reader: NatsmqReader, streams: Streams, stream: str
) -> None:
    for number in range(5):
        streams.append(stream, b"%d" % number)
    reader.add(stream, b"")
    read(reader, 5)
    streams.drop(stream)
    streams.append(stream, b"another")
    (told,) = _until_lost(reader)
    assert isinstance(told, Lost)
    assert "made anew or cut off" in str(told.error)


def test_messages_of_all_sizes_between_large_ones_come_in_order(
    reader: NatsmqReader, streams: Streams, stream: str
) -> None:
    sizes = [0, 10, 2 << 20, 1, 1, 900_000, 200_000, (1 << 20) - 100, 1 << 20, 30, 12 << 20, 5] * 3
    for size in sizes:
        streams.append(stream, bytes(size))
    reader.add(stream, b"")
    records = read(reader, len(sizes))
    assert [record.order for record in records] == list(range(1, len(sizes) + 1))
    assert [len(record.payload) for record in records] == sizes


def _until_lost(reader: NatsmqReader) -> list[Record | Lost]:
    found: list[Record | Lost] = []
    deadline = time.monotonic() + PATIENCE
    while not found or not isinstance(found[-1], Lost):
        assert time.monotonic() < deadline, "no loss was told"
        found += reader.poll(0.5)
    return found
