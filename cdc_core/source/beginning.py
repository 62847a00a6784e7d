"""Where a new task begins: the present end of every topic of the source."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from cdc_core.clock import Clock, SystemClock
from cdc_core.codec.head import base_of
from cdc_core.errors import Undecodable
from cdc_core.model.catalog import Catalog, Collection, ObjectState
from cdc_core.model.channel import op_channel
from cdc_core.model.message import Kind
from cdc_core.model.position import Position
from cdc_core.model.task import Beginning
from cdc_core.model.timestamp import Tso
from cdc_core.source.base import Lost, Queue, Reader, Record

TICK_SECONDS = 2.0
"""How long a tick is waited for: a channel in use carries five a second."""
_POLL_SECONDS = 0.2
_ASKED_AT_ONCE = 16
"""Pulsar takes a tenth of a second to tell the end of a topic, and there may be hundreds."""


def begin_here(
    catalog: Catalog, queue: Queue, prefix: str, *, wait: float = TICK_SECONDS, clock: Clock | None = None
) -> Beginning:
    """The end of every pchannel, and the collections that exist; blocks up to `wait` seconds and the queue's own.

    The catalog is read before the topics' ends: a collection made in between is newer than the task and starts at its
    own start position. On a channel in use the end is the first tick at or after the last message: ticks separate what
    was before from what comes later, a message's place or its own timestamp does not. Where no tick comes (the source
    is down), it is the last message itself, which is then read once more: rather a message of before than one lost.
    On the op channel and on channels without a collection it is the last message and its timestamp.
    :raises SourceUnavailable: the queue does not answer.
    """
    collections = catalog.collections.values()
    existing = frozenset(item.id for item in collections if item.state is not ObjectState.CREATING)
    in_use = _pchannels(item for item in collections if item.state is ObjectState.CREATED)
    topics = {topic for topic in queue.topics() if topic.startswith(f"{prefix}-rootcoord-dml_")}
    channels = sorted({*_pchannels(collections), *topics, op_channel(prefix)})
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
        tails = dict(zip(channels, threads.map(queue.tail, channels), strict=True))
    found = {channel: Position(channel, tail) for channel, tail in tails.items()}
    reader = queue.reader()
    try:
        found |= _ends(reader, {c: t for c, t in tails.items() if t}, in_use, wait, clock or SystemClock())
    finally:
        reader.close()
    return Beginning(found, existing)


def _pchannels(collections: Iterable[Collection]) -> frozenset[str]:
    return frozenset(vchannel.pchannel for item in collections for vchannel in item.vchannels)


def _ends(
    reader: Reader, tails: dict[str, bytes], in_use: frozenset[str], wait: float, clock: Clock
) -> dict[str, Position]:
    """What could be found in time; a channel that is not in use ends with its first record read, its last message."""
    ends: dict[str, Position] = {}
    for channel, tail in tails.items():
        reader.add(channel, tail)
    deadline = clock.monotonic() + wait
    while len(ends) < len(tails) and clock.monotonic() < deadline:
        for item in reader.poll(_POLL_SECONDS):
            if isinstance(item, Lost):
                raise item.error
            if item.pchannel not in ends and (end := _end(item, item.pchannel in in_use)):
                ends[item.pchannel] = end
                reader.remove(item.pchannel)
    return ends


def _end(record: Record, must_tick: bool) -> Position | None:
    try:
        base = base_of(record.payload)
    except Undecodable:
        return None if must_tick else Position(record.pchannel, record.message_id)
    if must_tick and base.msg_type != Kind.TIME_TICK:
        return None
    return Position(record.pchannel, record.message_id, Tso(base.timestamp))
