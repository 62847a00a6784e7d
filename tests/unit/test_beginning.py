"""Where a task begins, on a queue in memory."""

import threading
import time

import pytest

from cdc_core.codec.protobuf import common_pb2, msg_pb2
from cdc_core.errors import SourceUnavailable
from cdc_core.model.catalog import Catalog, Collection, ObjectState
from cdc_core.model.channel import VChannel
from cdc_core.model.message import Kind
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.source.beginning import begin_here
from cdc_core.source.memory import MemoryQueue

pytestmark = pytest.mark.unit

USED, IDLE, OP = "in-rootcoord-dml_0", "in-rootcoord-dml_1", "in-replicate-msg"


def payload(kind: int, timestamp: int) -> bytes:
    return msg_pb2.TimeTickMsg(base=common_pb2.MsgBase(msg_type=kind, timestamp=timestamp)).SerializeToString()


def collection(id_: int, state: ObjectState, pchannel: str = USED) -> Collection:
    return Collection(id_, "default", f"c{id_}", Tso(1), state, b"", (VChannel(pchannel, id_, 0),), {}, 0, {}, ())


def catalog(*collections: Collection) -> Catalog:
    return Catalog(1, {}, {item.id: item for item in collections})


def test_a_channel_in_use_begins_at_its_first_tick_from_the_tail_on() -> None:
    queue = MemoryQueue()
    queue.append(USED, payload(Kind.TIME_TICK, 10))
    queue.append(USED, payload(Kind.INSERT, 25))

    def tick_later() -> None:
        time.sleep(0.05)
        queue.append(USED, payload(Kind.INSERT, 22))
        queue.append(USED, payload(Kind.TIME_TICK, 30))
        queue.append(USED, payload(Kind.TIME_TICK, 40))

    later = threading.Thread(target=tick_later)
    later.start()
    beginning = begin_here(catalog(collection(7, ObjectState.CREATED)), queue, "in")
    later.join()
    assert beginning.tails[USED] == Position(USED, (3).to_bytes(8, "little"), Tso(30))


def test_other_channels_begin_behind_their_last_message_and_what_was_never_written_at_its_beginning() -> None:
    queue = MemoryQueue()
    for timestamp in (5, 6):
        queue.append(IDLE, payload(Kind.DROP_COLLECTION, timestamp))
    queue.append(OP, payload(300, 9))
    queue.create("in-rootcoord-dml_2")
    queue.append("other-rootcoord-dml_0", payload(Kind.TIME_TICK, 1))
    dropped = collection(8, ObjectState.DROPPED, "in-rootcoord-dml_9")
    beginning = begin_here(catalog(dropped), queue, "in")
    assert beginning.tails == {
        IDLE: Position(IDLE, (1).to_bytes(8, "little"), Tso(6)),
        OP: Position(OP, (0).to_bytes(8, "little"), Tso(9)),
        "in-rootcoord-dml_2": Position("in-rootcoord-dml_2", b""),
        "in-rootcoord-dml_9": Position("in-rootcoord-dml_9", b""),
    }


def test_without_a_tick_the_last_message_is_read_again() -> None:
    queue = MemoryQueue()
    tail = queue.append(USED, payload(Kind.INSERT, 25))
    beginning = begin_here(catalog(collection(7, ObjectState.CREATED)), queue, "in", wait=0.1)
    assert beginning.tails[USED] == Position(USED, tail)


@pytest.mark.parametrize("garbage", [b"", b"\xff\xff", b"\x0a\x03\x08\xff\xff"])
def test_a_last_message_that_cannot_be_read_is_an_end_like_any_other(garbage: bytes) -> None:
    """On the op channel the task begins behind it; on a channel in use at the tick that comes next."""
    queue = MemoryQueue()
    op = queue.append(OP, garbage)
    queue.append(USED, garbage)
    tick = queue.append(USED, payload(Kind.TIME_TICK, 10))
    beginning = begin_here(catalog(collection(7, ObjectState.CREATED)), queue, "in")
    assert beginning.tails == {OP: Position(OP, op), USED: Position(USED, tick, Tso(10))}


def test_what_is_still_being_created_is_newer_than_the_task() -> None:
    states = [ObjectState.CREATED, ObjectState.CREATING, ObjectState.DROPPING, ObjectState.DROPPED]
    collections = [collection(number, state) for number, state in enumerate(states)]
    assert begin_here(catalog(*collections), MemoryQueue(), "in").existing == {0, 2, 3}


def test_a_queue_that_does_not_answer_is_told() -> None:
    queue = MemoryQueue()
    queue.set_available(False)
    with pytest.raises(SourceUnavailable):
        begin_here(catalog(), queue, "in")
