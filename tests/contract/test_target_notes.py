"""What every place for notes does, in memory and in Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc_core.coordination.client import connect
from cdc_core.coordination.target_notes import TargetNotes
from cdc_core.errors import StateUnavailable
from cdc_core.names import Keys
from cdc_core.sink.notes import MemoryNotes, Notes
from deploy.local import Redis

pytestmark = pytest.mark.contract


@pytest.fixture(params=["memory", "redis"])
def notes(request: pytest.FixtureRequest) -> Iterator[Notes]:
    if request.param == "memory":
        yield MemoryNotes()
        return
    server: Redis = request.getfixturevalue("redis_server")
    client = connect(server.url(9))
    client.flushdb()
    yield TargetNotes(client, Keys(), "k:9092/films")
    client.close()


def test_what_was_put_is_there_until_it_is_removed(notes: Notes) -> None:
    assert notes.get("a") is None
    assert list(notes.names()) == []
    notes.put({"a": "1", 'b"/ü': "2"})
    assert (notes.get("a"), notes.get('b"/ü'), sorted(notes.names())) == ("1", "2", ["a", 'b"/ü'])
    notes.put({"a": None, 'b"/ü': "3", "c": "4", "never": None})
    assert (notes.get("a"), notes.get('b"/ü'), sorted(notes.names())) == (None, "3", ['b"/ü', "c"])
    notes.put({})
    assert sorted(notes.names()) == ['b"/ü', "c"]


def test_those_of_two_targets_are_apart(redis_server: Redis) -> None:
    client = connect(redis_server.url(9))
    client.flushdb()
    one, other = (TargetNotes(client, Keys(), f"k:9092/{topic}") for topic in ("films", "books"))
    one.put({"a": "1"})
    assert (other.get("a"), list(other.names())) == (None, [])
    client.close()


def test_a_redis_that_is_away_is_told_as_every_other_trouble_of_the_state() -> None:
    notes = TargetNotes(connect("redis://127.0.0.1:1/0"), Keys(), "k:9092/films")
    for call in (lambda: notes.get("a"), notes.names, lambda: notes.put({"a": "1"})):
        with pytest.raises(StateUnavailable):
            call()
