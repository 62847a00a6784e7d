"""What every source queue does, on the twin in memory and on the real ones."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from cdc_core.errors import PositionTrimmed, SourceUnavailable
from cdc_core.source.base import Lost, Reader, Record
from deploy.local import Kafka
from tests.contract.brokers import Broker, KafkaBroker

pytestmark = pytest.mark.contract

PATIENCE = 30.0
"""Seconds for what must happen; a loaded machine may take long."""
QUIET = 0.3
"""Seconds in which nothing may happen."""


@pytest.fixture
def reader(broker: Broker) -> Iterator[Reader]:
    one = broker.queue.reader()
    yield one
    one.close()


def fill(broker: Broker, topic: str, count: int, first: int = 0, size: int = 0) -> list[bytes]:
    """Messages with the payloads "first", "first + 1" and so on, blanks up to `size` bytes behind; their ids."""
    return [broker.append(topic, (b"%d" % number).ljust(size)) for number in range(first, first + count)]


def read(reader: Reader, count: int) -> list[Record]:
    """The next `count` records; no more come with them, and nothing is lost."""
    found: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} records came"
        for item in reader.poll(0.5):
            assert isinstance(item, Record), item
            found.append(item)
    assert len(found) == count
    return found


def lost(reader: Reader) -> tuple[list[Record], Lost]:
    """The next loss, and the records that come before it."""
    before: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for item in reader.poll(0.5):
            if isinstance(item, Lost):
                return before, item
            before.append(item)
    raise AssertionError("no loss was told")


def numbers(records: list[Record], topic: str | None = None) -> list[int]:
    return [int(record.payload) for record in records if topic in (None, record.pchannel)]


def quiet(reader: Reader) -> bool:
    """Nothing comes for a while."""
    deadline = time.monotonic() + QUIET
    while time.monotonic() < deadline:
        if reader.poll(0.1):
            return False
    return True


def test_reads_from_the_beginning_in_order(broker: Broker, reader: Reader) -> None:
    topic = broker.topic()
    ids = fill(broker, topic, 20)
    reader.add(topic, b"")
    records = read(reader, 20)
    assert numbers(records) == list(range(20))
    assert [record.message_id for record in records] == ids
    assert [record.order for record in records] == [broker.queue.order(id_) for id_ in ids]
    assert all(record.pchannel == topic for record in records)


def test_start_is_inclusive(broker: Broker, reader: Reader) -> None:
    topic = broker.topic()
    ids = fill(broker, topic, 10)
    reader.add(topic, ids[4])
    assert numbers(read(reader, 6)) == list(range(4, 10))


def test_starts_at_the_tail_with_the_last_message(broker: Broker, reader: Reader) -> None:
    topic = broker.topic()
    ids = fill(broker, topic, 3)
    assert broker.queue.tail(topic) == ids[-1]
    reader.add(topic, broker.queue.tail(topic))
    assert numbers(read(reader, 1)) == [2]
    fill(broker, topic, 2, first=3)
    assert numbers(read(reader, 2)) == [3, 4]


def test_a_start_just_behind_the_tail_waits_for_the_next_message(broker: Broker, reader: Reader) -> None:
    topic = broker.topic()
    ids = fill(broker, topic, 3)
    reader.add(topic, broker.behind(ids[-1], 1))
    assert quiet(reader)
    fill(broker, topic, 2, first=3)
    assert numbers(read(reader, 2)) == [3, 4]


def test_a_start_far_behind_the_tail_is_refused(broker: Broker, reader: Reader) -> None:
    topic = broker.topic()
    ids = fill(broker, topic, 3)
    with pytest.raises(PositionTrimmed, match="made anew or cut off"):
        reader.add(topic, broker.behind(ids[-1], 1000))


def test_another_reader_goes_on_where_one_ended(broker: Broker) -> None:
    topic = broker.topic()
    fill(broker, topic, 10)
    with contextlib.closing(broker.queue.reader()) as first:
        first.add(topic, b"")
        last = read(first, 10)[-1]
    fill(broker, topic, 5, first=10)
    with contextlib.closing(broker.queue.reader()) as second:
        second.add(topic, last.message_id)
        assert numbers(read(second, 6)) == list(range(9, 15))


def test_pchannels_are_each_in_order_while_one_is_paused(broker: Broker, reader: Reader) -> None:
    topics = [broker.topic() for _ in range(4)]
    for topic in topics:
        fill(broker, topic, 5)
        reader.add(topic, b"")
    held, others = topics[0], topics[1:]
    first = read(reader, 20)
    reader.pause(held)
    for topic in topics:
        fill(broker, topic, 20, first=5)
    meanwhile = read(reader, 60)
    assert numbers(meanwhile, held) == []
    assert quiet(reader)
    reader.resume(held)
    after = read(reader, 20)
    assert numbers(after, held) == list(range(5, 25))
    for topic in others:
        assert numbers(first + meanwhile, topic) == list(range(25))


def test_pausing_again_and_again_loses_and_doubles_nothing(broker: Broker, reader: Reader) -> None:
    topics = [broker.topic() for _ in range(2)]
    for topic in topics:
        fill(broker, topic, 100)
        reader.add(topic, b"")
    found: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    for turn in range(10_000):
        reader.pause(topics[turn % 2])
        reader.resume(topics[(turn + 1) % 2])
        for item in reader.poll(0.2):
            assert isinstance(item, Record)
            assert item.pchannel != topics[turn % 2], "a record of a paused pchannel"
            found.append(item)
        if len(found) >= 200 or time.monotonic() > deadline:
            break
    for topic in topics:
        assert numbers(found, topic) == list(range(100))


def test_what_is_removed_comes_no_more_and_can_be_added_again(broker: Broker, reader: Reader) -> None:
    topics = [broker.topic() for _ in range(2)]
    ids = [fill(broker, topic, 5) for topic in topics]
    for topic in topics:
        reader.add(topic, b"")
    read(reader, 10)
    reader.remove(topics[0])
    reader.remove("never-added")
    for topic in topics:
        fill(broker, topic, 5, first=5)
    assert numbers(read(reader, 5), topics[1]) == list(range(5, 10))
    assert quiet(reader)
    reader.add(topics[0], ids[0][2])
    assert numbers(read(reader, 8), topics[0]) == list(range(2, 10))


def test_adding_does_not_disturb_the_others(broker: Broker, reader: Reader) -> None:
    topics = [broker.topic() for _ in range(5)]
    for topic in topics:
        fill(broker, topic, 30)
    found: list[Record] = []
    for topic in topics:
        reader.add(topic, b"")
        found += [item for item in reader.poll(0.5) if isinstance(item, Record)]
    found += read(reader, 150 - len(found))
    for topic in topics:
        assert numbers(found, topic) == list(range(30))


def test_a_trimmed_start_is_refused_and_says_what_is_gone(broker: Broker, reader: Reader) -> None:
    topic = broker.topic()
    ids = fill(broker, topic, 6)
    broker.cut(topic)
    ids += fill(broker, topic, 4, first=6)
    broker.trim(topic, ids[6])
    assert broker.queue.head(topic) == ids[6]
    with pytest.raises(PositionTrimmed, match=f"{topic}.*{broker.gap(ids[2], ids[6])}"):
        reader.add(topic, ids[2])
    reader.add(topic, ids[6])
    assert numbers(read(reader, 4)) == [6, 7, 8, 9]


def test_what_is_trimmed_before_it_was_read_ends_the_pchannel(broker: Broker, reader: Reader) -> None:
    """At most what had been fetched already comes before that is told."""
    topic, other = broker.topic(), broker.topic()
    fill(broker, topic, 3)
    fill(broker, other, 3)
    reader.add(topic, b"")
    reader.add(other, b"")
    read(reader, 6)
    reader.pause(topic)
    fill(broker, topic, 300, first=3, size=1 << 16)  # more than any reader has fetched by then
    broker.cut(topic)
    ids = fill(broker, topic, 5, first=303)
    broker.trim(topic, ids[0])
    reader.resume(topic)
    before, told = lost(reader)
    assert numbers(before) == list(range(3, 3 + len(before)))
    assert len(before) < 300
    assert told.pchannel == topic
    assert isinstance(told.error, PositionTrimmed)
    fill(broker, other, 2, first=3)
    assert numbers(read(reader, 2), other) == [3, 4]
    assert quiet(reader), "the pchannel is not read any more"


def test_trimming_what_was_read_harms_nothing(broker: Broker, reader: Reader) -> None:
    topic = broker.topic()
    fill(broker, topic, 8)
    broker.cut(topic)
    ids = fill(broker, topic, 2, first=8)
    reader.add(topic, b"")
    read(reader, 10)
    broker.trim(topic, ids[0])
    fill(broker, topic, 3, first=10)
    assert numbers(read(reader, 3)) == [10, 11, 12]


def test_a_topic_is_read_when_it_appears(broker: Broker, reader: Reader) -> None:
    topic, other = broker.topic(), broker.topic()
    fill(broker, other, 3)
    assert broker.queue.tail(topic) == b""
    assert broker.queue.head(topic) == b""
    reader.add(topic, b"")
    reader.add(other, b"")
    assert numbers(read(reader, 3), other) == [0, 1, 2]
    assert topic not in broker.queue.topics(), "looking for a topic does not make it"
    fill(broker, topic, 3)
    appeared = time.monotonic()
    assert numbers(read(reader, 3), topic) == [0, 1, 2]
    assert time.monotonic() - appeared < 5
    assert {topic, other} <= broker.queue.topics()


def test_a_topic_that_appears_while_paused_stays_paused(broker: Broker, reader: Reader) -> None:
    topic = broker.topic()
    reader.add(topic, b"")
    reader.pause(topic)
    fill(broker, topic, 3)
    assert quiet(reader)
    reader.resume(topic)
    assert numbers(read(reader, 3)) == [0, 1, 2]


def test_big_messages_pass(broker: Broker, reader: Reader) -> None:
    topic = broker.topic()
    payloads = [bytes([number]) * (8 << 20) for number in range(6)]
    for payload in payloads:
        broker.append(topic, payload)
    reader.add(topic, b"")
    assert [record.payload for record in read(reader, 6)] == payloads


def test_a_poll_answers_as_soon_as_there_is_something(broker: Broker, reader: Reader) -> None:
    topic = broker.topic()
    fill(broker, topic, 1)
    reader.add(topic, b"")
    read(reader, 1)
    fill(broker, topic, 1, first=1)
    began = time.monotonic()
    assert len(reader.poll(10.0)) == 1
    assert time.monotonic() - began < 3


def test_a_poll_is_bounded_in_bytes(broker: Broker, reader: Reader) -> None:
    topic = broker.topic()
    for _ in range(80):
        broker.append(topic, bytes(500_000))
    reader.add(topic, b"")
    found, largest = 0, 0
    deadline = time.monotonic() + PATIENCE
    while found < 80 and time.monotonic() < deadline:
        records = reader.poll(1.0)
        found += len(records)
        largest = max(largest, sum(len(item.payload) for item in records if isinstance(item, Record)))
    assert found == 80
    assert largest <= 24 << 20


def test_a_paused_pchannel_takes_no_memory(broker: Broker, reader: Reader) -> None:
    """Given 160 MB in a topic that is paused, when another is polled for a while, then memory stays."""
    held, other = broker.topic(), broker.topic()
    for _ in range(20):
        broker.append(held, bytes(8 << 20))
    reader.add(held, b"")
    reader.add(other, b"")
    begun = 0
    while not begun:
        begun = len(reader.poll(1.0))
    reader.pause(held)
    assert quiet(reader)
    before = _resident_bytes()
    for number in range(20):
        fill(broker, other, 1, first=number)
        assert numbers(read(reader, 1)) == [number]
    assert _resident_bytes() - before < 32 << 20
    reader.resume(held)
    read(reader, 20 - begun)


def test_goes_on_without_loss_or_double_after_the_queue_was_away(broker: Broker, reader: Reader) -> None:
    topics = [broker.topic() for _ in range(3)]
    for topic in topics:
        fill(broker, topic, 10)
        reader.add(topic, b"")
    found = read(reader, 30)
    broker.take_down()
    with pytest.raises(SourceUnavailable):
        _poll_until_error(reader)
    broker.bring_back()
    for topic in topics:
        fill(broker, topic, 10, first=10)
    found += _read_through_errors(reader, 30)
    for topic in topics:
        assert numbers(found, topic) == list(range(20))


def test_a_kafka_that_hangs_is_told(kafka_server: Kafka) -> None:
    """Its connections stay open: the client itself says nothing of it for a minute."""
    broker = cast("Broker", KafkaBroker(kafka_server))
    reader = broker.queue.reader()
    try:
        topic = broker.topic()
        fill(broker, topic, 10)
        reader.add(topic, b"")
        found = read(reader, 10)
        kafka_server.suspend()
        try:
            with pytest.raises(SourceUnavailable):
                _poll_until_error(reader)
        finally:
            kafka_server.resume_process()
        fill(broker, topic, 10, first=10)
        assert numbers(found + _read_through_errors(reader, 10)) == list(range(20))
    finally:
        reader.close()
        broker.close()


def test_questions_while_the_queue_is_away_say_so(broker: Broker) -> None:
    topic = broker.topic()
    fill(broker, topic, 1)
    broker.take_down()
    try:
        for question in (lambda: broker.queue.tail(topic), lambda: broker.queue.head(topic)):
            with pytest.raises(SourceUnavailable):
                question()
    finally:
        broker.bring_back()
    ends = _answered(lambda: (broker.queue.tail(topic), broker.queue.head(topic)))
    assert ends[0] == ends[1] != b""


def test_an_id_of_another_queue_is_refused(broker: Broker) -> None:
    with pytest.raises(ValueError, match="no message id"):
        broker.queue.order(b"\x08\x01\x10")


def _answered(question: Callable[[], tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """A broker that has just come back may still be busy with itself."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return question()
        except SourceUnavailable:
            assert time.monotonic() < deadline, "it does not answer again"


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _poll_until_error(reader: Reader) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert not reader.poll(0.2)


def _read_through_errors(reader: Reader, count: int) -> list[Record]:
    found: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} records came"
        with contextlib.suppress(SourceUnavailable):
            for item in reader.poll(0.5):
                assert isinstance(item, Record), item
                found.append(item)
    return found
