"""What is asked of a broker that wants credentials, whichever it is."""

import time
from collections.abc import Callable
from contextlib import closing

from cdc_core.source.base import Queue, Record

PATIENCE = 30.0
"""Seconds."""


def reads(queue: Queue, topic: str) -> None:
    """The one message of that topic, `a message`; closes the queue."""
    with closing(queue), closing(queue.reader()) as reader:
        assert topic in queue.topics()
        reader.add(topic, b"")
        found: list[object] = []
        until(lambda: found.extend(reader.poll(0.5)) or found)
        (record,) = found
        assert isinstance(record, Record)
        assert record.payload == b"a message"
        assert queue.tail(topic) == record.message_id


def until(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)
