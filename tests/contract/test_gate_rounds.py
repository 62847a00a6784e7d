"""The gate of a target pchannel: each branch of round.lua, on a real Redis. I1 to I6 are those of exactly-once.md."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cdc_core.coordination import gates as ops
from cdc_core.coordination.gates import Answer, Gates, Operation, Request, Round, Word
from cdc_core.coordination.late_writes import LateWrites
from cdc_core.coordination.leases import ChannelKey
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import TaskStore
from cdc_core.coordination.workers import Workers
from cdc_core.model.position import Position
from cdc_core.model.timestamp import GRID_MS, LOGICAL_MASK, Tso
from deploy.local import Redis
from tests.contract.state import State

pytestmark = pytest.mark.contract

MS = 1_700_000_000_000
EPOCH = "1"


def at(ms: int, logical: int = 0) -> Tso:
    return Tso.of(MS + ms, logical)


class GateHands:
    """The gate `pchannel` of one target, as worker `w` uses it for members that it has claimed."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.gates = Gates(state.client, state.keys, "w", keepalive=True)
        self.key = state.keys.gate("target", "pchannel")
        self._made = 0

    def member(self, **fields: str) -> ChannelKey:
        self._made += 1
        key = self.state.vchannel(self._made, **fields)
        assert self.state.claimed(key, "w").epoch == EPOCH
        return key

    def round(self, *operations: Operation, least: int | None = None) -> Round:
        return self.gates.round(Request("target", "pchannel", operations, least))

    def one(self, operation: Operation) -> Answer:
        return self.round(operation).answers[0]

    def raise_(self, key: ChannelKey, to: Tso) -> Word:
        return self.one(ops.raise_(key, EPOCH, place(to), to)).word

    def begin(self, key: ChannelKey, to: Tso, largest: Tso, count: int = 1) -> Answer:
        return self.one(begin(key, to, largest, count))

    def commit(self, key: ChannelKey, to: Tso) -> Word:
        return self.one(ops.commit(key, EPOCH, place(to), to)).word

    def tick(self) -> Tso | None:
        return self.round(least=0).tick

    @property
    def holds(self) -> dict[str, Tso]:
        found = self.state.client.hgetall(self.key)
        return {name: Tso.parse(text) for name, text in found.items() if name[:2] in ("s:", "b:")}


def place(to: Tso) -> Position:
    return Position("c", b"\1" * 8, to)


def begin(key: ChannelKey, to: Tso, largest: Tso, count: int = 1) -> Operation:
    smallest = Tso(largest - count + 1)
    return ops.begin(key, EPOCH, json.dumps({"to": to.text, "rule": 1}), smallest, largest, count)


@pytest.fixture
def state(redis_server: Redis) -> Iterator[State]:
    state = State(redis_server.url(6))
    state.task()
    yield state
    state.close()


@pytest.fixture
def gate(state: State) -> GateHands:
    return GateHands(state)


def test_a_member_joins_in_step_and_its_hold_rises_with_its_checkpoint(gate: GateHands) -> None:
    key = gate.member()
    assert gate.raise_(key, at(100)) is Word.STEP
    assert gate.holds == {f"s:{key.member}": at(100)}
    assert gate.begin(key, at(300), at(250)) == Answer(Word.STEP)
    assert gate.holds == {f"s:{key.member}": at(100)}, "I2: not before the record"
    record = gate.state.fields(key)
    assert (record["last"], record["gate"], record["resolved"]) == (at(250).text, gate.key, at(100).text)
    assert gate.commit(key, at(300)) is Word.STEP
    assert gate.holds == {f"s:{key.member}": at(300)}
    record = gate.state.fields(key)
    assert Position.from_base64(record["position"]) == place(at(300))
    assert record["resolved"] == at(300).text
    assert not {"inflight", "base"} & record.keys()


def test_who_is_below_the_tick_or_its_own_last_row_may_not_join(gate: GateHands) -> None:
    early, late, own = gate.member(), gate.member(), gate.member(last=at(500).text)
    gate.raise_(early, at(200))
    assert gate.tick() == at(200)
    assert gate.raise_(late, at(199, LOGICAL_MASK)) is Word.BEHIND
    assert gate.raise_(late, at(200)) is Word.STEP
    assert gate.raise_(own, at(499)) is Word.BEHIND
    assert gate.raise_(own, at(500)) is Word.STEP


def test_a_member_that_has_seen_no_tick_of_the_source_does_not_hold_up_everybody(gate: GateHands) -> None:
    assert gate.raise_(gate.member(), Tso(0)) is Word.BEHIND
    assert gate.holds == {}


def test_a_batch_from_behind_gets_a_grid_cell_above_everything_seen(gate: GateHands) -> None:
    front, key = gate.member(), gate.member(last=at(120, 7).text)
    gate.raise_(front, at(330))
    gate.tick()
    gate.raise_(front, at(410, 3))
    answer = gate.begin(key, at(90), at(80), count=5)
    assert answer == Answer(Word.BASE, at(450, 1)), "the line above the smallest hold in step"
    assert gate.holds[f"b:{key.member}"] == at(450)
    assert gate.state.fields(key)["last"] == at(450, 5).text
    assert gate.commit(key, at(90)) is Word.BEHIND
    assert f"b:{key.member}" not in gate.holds
    assert "gate" not in gate.state.fields(key)


def test_the_base_lies_above_the_tick_and_the_members_own_last_row(gate: GateHands) -> None:
    gate.state.client.hset(gate.key, "tick", at(1_000).text)
    by_tick, by_last = gate.member(), gate.member(last=at(2_000, 1).text)
    assert gate.begin(by_tick, at(90), at(80)).base == at(1_000, 1)
    assert gate.begin(by_last, at(90), at(80)).base == at(2_050, 1)


def test_where_nothing_was_ever_seen_the_base_is_the_rows_own_time(gate: GateHands) -> None:
    """Not 1970: a time to live counts from it."""
    assert gate.begin(gate.member(), at(90), at(80)).base == at(100, 1)


def test_a_new_gate_begins_at_the_sources_present_time(gate: GateHands) -> None:
    """The standby may have been ticked up to it before, by others: what is older must come from behind."""
    before = gate.state.channels.now()
    Workers(gate.state.client, gate.state.keys).report_source_clock(Tso.of(before + 86_400_000), 0.0)
    assert gate.tick() is None, "it is noted, not sent: the keep-alive is a second behind it"
    noted = gate.gates.tick("target", "pchannel")
    assert noted is not None
    assert before + 86_400_000 - GRID_MS <= noted.ms <= gate.state.channels.now() + 86_400_000
    assert gate.raise_(gate.member(), Tso(noted - 1)) is Word.BEHIND
    assert gate.raise_(gate.member(), noted) is Word.STEP


def test_a_new_gate_does_not_begin_above_a_hold(gate: GateHands) -> None:
    """I3: the source's clock was seen after the first batch began, and what is noted is sent when a target recovers."""
    key = gate.member()
    gate.begin(key, at(90), at(80))
    Workers(gate.state.client, gate.state.keys).report_source_clock(Tso.of(gate.state.channels.now()), 0.0)
    assert gate.round().last == Tso(0)
    assert gate.tick() == at(100), "the hold"


def test_with_nobody_in_step_the_base_follows_the_keep_alive(gate: GateHands) -> None:
    gate.state.client.hset(gate.key, "tick", at(100).text)
    Workers(gate.state.client, gate.state.keys).report_source_clock(Tso.of(gate.state.channels.now() + 86_400_000), 0.0)
    base = gate.begin(gate.member(), at(90), at(80)).base
    assert base is not None
    assert 0 <= gate.state.channels.now() + 86_400_000 - 1_000 - base.ms < 1_000


def test_timestamps_are_never_rounded(gate: GateHands) -> None:
    """Doubles hold 53 bits: neighbours of a real timestamp are equal in them."""
    key = gate.member()
    low, high = Tso.of(2**45, LOGICAL_MASK - 1), Tso.of(2**45, LOGICAL_MASK)
    assert float(low) == float(high)
    assert gate.raise_(key, high) is Word.STEP
    assert gate.holds[f"s:{key.member}"] == high
    assert gate.raise_(key, low) is Word.BACKWARD
    behind = gate.member(last=at(99, LOGICAL_MASK).text)
    gate.round(ops.leave(key, EPOCH))
    assert gate.begin(behind, at(5), at(4), count=LOGICAL_MASK + 3).base == at(100, 1)
    assert gate.state.fields(behind)["last"] == at(101, 2).text, "carried into the milliseconds"


def test_repeating_a_round_whose_answer_was_lost_changes_nothing(gate: GateHands) -> None:
    for key in (gate.member(), gate.member()):
        behind = bool(gate.holds)
        if not behind:
            gate.raise_(key, at(100))
        else:
            gate.state.client.hset(gate.key, "tick", at(5_000).text)
        first = gate.round(begin(key, at(200), at(150)))
        before = (gate.state.fields(key), gate.holds)
        assert gate.round(begin(key, at(200), at(150))).answers == first.answers
        assert (gate.state.fields(key), gate.holds) == before
        both = ops.commit(key, EPOCH, place(at(200)), at(200)), begin(key, at(300), at(250))
        second = gate.round(*both)
        before = (gate.state.fields(key), gate.holds)
        assert gate.round(*both).answers == second.answers
        assert (gate.state.fields(key), gate.holds) == before
        assert second.answers[0].word is (Word.BEHIND if behind else Word.STEP)
        commit = ops.commit(key, EPOCH, place(at(300)), at(300))
        assert gate.one(commit) == gate.one(commit)


def test_one_batch_at_a_time(gate: GateHands) -> None:
    key = gate.member()
    gate.raise_(key, at(100))
    gate.begin(key, at(200), at(150))
    assert gate.begin(key, at(300), at(250)).word is Word.BUSY
    assert gate.raise_(key, at(400)) is Word.BUSY
    assert gate.one(ops.leave(key, EPOCH)).word is Word.BUSY
    assert gate.holds == {f"s:{key.member}": at(100)}
    assert json.loads(gate.state.fields(key)["inflight"])["to"] == at(200).text


def test_a_checkpoint_never_goes_back(gate: GateHands) -> None:
    """I5: nor does what would end below it begin."""
    key = gate.member()
    gate.raise_(key, at(300))
    assert gate.raise_(key, at(299)) is Word.BACKWARD
    assert gate.begin(key, at(200), at(350)).word is Word.BACKWARD
    assert "inflight" not in gate.state.fields(key)
    gate.state.put(key, inflight=json.dumps({"to": at(200).text}))
    assert gate.commit(key, at(200)) is Word.BACKWARD
    assert gate.state.fields(key)["resolved"] == at(300).text
    assert gate.holds == {f"s:{key.member}": at(300)}
    assert "inflight" in gate.state.fields(key)


@pytest.mark.parametrize("behind", [False, True])
def test_a_round_that_comes_late_begins_nothing_again(gate: GateHands, behind: bool) -> None:
    """The client gave its connection up and made the round anew, and the kernel sent the first one later: nobody would
    send that batch, and its hold would stop all ticks of the channel."""
    key = gate.member()
    if behind:
        gate.state.client.hset(gate.key, "tick", at(5_000).text)
    else:
        gate.raise_(key, at(100))
    late = begin(key, at(200), at(150), count=2)
    gate.round(late)
    gate.commit(key, at(200))
    before = gate.state.fields(key), gate.holds
    assert gate.one(late).word is Word.BACKWARD
    assert (gate.state.fields(key), gate.holds) == before
    gate.raise_(key, at(300))
    before = gate.state.fields(key), gate.holds
    assert gate.one(late).word is Word.BACKWARD
    assert (gate.state.fields(key), gate.holds) == before


def test_rows_that_were_written_late_begin_though_the_checkpoint_is_at_their_end(gate: GateHands) -> None:
    """Of a source that was killed, between two ticks of one time: a batch of its own, with the end of the last one."""
    key = gate.member()
    gate.raise_(key, at(100))
    gate.begin(key, at(200), at(150))
    gate.commit(key, at(200))
    assert gate.begin(key, at(200), at(149)).base == at(150, 1)
    assert gate.commit(key, at(200)) is Word.STEP


def test_what_the_catalog_sends_of_its_own_ends_where_its_checkpoint_is(gate: GateHands) -> None:
    """Each of its drops is the same range; twice does no harm (pipeline/drops.py)."""
    key = gate.member(resolved=at(200).text)
    slip = ops.begin(key, EPOCH, json.dumps({"to": at(200).text, "pchannel": "p"}), at(200), at(200), 1)
    for base in (at(200, 1), at(250, 1)):
        assert gate.one(slip).base == base
        assert gate.round(ops.commit(key, EPOCH, place(at(200)), at(200)), ops.leave(key, EPOCH)).answers


def test_a_commit_of_what_never_began_is_nothing(gate: GateHands) -> None:
    key = gate.member()
    gate.raise_(key, at(100))
    assert gate.commit(key, at(200)) is Word.NOTHING
    gate.begin(key, at(300), at(250))
    assert gate.commit(key, at(200)) is Word.NOTHING
    assert gate.state.fields(key)["resolved"] == at(100).text


def test_leaving_takes_the_hold_back_and_lets_others_go_on(gate: GateHands) -> None:
    slow, fast = gate.member(), gate.member()
    gate.raise_(slow, at(100))
    gate.raise_(fast, at(500))
    assert gate.tick() == at(100)
    assert gate.round(ops.leave(slow, EPOCH), least=0).tick == at(500)
    assert "gate" not in gate.state.fields(slow)
    assert gate.one(ops.leave(slow, EPOCH)).word is Word.OK, "twice is once"


@pytest.mark.parametrize("behind", [False, True])
def test_an_abandoned_batch_holds_up_nobody_and_is_remembered(gate: GateHands, behind: bool) -> None:
    key = gate.member()
    if not behind:
        gate.raise_(key, at(100))
    gate.begin(key, at(200), at(150))
    assert gate.one(ops.abandon(key, EPOCH, "refused for good")).word is Word.OK
    record = gate.state.fields(key)
    assert gate.holds == {}
    assert not {"inflight", "base", "gate"} & record.keys()
    assert json.loads(record["unsettled"])["to"] == at(200).text
    assert record["unsettled_reason"] == "refused for good"
    assert gate.one(ops.abandon(key, EPOCH, "again")).word is Word.OK
    assert gate.state.fields(key)["unsettled_reason"] == "refused for good"


def test_who_does_not_hold_the_lease_changes_nothing_and_refuses_nobody_else(gate: GateHands) -> None:
    mine, other, renumbered = gate.member(), gate.member(), gate.member()
    gate.state.put(other, owner="v")
    gate.state.put(renumbered, epoch="2")
    refused = 0
    for key in (other, renumbered):
        before = gate.state.fields(key)
        for operation in (
            ops.raise_(key, EPOCH, place(at(5)), at(5)),
            begin(key, at(9), at(8)),
            ops.commit(key, EPOCH, place(at(9)), at(9)),
            ops.leave(key, EPOCH),
            ops.abandon(key, EPOCH, "x"),
        ):
            outcome = gate.round(operation, ops.raise_(mine, EPOCH, place(at(9)), at(9)))
            assert [answer.word for answer in outcome.answers] == [Word.LOST, Word.STEP]
            refused += 1
            assert LateWrites(gate.state.client, gate.state.keys).total == refused
        assert gate.state.fields(key) == before
    assert gate.holds == {f"s:{mine.member}": at(9)}


def test_a_deleted_record_is_lost(gate: GateHands) -> None:
    key = gate.member()
    gate.raise_(key, at(100))
    gate.state.channels.forget(key.task, [key.name])
    assert gate.raise_(key, at(200)) is Word.LOST
    assert gate.state.fields(key) == {}


def test_forgetting_a_record_takes_its_holds_along(gate: GateHands) -> None:
    """A worker killed between the barrier and leaving: nobody else could ever take its hold back."""
    step, behind, stays = gate.member(), gate.member(), gate.member()
    gate.raise_(step, at(100))
    gate.raise_(stays, at(700))
    gate.state.client.hset(gate.key, "tick", at(100).text)
    gate.begin(behind, at(50), at(40))
    gate.state.channels.forget(step.task, [step.name, behind.name])
    assert gate.holds == {f"s:{stays.member}": at(700)}
    assert gate.tick() == at(700)
    assert gate.state.channels.of_task("one")[0].key == stays


def test_forgetting_a_task_takes_the_holds_of_all_its_channels_along(gate: GateHands) -> None:
    """One whose worker was killed at the very end, say: they would stop the channel's ticks for good."""
    step, behind = gate.member(), gate.member()
    gate.raise_(step, at(100))
    gate.state.client.hset(gate.key, "tick", at(100).text)
    gate.begin(behind, at(50), at(40))
    gate.state.task("two")
    stays = gate.state.vchannel(9, "two")
    gate.state.claimed(stays, "w")
    gate.raise_(stays, at(700))
    TaskStore(gate.state.client, gate.state.keys, Secrets(None)).forget("one")
    assert gate.holds == {f"s:{stays.member}": at(700)}
    assert gate.state.channels.of_task("one") == []
    assert gate.state.fields(step) == {}


def test_the_smallest_hold_is_the_tick(gate: GateHands) -> None:
    """I3"""
    a, b = gate.member(), gate.member()
    gate.raise_(a, at(149, LOGICAL_MASK))
    gate.raise_(b, at(5_000))
    assert gate.tick() == at(149, LOGICAL_MASK)
    assert gate.tick() is None, "no tick twice"
    gate.raise_(a, at(3_000))
    assert gate.tick() == at(3_000)


@pytest.mark.parametrize("given_up", [False, True])
def test_a_tick_is_rounded_down_to_the_grid_where_a_message_may_lie_on_both_sides(
    gate: GateHands, given_up: bool
) -> None:
    """I6: a message of one that is further, also one that was given up and may be there in part."""
    a, b = gate.member(), gate.member()
    gate.raise_(a, at(20))
    gate.raise_(b, at(20))
    gate.begin(b, at(300), at(160))
    if given_up:
        gate.one(ops.abandon(b, EPOCH, "refused"))
    else:
        gate.commit(b, at(300))
    gate.raise_(a, at(159))
    assert gate.tick() == at(150)
    gate.raise_(a, at(160))
    assert gate.tick() == at(160)


def test_a_hold_from_behind_bounds_the_tick_too(gate: GateHands) -> None:
    front, behind = gate.member(), gate.member()
    gate.raise_(front, at(500))
    gate.tick()
    base = gate.begin(behind, at(90), at(80)).base
    assert base == at(500, 1)
    gate.raise_(front, at(2_000))
    assert gate.tick() is None
    gate.commit(behind, at(90))
    assert gate.tick() == at(2_000)


@pytest.mark.parametrize("row", [at(99), at(100)])
def test_rows_at_or_below_the_own_hold_go_from_behind(gate: GateHands, row: Tso) -> None:
    """I1: a source that was killed may write below its own last tick, when that was passed on already."""
    key, other = gate.member(), gate.member()
    gate.raise_(key, at(100))
    gate.raise_(other, at(100))
    assert gate.tick() == at(100)
    assert gate.begin(key, at(300), row).base == at(100, 1)
    assert gate.holds == {f"b:{key.member}": at(100), f"s:{other.member}": at(100)}
    assert gate.commit(key, at(300)) is Word.STEP


def test_a_round_commits_then_grants_then_begins(gate: GateHands) -> None:
    key = gate.member()
    gate.raise_(key, at(100))
    gate.begin(key, at(200), at(150))
    outcome = gate.round(ops.commit(key, EPOCH, place(at(200)), at(200)), begin(key, at(300), at(250)), least=0)
    assert outcome.tick == outcome.last == at(200)
    behind = gate.member()
    outcome = gate.round(begin(behind, at(90), at(80)), least=0)
    assert outcome.answers[0].base == at(200, 1)


def test_with_no_holds_everything_committed_is_ticked(gate: GateHands) -> None:
    key = gate.member()
    gate.state.client.hset(gate.key, "tick", at(500).text)
    gate.begin(key, at(90), at(80), count=3)
    assert gate.tick() is None
    gate.commit(key, at(90))
    assert gate.tick() == at(550)


def test_the_keep_alive_follows_the_sources_clock_a_second_behind_and_only_with_no_holds(gate: GateHands) -> None:
    assert gate.tick() is None, "the source's clock is not known yet"
    gate.state.client.hset(gate.key, "tick", at(100).text)
    ahead = 86_400_000
    Workers(gate.state.client, gate.state.keys).report_source_clock(Tso.of(gate.state.channels.now() + ahead), 0.0)
    off = Gates(gate.state.client, gate.state.keys, "w", keepalive=False)
    assert off.round(Request("target", "pchannel", (), 0)).tick is None
    before = gate.state.channels.now() + ahead - 1_000
    tick = gate.tick()
    assert tick is not None
    assert before - GRID_MS - 5 < tick.ms <= gate.state.channels.now() + ahead - 1_000
    assert tick == tick.floor()
    assert gate.gates.tick("target", "pchannel") == tick
    gate.raise_(gate.member(), Tso.of(tick.ms + 10))
    assert gate.tick() == Tso.of(tick.ms + 10)
    assert gate.tick() is None


def test_a_tick_must_gain_as_much_as_is_asked_except_the_first_one(gate: GateHands) -> None:
    key = gate.member()
    gate.raise_(key, at(100))
    assert gate.round(least=None) == Round(None, Tso(0), ())
    assert gate.round(least=400).tick == at(100)
    gate.raise_(key, at(450))
    assert gate.round(least=400).tick is None
    gate.raise_(key, at(500))
    assert gate.round(least=400).tick == at(500)


def test_waiting_rows_wake_those_who_can_raise_their_holds(gate: GateHands) -> None:
    writer, idle = gate.member(), gate.member()
    gate.raise_(writer, at(100))
    gate.raise_(idle, at(100))
    gate.begin(writer, at(300), at(250))
    with gate.state.heard() as heard:
        gate.round(ops.commit(writer, EPOCH, place(at(300)), at(300)), least=0)
        gate.round(least=0)
        gate.round(ops.raise_(idle, EPOCH, place(at(300)), at(300)), least=0)
    assert heard == [f"gate {gate.key}"], "and nobody when a tick has passed them, or when a timer looks"


def test_many_gates_in_one_trip_answer_each_by_itself(gate: GateHands) -> None:
    key = gate.member()
    there = Request("target", "pchannel", [ops.raise_(key, EPOCH, place(at(100)), at(100))], 0)
    other = Request("target", "other", [ops.leave(ChannelKey("one", "gone_1v0"), EPOCH)], 0)
    first, second = gate.gates.rounds([there, other])
    assert (first.tick, first.answers) == (at(100), (Answer(Word.STEP),))
    assert (second.tick, second.last, second.answers) == (None, Tso(0), (Answer(Word.LOST),))
    assert gate.gates.rounds([]) == []
    assert gate.gates.tick("target", "other") is None
