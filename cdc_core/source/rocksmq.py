"""RocksMQ, the queue inside a standalone Milvus, read beside the running server from the same volume."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rocksdict import Rdict

from cdc_core.errors import PositionTrimmed
from cdc_core.source.base import Lost, Record
from cdc_core.source.rocksmq_secondary import Secondary, Topic
from cdc_core.source.sequence import Bounds, to_message_id, to_number, trimmed

_LOOK_SECONDS = 0.04
"""Between two looks while nothing comes: half of it is added to the latency, and all cost 1 to 2 % of a core."""
_POLL_BYTES = 8 << 20
"""A poll stops behind the message that passes this."""
_TOPIC_KEY = b"topic_id/"


class RocksmqQueue:
    """The database at Milvus' `rocksmq.path`, and its `<path>_meta_kv` for the names of the topics."""

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory)
        self._data = open_data(self._directory)
        self._meta = Secondary(self._directory.with_name(self._directory.name + "_meta_kv"), ("default",))

    def reader(self) -> RocksmqReader:
        return RocksmqReader(open_data(self._directory))

    def order(self, message_id: bytes) -> int:
        return to_number(message_id)

    def tail(self, pchannel: str) -> bytes:
        bounds = self._bounds(pchannel)
        return bounds.last_id if bounds else b""

    def head(self, pchannel: str) -> bytes:
        bounds = self._bounds(pchannel)
        return bounds.first_id if bounds else b""

    def topics(self) -> frozenset[str]:
        with self._meta.caught_up() as database:
            return frozenset(_topic_names(database))

    def close(self) -> None:
        self._data.close()
        self._meta.close()

    def _bounds(self, pchannel: str) -> Bounds | None:
        with self._data.caught_up() as database:
            return bounds_of(Topic(pchannel, database.iter()))


@dataclass(slots=True)
class _Place:
    """Where a pchannel is: the message `number` comes next (`inclusive`) or was the last one read."""

    number: int
    inclusive: bool


class RocksmqReader:
    """The Reader of a RocksmqQueue: one secondary instance for all its pchannels."""

    def __init__(self, secondary: Secondary) -> None:
        self._secondary = secondary
        self._places: dict[str, _Place | None] = {}
        """By pchannel, the one that waited longest first; None is the beginning of the topic."""
        self._paused: set[str] = set()
        self._seen = -1
        """The database's sequence number up to which every pchannel that is not paused has been read."""

    def add(self, pchannel: str, start: bytes) -> None:
        if pchannel in self._places:
            raise ValueError(f"{pchannel} is read already: remove it first")
        place = _Place(to_number(start), inclusive=True) if start else None
        if place:
            with self._secondary.caught_up() as database:
                bounds = bounds_of(Topic(pchannel, database.iter()))
            if bounds:
                bounds.check(pchannel, place.number)
        self._places[pchannel] = place
        self._seen = -1

    def remove(self, pchannel: str) -> None:
        self._places.pop(pchannel, None)
        self._paused.discard(pchannel)

    def pause(self, pchannel: str) -> None:
        self._paused.add(pchannel)

    def resume(self, pchannel: str) -> None:
        self._paused.discard(pchannel)
        self._seen = -1

    def poll(self, timeout: float) -> Sequence[Record | Lost]:
        deadline = time.monotonic() + timeout
        while True:
            found = self._look()
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(left, _LOOK_SECONDS))

    def close(self) -> None:
        self._places.clear()
        self._secondary.close()

    def _look(self) -> list[Record | Lost]:
        """Everything new, up to the size of a poll."""
        if not self._places.keys() - self._paused:
            return []
        with self._secondary.caught_up() as database:
            sequence: int = database.latest_sequence_number()
            if sequence == self._seen:
                return []
            found, size = self._read(database)
            self._seen = sequence if size < _POLL_BYTES else -1
        self._advance(found)
        return found

    def _read(self, database: Rdict) -> tuple[list[Record | Lost], int]:
        iterator = database.iter()
        found: list[Record | Lost] = []
        size = 0
        for pchannel in [name for name in self._places if name not in self._paused]:
            try:
                for record in _new_records(pchannel, self._places[pchannel], Topic(pchannel, iterator)):
                    found.append(record)
                    size += len(record.payload)
                    if size >= _POLL_BYTES:
                        return found, size
            except PositionTrimmed as error:
                found.append(Lost(pchannel, error))
        return found, size

    def _advance(self, found: list[Record | Lost]) -> None:
        """Only now that nothing can fail any more: a look that failed is looked again, from the same places."""
        for pchannel, item in {item.pchannel: item for item in found}.items():
            if isinstance(item, Lost):
                self.remove(pchannel)
            else:
                del self._places[pchannel]  # to the end: the others are next if the poll was full
                self._places[pchannel] = _Place(item.order, inclusive=False)


def open_data(directory: Path) -> Secondary:
    """The messages' database."""
    return Secondary(directory, ("default", "properties"))


def bounds_of(topic: Topic) -> Bounds | None:
    """None when it holds nothing, or is none."""
    first, last = topic.seek(), topic.seek_last()
    return None if first is None or last is None else Bounds(first, last + 1, dense=False)


def _new_records(pchannel: str, place: _Place | None, topic: Topic) -> Iterator[Record]:
    """:raises PositionTrimmed: what comes next does not follow what was read."""
    number = topic.seek(place.number if place else 0)
    if place and number != place.number:
        number = _checked(pchannel, place, number, topic)
    elif place and not place.inclusive:
        number = topic.next()
    while number is not None:
        yield Record(pchannel, to_message_id(number), number, topic.payload())
        number = topic.next()


def _checked(pchannel: str, place: _Place, following: int | None, topic: Topic) -> int | None:
    """The message of the place is not there: either it has yet to come, or it is gone, perhaps with others behind it.

    Retention removes from the head, so nothing is missing as long as there is a message before the place.
    """
    bounds = bounds_of(topic)
    if bounds is None:
        return None
    if place.inclusive:
        bounds.check(pchannel, place.number)
    elif bounds.first > place.number:
        raise trimmed(pchannel, place.number + 1, bounds.first, dense=False)
    return topic.seek(following) if following is not None else None


def _topic_names(database: Rdict) -> Iterator[str]:
    iterator = database.iter()
    iterator.seek(_TOPIC_KEY)
    while iterator.valid() and iterator.key().startswith(_TOPIC_KEY):
        yield iterator.key()[len(_TOPIC_KEY) :].decode()
        iterator.next()
