"""Whole engines at messages that cannot be read: what a task skips or stops at is recorded once, and nothing else is
lost, doubled or out of order.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from cdc_core.coordination.leases import ChannelKey
from cdc_core.model.position import Position
from cdc_core.model.task import Desired, OnUndecodable
from cdc_core.names import OP_COLLECTION_ID
from cdc_core.sink.memory import Fault
from deploy.local import Redis
from tests.contract.recorder import broken
from tests.contract.source_of_rows import Unreadable
from tests.contract.turmoil import OnStandby

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("small_limits")]

SEEDS = range(int(os.environ.get("SOAK_SEEDS", "2")))


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_skipped_is_recorded_once_through_any_trouble(redis_server: Redis, seed: int) -> None:
    """Given garbage of every kind among the rows, when workers are killed at any of their calls, then each task lists
    what was its own or may have been, and the target has every row once.
    """
    run = OnStandby(redis_server.url(7), seed, on_undecodable=OnUndecodable.SKIP)
    run.source.garbage = 0.15
    try:
        run.disturb()
        run.source.garbage = 0.0
        run.calm_down()
        run.check()
        written = run.source.unreadable
        assert {each.collection for each in written} == {"", *run.source.collections}
        for name in run.source.collections:
            assert listed(run, task_of(name)) == places(each for each in written if each.collection in ("", name))
    finally:
        run.cluster.abandon()


def test_imports_that_the_target_cannot_be_told_of_are_skipped_and_recorded_once(redis_server: Redis) -> None:
    """Given a target that runs no imports, and workers killed at any of their calls, then each task lists every
    message of an import into its collection, says what to do, and the target has every row once, and no import.
    """
    run = OnStandby(redis_server.url(7), 5, on_undecodable=OnUndecodable.SKIP)
    run.target.runs_imports = False
    try:
        run.disturb()
        run.calm_down()
        run.check()
        for name in run.source.collections:
            assert len(listed(run, task_of(name))) == run.source.told[name] > 0
            (reason,) = {each.entry["reason"] for each in run.cluster.tasks.dead_letters.of_task(task_of(name)).first}
            assert "by hand" in reason
    finally:
        run.cluster.abandon()


@pytest.mark.parametrize("collection", ["c0", ""], ids=["of one vchannel", "of anybody"])
def test_whose_it_is_stops_until_another_task_skips_it(redis_server: Redis, collection: str) -> None:
    """Given two tasks of a collection each, and garbage in one of two topics, then what lies before it is on the
    target, the channels whose it is stop with a reason and a dead letter, and all others go on. A resume stops there
    again. A new task that skips, made with the positions of the stopped one, brings the rest.
    """
    run = OnStandby(redis_server.url(7), 3)
    source, tasks = run.source, run.cluster.tasks
    concerned = [collection] if collection else list(source.collections)
    try:
        run.cluster.add_worker()
        for _ in range(5):
            source.window(8)
        run.until_equal()
        before = {name: source.rows(name) for name in concerned}
        found = source.write_garbage(source.pchannels[0], collection)
        for _ in range(5):
            source.window(8)
        for _ in range(2):
            run.until(lambda: _stopped_alone(run, concerned), "they do not stop, or the others do")
            (reason,) = set(stopped(run).values())
            assert Position(found.pchannel, found.message_id).to_base64() in reason
            for name in source.collections:
                assert listed(run, task_of(name)) == places([found] if name in concerned else [])
            for name in concerned:
                assert of_shard(run.on_target(name), 0) == of_shard(before[name], 0)
                tasks.set_desired(task_of(name), Desired.PAUSED)
                run.until(lambda name=name: _rests(run, task_of(name)), "it does not rest")
                tasks.set_desired(task_of(name), Desired.RUNNING)
        for name in concerned:
            _succeed(run, name)
        run.until_equal()
        assert all(listed(run, f"again-{name}") == places([found]) for name in concerned)
        run.check()
    finally:
        run.cluster.abandon()


def test_rows_in_flight_before_it_are_not_given_up_with_their_collection(redis_server: Redis) -> None:
    """Given rows that the target does not take now, and garbage behind them, when the task is paused and resumed, then
    the rows arrive before it stops: a batch that was given up would leave the collection for good.
    """
    run = OnStandby(redis_server.url(7), 4)
    source, tasks, name = run.source, run.cluster.tasks, "c0"
    first = ChannelKey(task_of(name), source.collections[name].vchannels[0].name)
    try:
        run.cluster.add_worker()
        source.window(8)
        run.until_equal()
        tasks.set_desired(task_of("c1"), Desired.PAUSED)
        run.until(lambda: _rests(run, task_of("c1")), "the other does not rest")
        run.target.faults.extend([Fault.UNAVAILABLE] * 100_000)
        source.window(30)
        source.quiet()
        before = source.rows(name)
        run.until(lambda: run.cluster.channels.intent(first), "nothing is in flight")
        found = source.write_garbage(source.pchannels[0], name)
        source.quiet()
        run.until(lambda: listed(run, task_of(name)) == places([found]), "it is not recorded")
        tasks.set_desired(task_of(name), Desired.PAUSED)
        run.until(lambda: _epoch(run, first) > 1, "nobody else comes to settle it")
        run.target.faults.clear()
        for each in source.collections:
            tasks.set_desired(task_of(each), Desired.RUNNING)
        run.until(lambda: _stopped_alone(run, [name]), "it does not stop, or the others do")
        assert not any("unsettled" in state.fields for state in run.cluster.states())
        assert of_shard(run.on_target(name), 0) == of_shard(before, 0)
        assert broken(run.cluster.recorder.history) == []
    finally:
        run.cluster.abandon()


def task_of(collection: str) -> str:
    return f"task-{collection}"


def listed(run: OnStandby, task: str) -> set[str]:
    """The places of its dead letters, each of which is there once."""
    found = run.cluster.tasks.dead_letters.of_task(task)
    positions = [each.entry["position"] for each in found.first]
    assert found.count == len(positions) == len(set(positions))
    return set(positions)


def places(letters: Iterable[Unreadable]) -> set[str]:
    return {Position(each.pchannel, each.message_id).to_base64() for each in letters}


def stopped(run: OnStandby) -> dict[str, str]:
    return {state.key.name: state.stopped for state in run.cluster.states() if state.stopped}


def of_shard(rows: Counter[Any], shard: int) -> Counter[Any]:
    return Counter({row: count for row, count in rows.items() if row[0] % 2 == shard})


def _stopped_alone(run: OnStandby, concerned: Sequence[str]) -> bool:
    """Their first shards, and all else is equal."""
    collections = run.source.collections
    going = [(name, shard) for name in collections for shard in (0, 1) if shard or name not in concerned]
    return set(stopped(run)) == {collections[name].vchannels[0].name for name in concerned} and all(
        of_shard(run.on_target(name), shard) == of_shard(run.source.rows(name), shard) for name, shard in going
    )


def _epoch(run: OnStandby, key: ChannelKey) -> int:
    (state,) = run.cluster.channels.read([key])
    return state.number("epoch")


def _rests(run: OnStandby, task: str) -> bool:
    return not any(state.owner or state.unsettled for state in run.cluster.channels.of_task(task))


def _succeed(run: OnStandby, name: str) -> None:
    """Its task is deleted, and made anew with its positions, to skip."""
    tasks = run.cluster.tasks
    tasks.set_desired(task_of(name), Desired.PAUSED)
    run.until(lambda: _rests(run, task_of(name)), "it does not rest")
    points = [point for point in tasks.checkpoints(task_of(name)) if point.collection_id != OP_COLLECTION_ID]
    tasks.set_desired(task_of(name), Desired.DELETED)
    tasks.forget(task_of(name))
    run.cluster.recorder.forget_members()
    run.cluster.create(
        f"again-{name}",
        name,
        run.tails,
        positions={point.channel: point.position for point in points},
        on_undecodable=OnUndecodable.SKIP,
    )
