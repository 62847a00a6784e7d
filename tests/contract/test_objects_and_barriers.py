"""Partition maps and barriers in Redis, and the addresses that rows get by them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc_core.coordination.barriers import Barrier, Barriers
from cdc_core.coordination.objects import GONE, Objects, Wanted
from cdc_core.errors import Stopping
from cdc_core.model.message import Message
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.addresses import Addresses
from deploy.local import Redis
from tests.contract.state import State
from tests.messages import delete, parsed, simple_insert

pytestmark = pytest.mark.contract

T = Tso.of(1_700_000_000_000)


@pytest.fixture
def state(redis_server: Redis) -> Iterator[State]:
    state = State(redis_server.url(6))
    yield state
    state.close()


@pytest.fixture
def objects(state: State) -> Objects:
    return Objects(state.client, state.keys)


def addresses(state: State, objects: Objects, one_partition: str | None = None) -> Addresses:
    key = state.vchannel(1)
    plan = state.channels.read([key])[0].plan
    assert plan is not None
    return Addresses("one", plan, objects, one_partition)


def never(_message: Message, _waited: float, _older: int) -> None:
    pytest.fail("nothing is to be waited for")


def row(partition: int, name: str = "p") -> Message:
    return parsed(simple_insert([1], T, partition=(partition, name)).SerializeToString())


def test_a_known_partition_is_looked_up_once(state: State, objects: Objects) -> None:
    objects.put("one", 441, {7: "70"})
    found = addresses(state, objects)
    for _ in range(2):
        address = found.of(row(7), never)
        assert address is not None
        assert (address.partition_id, address.partition_name, address.collection_id) == (70, "p", 901)
        objects.forget("one", 441)


def test_a_delete_of_the_whole_collection_needs_no_partition(state: State, objects: Objects) -> None:
    address = addresses(state, objects).of(parsed(delete([1], T).SerializeToString()), never)
    assert address is not None
    assert (address.partition_id, address.partition_name) == (-1, "")


def test_rows_of_a_partition_that_is_gone_need_not_go_anywhere(state: State, objects: Objects) -> None:
    objects.put("one", 441, {7: GONE})
    assert addresses(state, objects).of(row(7), never) is None


def test_a_task_that_ignores_partitions_puts_all_rows_into_one(state: State, objects: Objects) -> None:
    objects.put("one", 441, {7: "70"})
    address = addresses(state, objects, "_default").of(row(7, "other"), never)
    assert address is not None
    assert address.partition_name == "_default"


def test_an_unknown_partition_is_asked_for_once_and_waited_for(state: State, objects: Objects) -> None:
    waits: list[list[Wanted]] = []

    def wait(_message: Message, _waited: float, _older: int) -> None:
        waits.append(objects.wanted("one"))
        if len(waits) == 3:
            objects.put("one", 441, {7: "70"})

    found = addresses(state, objects)
    with state.heard() as heard:
        address = found.of(row(7), wait)
    assert address is not None
    assert address.partition_id == 70
    assert waits == [[Wanted(441, 7)]] * 3
    assert heard == ["catalog one", "objects one"]
    assert objects.wanted("one") == [], "answered"


def test_a_stop_ends_the_wait(state: State, objects: Objects) -> None:
    def stop(_message: Message, _waited: float, _older: int) -> None:
        raise Stopping("PAUSE")

    with pytest.raises(Stopping):
        addresses(state, objects).of(row(7), stop)


def test_a_dropped_partition_is_gone_and_its_successor_known_to_be_behind_it(objects: Objects) -> None:
    objects.put("one", 441, {7: "70", 8: "80"})
    objects.put("one", 441, {})
    objects.put_behind("one", 441, 9, 7)
    objects.mark_dropped("one", 441, 7)
    assert objects.partitions("one", 441) == {7: GONE, 8: "80"}
    assert (objects.behind("one", 441, 9), objects.behind("one", 441, 8)) == (7, 0)
    assert objects.dropped("one", 441) == {7}
    assert objects.partitions("two", 441) == {}


def test_arriving_twice_is_arriving_once_and_barriers_come_oldest_first(state: State) -> None:
    barriers = Barriers(state.client, state.keys)
    early, late = Barrier(441, 0, "", T), Barrier(441, 7, "p", T + 1)
    with state.heard() as heard:
        for barrier, vchannel in ((late, "a"), (early, "a"), (early, "a"), (early, "b")):
            barriers.arrive("one", barrier, vchannel)
    assert heard == ["catalog one"] * 4
    assert list(barriers.open("one").items()) == [(early, {"a", "b"}), (late, {"a"})]
    barriers.remove("one", early)
    assert list(barriers.open("one")) == [late]
    assert barriers.open("two") == {}
