"""Nothing lost, nothing twice, in order: whole engines over memory queues and targets, with a real Redis.

What does this test do? It writes random rows into a source and lets several worker processes (engines in this one)
replicate them, while they are killed at random calls, their Redis answers get lost, the target fails in every way it
knows, and tasks are paused and resumed. At the end the target must hold what the source holds, nothing may have broken
a rule of the target (`MemoryTarget.violations`), and the history of everything sent must keep the invariants.
How does it accomplish this? A killed process is an engine whose every call to the outside fails for ever, from a random
call on; a lease that ran out is one whose deadline is put into the past. Everything random comes from the seed.

`SOAK_SEEDS=500` runs that many seeds instead of the few.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from cdc_core.codec.merge import MERGE_RULE
from cdc_core.coordination import scripts
from cdc_core.coordination.leases import ChannelKey
from cdc_core.model.task import Desired
from cdc_core.model.timestamp import Tso
from deploy.local import Redis
from tests.contract.cluster import TARGET
from tests.contract.recorder import Event, Seen, Sent, Ticked, broken
from tests.contract.turmoil import OnStandby

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("small_limits")]

SEEDS = range(int(os.environ.get("SOAK_SEEDS", "3")))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_row_exactly_once_through_any_trouble(redis_server: Redis, seed: int) -> None:
    run = OnStandby(redis_server.url(7), seed)
    try:
        run.disturb()
        run.calm_down()
        run.check()
    finally:
        run.cluster.abandon()


def test_a_partition_may_be_made_again_before_its_drop_is_told(redis_server: Redis) -> None:
    """Given rows of a partition that was made again under its name, when the older one's drop stands behind them in
    the queue, as a Milvus in trouble writes it, then nobody waits for what is never read, and only new rows are there.
    """
    run = OnStandby(redis_server.url(7), 1)
    source, names = run.source, list(run.source.collections)
    source.late_drops = 0.0
    try:
        run.cluster.add_worker()
        for name in names:
            source.add_partition(name)
        for _ in range(5):
            source.window(8)
        run.until_equal()
        for name in names:
            source.recreate_partition(name)
        before = len(source.changes)
        for _ in range(100):  # a vchannel without a row of the new one would have to wait for the drop
            source.window(8)
            written = source.changes[before:]
            if len({(row.collection, row.key % 2) for row in written if row.partition[:1] == "p"}) == 4:
                break
        else:
            pytest.fail("no rows for one of the vchannels")
        run.until_equal()
        assert all(len(run.on_target(name)) > 0 for name in names)
        source.tell_late_drops()
        run.calm_down()
        run.check()
    finally:
        run.cluster.abandon()


@pytest.mark.parametrize("rows", [0, 8])
def test_a_batch_that_a_late_round_began_again_when_it_was_recorded_is_taken_back(
    redis_server: Redis, rows: int
) -> None:
    """Given such a record, with a hold above the last tick, when its vchannel is claimed, then it goes on from its
    checkpoint, whether rows follow or only ticks."""
    run = OnStandby(redis_server.url(7), 2)
    cluster, name = run.cluster, "c0"
    try:
        cluster.add_worker()
        run.source.window(8)
        run.until_equal()
        cluster.tasks.set_desired("task-c0", Desired.PAUSED)
        run.until(lambda: not any(state.owner for state in cluster.channels.of_task("task-c0")), "it does not rest")
        key = ChannelKey("task-c0", run.source.collections[name].vchannels[0].name)
        (state,) = cluster.channels.read([key])
        assert state.plan is not None
        gate = cluster.keys.gate(TARGET.identity, state.plan.target_vchannel.pchannel)
        line = Tso(max(Tso.parse(str(cluster.client.hget(gate, "tick"))), state.resolved) + (1_000 << 18)).floor()
        base = Tso(line + 1).text
        intent = json.dumps({"to": state.resolved.text, "rule": MERGE_RULE})
        cluster.client.hset(gate, f"b:{key.member}", line.text)
        record = {"inflight": intent, "base": base, "last": base, "gate": gate}
        cluster.client.hset(cluster.keys.channel(key.task, key.name), mapping=record)
        cluster.tasks.set_desired("task-c0", Desired.RUNNING)
        run.source.window(rows)
        run.until(lambda: _beyond(run, key, state.resolved), "it does not go on")
        run.until_equal()
        assert f"b:{key.member}" not in cluster.client.hgetall(gate)
        run.calm_down()
        run.check()
    finally:
        run.cluster.abandon()


def _beyond(run: OnStandby, key: ChannelKey, resolved: Tso) -> bool:
    (state,) = run.cluster.channels.read([key])
    return "inflight" not in state.fields and state.resolved > resolved


WRONG = {
    "I2: the hold is raised before the record": (
        "redis.call('HSET', channel, 'inflight', intent, 'base', '', 'last', later(last, largest), 'gate', gate)",
        "redis.call('HSET', channel, 'inflight', intent, 'base', '', 'gate', gate) put('s:' .. member, largest)",
    ),
    "I3: a tick above the holds": ("or ts_floor(bound)", "or ts_plus(ts_floor(bound), 300 * LOGICAL)"),
    "no room of its own from behind": (
        "local base = ts_plus(line, 1)",
        "local base = ts_text(ts_parts(line) - 999, 1)",
    ),
}


@pytest.mark.parametrize("rule", WRONG)
def test_a_protocol_without_one_of_its_rules_is_found_out(
    redis_server: Redis, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the test above is known to be able to fail: each wrong script breaks something within a few seeds."""
    right, wrong = WRONG[rule]
    text = scripts.text("round")
    assert text.count(right) == 1
    monkeypatch.setattr(scripts, "text", lambda name: text.replace(right, wrong) if name == "round" else original(name))
    for seed in range(5):
        run = OnStandby(redis_server.url(7), seed)
        try:
            run.disturb()
            if broken(run.cluster.recorder.history) or run.target.violations:
                return
        finally:
            run.cluster.abandon()
    pytest.fail("nobody noticed")


original = scripts.text


def test_broken_histories_are_told_from_sound_ones() -> None:
    """The checker of the history has teeth."""
    at, line = Tso.of(1_000_010), Tso.of(1_000_000)
    sound = Sent("g", "m", 1, (at, Tso(at + 1)), b"x", line.text, "{}")
    tick = Ticked("g", line, line.text, {"s:m": line.text})
    history: list[Event] = [Seen("c", line.text), sound, sound, tick, Seen("c", at.text), Seen("c", at.text)]
    assert broken(history) == []
    wrong: dict[str, list[Event]] = {
        "I1 1 of m at g: sent at": [replace(sound, hold=at.text)],
        "under the hold none": [replace(sound, hold="")],
        "without an intent": [replace(sound, intent="")],
        "with other bytes": [sound, replace(sound, payload=b"y")],
        "I6 1 of m": [replace(sound, stamps=(at, Tso.of(1_000_051)))],
        "above the hold": [replace(tick, tick=Tso.of(1_000_050), granted=Tso.of(1_000_050).text)],
        "above the granted one": [replace(tick, granted="")],
        "inside a message": [sound, replace(tick, tick=at, granted=at.text, holds={})],
        "I5 c went back": [Seen("c", at.text), Seen("c", line.text)],
    }
    for complaint, events in wrong.items():
        assert [complaint in text for text in broken(events)] == [True], complaint
