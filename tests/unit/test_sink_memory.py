"""The memory target breaks what a standby breaks, and says so."""

import pytest

from cdc_core.codec import rewrite
from cdc_core.errors import TargetUnavailable, TaskStopped
from cdc_core.model.timestamp import Tso
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.memory import Fault, MemoryTarget
from tests.messages import collection, delete, parsed, simple_insert

pytestmark = pytest.mark.unit
T = Tso.of(1_700_000_000_000)


@pytest.fixture
def target() -> MemoryTarget:
    return MemoryTarget()


@pytest.fixture
def made(target: MemoryTarget) -> TargetCollection:
    target.create_collection(collection("c"))
    described = target.describe("default", "c")
    assert described is not None
    return described


def address(made: TargetCollection, shard: int = 0) -> rewrite.Address:
    partition = made.partitions["_default"]
    return rewrite.Address(made.id, made.vchannels[shard].name, "c", "default", partition, "_default")


def send(target: MemoryTarget, made: TargetCollection, *requests: object, tick: Tso | None = None) -> None:
    payloads = [rewrite.in_step(parsed(each.SerializeToString()), address(made)) for each in requests]  # type: ignore[attr-defined]
    target.send(made.vchannels[0].pchannel, payloads, begin=T, end=T, tick=tick, timeout=1)


def ids(target: MemoryTarget) -> list[object]:
    return [row["id"] for row in target.rows("default", "c")]


def test_a_late_row_is_a_violation_and_shows_up_with_the_next_tick(
    target: MemoryTarget, made: TargetCollection
) -> None:
    send(target, made, tick=Tso(T + 5))
    send(target, made, simple_insert([1], T + 5))
    assert [text.split()[0] for text in target.violations] == ["LATE"]
    assert ids(target) == []
    send(target, made, tick=Tso(T + 6))
    assert ids(target) == [1]


def test_a_lower_tick_does_no_harm(target: MemoryTarget, made: TargetCollection) -> None:
    send(target, made, simple_insert([1], T + 5), tick=Tso(T + 5))
    send(target, made, tick=Tso(T + 1))
    send(target, made, simple_insert([2], T + 6), tick=Tso(T + 6))
    assert ids(target) == [1, 2]
    assert target.violations == []
    assert target.ticks(made.vchannels[0].pchannel) == (T + 5, T + 1, T + 6)


def test_a_resend_is_dropped_before_its_tick_and_doubles_after_it(target: MemoryTarget, made: TargetCollection) -> None:
    request = simple_insert([1], T + 1)
    send(target, made, request, request)
    send(target, made, request, tick=T + 1)
    assert (ids(target), target.duplicates, target.violations) == ([1], 2, [])
    send(target, made, request, tick=Tso(T + 2))
    assert ids(target) == [1, 1]
    assert [text.split()[0] for text in target.violations] == ["LATE", "DOUBLE"]


def test_one_number_with_two_contents_is_a_violation(target: MemoryTarget, made: TargetCollection) -> None:
    send(target, made, simple_insert([1], T + 1, msg_id=7), simple_insert([2], T + 1, msg_id=7), tick=Tso(T + 1))
    assert ids(target) == [1]
    assert [text.split()[0] for text in target.violations] == ["CHANGED"]


def test_rows_on_both_sides_of_a_tick_are_a_violation(target: MemoryTarget, made: TargetCollection) -> None:
    send(target, made, simple_insert([1, 2], [T + 1, T + 9]), tick=Tso(T + 5))
    assert ids(target) == []
    assert [text.split()[0] for text in target.violations] == ["STRADDLING"]


def test_a_message_for_a_collection_that_is_gone_is_a_violation(target: MemoryTarget, made: TargetCollection) -> None:
    target.drop_collection("default", "c", T)
    send(target, made, simple_insert([1], T + 1), tick=Tso(T + 1))
    assert [text.split()[0] for text in target.violations] == ["LOST"]


def test_a_delete_takes_all_rows_of_its_key_that_are_older(target: MemoryTarget, made: TargetCollection) -> None:
    send(target, made, simple_insert([1, 1], T + 1), simple_insert([1], T + 2), delete([1], T + 2), tick=Tso(T + 2))
    assert ids(target) == [1]
    send(target, made, delete([1], T + 3), tick=Tso(T + 3))
    assert ids(target) == []


@pytest.mark.parametrize(
    ("fault", "written"), [(Fault.UNAVAILABLE, []), (Fault.AMBIGUOUS, [1, 2]), (Fault.PARTIAL, [1]), (Fault.LATER, [])]
)
def test_failures_on_demand(target: MemoryTarget, made: TargetCollection, fault: Fault, written: list[int]) -> None:
    """Whatever was written, the same call again makes it right."""
    requests = simple_insert([1], T + 1), simple_insert([2], T + 1)
    target.faults.append(fault)
    with pytest.raises(TargetUnavailable):
        send(target, made, *requests)
    send(target, made, *requests)
    target.land()
    send(target, made, tick=Tso(T + 1))
    assert ids(target) == [1, 2]
    assert target.duplicates == (2 if fault is Fault.LATER else len(written))
    assert target.violations == []


def test_a_call_that_lands_behind_its_tick_doubles(target: MemoryTarget, made: TargetCollection) -> None:
    target.faults.append(Fault.LATER)
    with pytest.raises(TargetUnavailable):
        send(target, made, simple_insert([1], T + 1, msg_id=3))
    send(target, made, simple_insert([1], T + 1, msg_id=3), tick=Tso(T + 1))
    target.land()
    assert [text.split()[0] for text in target.violations] == ["LATE"]


def test_no_standby() -> None:
    target = MemoryTarget(standby=False)
    with pytest.raises(TaskStopped):
        target.check(1)
    with pytest.raises(TaskStopped):
        target.send(target.topics[0], (), begin=T, end=T, tick=T, timeout=1)


def test_ticks_that_fail_are_answered(target: MemoryTarget) -> None:
    target.faults.append(Fault.UNAVAILABLE)
    failed = target.tick_all(dict.fromkeys(target.topics[:3], T), 1)
    assert list(failed) == [target.topics[0]]
