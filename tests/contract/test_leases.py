"""Leases, tickets, the leader and the source's clock: each branch of their scripts, on a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from cdc_core.coordination.late_writes import LateWrites
from cdc_core.coordination.leases import (
    LEASE_MS,
    SAFETY_SECONDS,
    UNCLEAR_SECONDS,
    ChannelKey,
    Claim,
    Leases,
    Order,
    Refusal,
    Ticket,
)
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import Changed, TaskStore
from cdc_core.coordination.workers import Workers
from cdc_core.model.position import Position
from cdc_core.model.task import Desired
from cdc_core.model.timestamp import Tso
from deploy.local import Redis
from tests.contract.state import State

pytestmark = pytest.mark.contract


@pytest.fixture
def state(redis_server: Redis) -> Iterator[State]:
    state = State(redis_server.url(6))
    state.task()
    yield state
    state.close()


def leases(state: State, owner: str) -> Leases:
    return Leases(state.client, state.keys, owner)


def refused(state: State, key: ChannelKey, ticket: str = "t") -> str:
    answer = leases(state, "late").claim(key, ticket)
    assert isinstance(answer, Refusal)
    return answer.word


def test_a_claim_takes_the_lease_uses_up_the_ticket_and_answers_the_record(state: State) -> None:
    key = state.vchannel(ticket="t", ticket_at="1", ticket_for="w", **{"yield": "1"})
    before = state.channels.now()
    claim = leases(state, "w").claim(key, "t")
    assert isinstance(claim, Claim)
    assert (claim.epoch, claim.settle_only) == ("1", False)
    record = state.fields(key)
    assert claim.fields == record
    assert record["owner"] == "w"
    assert before + LEASE_MS <= int(record["deadline"]) <= state.channels.now() + LEASE_MS
    assert not {"ticket", "ticket_at", "ticket_for", "yield"} & record.keys()


def test_a_live_lease_is_not_taken_and_a_dead_one_is_with_a_higher_epoch(state: State) -> None:
    key = state.vchannel()
    state.claimed(key, "a")
    state.put(key, ticket="t")
    assert refused(state, key) == "TAKEN"
    state.expire(key)
    assert state.claimed(key, "b").epoch == "2"


def test_only_the_current_ticket_is_good_and_only_once(state: State) -> None:
    key = state.vchannel(ticket="new")
    assert refused(state, key, "old") == "STALE"
    assert isinstance(leases(state, "w").claim(key, "new"), Claim)
    state.expire(key)
    assert refused(state, key, "new") == "STALE"


def test_the_api_invites_to_a_catalog_without_a_ticket_and_to_nothing_else(state: State) -> None:
    state.task("one", state="Initial")
    assert refused(state, state.vchannel(), "api") == "STALE"
    assert isinstance(leases(state, "w").claim(state.catalog(), "api"), Claim)
    assert state.client.hget(state.keys.task("one"), "state") == "Running"


def test_what_the_owner_before_left_in_flight_is_unclear_for_a_while_after_its_lease(state: State) -> None:
    """Its calls ended SAFETY_SECONDS before the lease at the latest."""
    key = state.vchannel()
    assert state.claimed(key, "v").unclear == 0
    state.put(key, deadline=str(state.channels.now() - 3_000))
    assert state.claimed(key, "w").unclear == 0, "nothing is in flight"
    state.put(key, deadline=str(state.channels.now() - 3_000), inflight="x")
    assert state.claimed(key, "v").unclear == pytest.approx(UNCLEAR_SECONDS - SAFETY_SECONDS - 3, abs=0.9)
    state.expire(key)
    assert state.claimed(key, "w").unclear == 0


def test_who_gives_back_what_is_unclear_says_so_to_the_next_one_whatever_is_resumed_meanwhile(state: State) -> None:
    """A resume takes back what keeps a channel from being claimed."""
    state.create("made")
    key = state.vchannel(task="made", inflight="x")
    claim = state.claimed(key, "v")
    leases(state, "v").release(key, claim.epoch, backoff=9.0, unclear=8.0)
    tasks = TaskStore(state.client, state.keys, Secrets(None))
    for desired in (Desired.PAUSED, Desired.RUNNING):
        assert tasks.set_desired("made", desired) is Changed.CHANGED
    assert "backoff" not in state.fields(key)
    heir = state.claimed(key, "w")
    assert heir.unclear == pytest.approx(8.0, abs=0.9)
    leases(state, "w").release(key, heir.epoch)
    assert state.claimed(key, "v").unclear == 0


def test_what_is_gone_done_or_without_a_task_is_gone(state: State) -> None:
    assert refused(state, ChannelKey("one", "never_made_1v0")) == "GONE"
    assert refused(state, state.vchannel(1, ticket="t", done="1")) == "GONE"
    assert refused(state, state.vchannel(2, task="none", ticket="t")) == "GONE"


@pytest.mark.parametrize("desired", ["PAUSED", "DELETED"])
@pytest.mark.parametrize("left", ["inflight", "gate"])
def test_what_is_unsettled_is_claimed_to_settle_whatever_the_task_is_to_do(
    state: State, desired: str, left: str
) -> None:
    state.task("one", desired)
    assert refused(state, state.vchannel(1, ticket="t")) == "IDLE"
    claim = state.claimed(state.vchannel(2, **{left: "x"}), "w")
    assert claim.settle_only


def test_a_stopped_channel_is_not_run_but_settled(state: State) -> None:
    assert refused(state, state.vchannel(1, ticket="t", stopped="why")) == "STOPPED"
    assert state.claimed(state.vchannel(2, stopped="why", inflight="x"), "w").settle_only


def test_what_was_given_up_with_a_batch_of_unclear_fate_is_never_run_again(state: State) -> None:
    """Not even after a resume: a part of the batch may be on the target, and would be there twice."""
    assert refused(state, state.vchannel(1, ticket="t", unsettled="x", unsettled_reason="why")) == "STOPPED"


def test_a_renewal_answers_each_channel_by_itself(state: State) -> None:
    for task, desired in (("run", "RUNNING"), ("pause", "RUNNING"), ("delete", "RUNNING")):
        state.task(task, desired)
    held = [state.vchannel(1, "run"), state.vchannel(2, "run"), state.vchannel(3, "pause"), state.vchannel(4, "delete")]
    lost, renumbered = state.vchannel(5, "run"), state.vchannel(6, "run")
    epochs = [(key, state.claimed(key, "w").epoch) for key in [*held, lost, renumbered]]
    state.task("pause", "PAUSED")
    state.task("delete", "DELETED")
    state.put(held[1], **{"yield": "1"})
    state.put(lost, owner="another")
    epochs[-1] = (renumbered, "7")
    for key, _ in epochs:
        state.expire(key)
    orders = leases(state, "w").renew([*epochs, (ChannelKey("run", "gone"), "1")])
    assert orders == [Order.GO_ON, Order.YIELD, Order.PAUSE, Order.DELETE, Order.LOST, Order.LOST, Order.LOST]
    assert all(int(state.fields(key)["deadline"]) > state.channels.now() for key in held)
    assert state.fields(lost)["deadline"] == state.fields(renumbered)["deadline"] == "1"
    assert leases(state, "w").renew([]) == []


def test_a_renewal_of_a_task_that_is_gone_says_delete(state: State) -> None:
    key = state.vchannel()
    epoch = state.claimed(key, "w").epoch
    state.client.delete(state.keys.task("one"))
    assert leases(state, "w").renew([(key, epoch)]) == [Order.DELETE]


def test_a_release_gives_back_and_wakes_the_leader(state: State) -> None:
    key = state.vchannel(reason="old")
    epoch = state.claimed(key, "w").epoch
    with state.heard() as heard:
        assert leases(state, "w").release(key, epoch)
    assert heard == ["reconcile"]
    record = state.fields(key)
    assert not {"owner", "deadline", "reason", "backoff", "done", "stopped"} & record.keys()
    assert state.claimed(key, "v").epoch == "2"


@pytest.mark.parametrize(("owner", "epoch"), [("other", "1"), ("w", "2")])
def test_who_does_not_hold_a_lease_cannot_release_it(state: State, owner: str, epoch: str) -> None:
    key = state.vchannel()
    state.claimed(key, "w")
    assert not leases(state, owner).release(key, epoch, outcome="done")
    assert "done" not in state.fields(key)
    assert state.fields(key)["owner"] == "w"


def test_a_catalogs_checkpoint_is_refused_when_somebody_else_has_claimed_it_since(state: State) -> None:
    """A catalog that was frozen beyond its lease must not put the operations' place back."""
    key = state.catalog()
    late, now = state.claimed(key, "w").epoch, Position("op", b"\2", Tso.of(2_000))
    state.expire(key)
    epoch = state.claimed(key, "v").epoch
    assert state.channels.checkpoint(key, epoch, now, [])
    assert not state.channels.checkpoint(key, late, Position("op", b"\1", Tso.of(1_000)), [])
    assert LateWrites(state.client, state.keys).total == 1
    assert state.channels.place(key) == (now, now.timestamp)


def test_a_catalogs_resolved_timestamp_never_goes_back(state: State) -> None:
    """The op channel's order is not always that of its timestamps; its place is the position."""
    key = state.catalog()
    epoch = state.claimed(key, "w").epoch
    state.channels.operation_done("one", "aa")
    state.channels.operation_done("one", "bb")
    assert state.channels.checkpoint(key, epoch, Position("op", b"\1", Tso.of(2_000)), ["aa"])
    later = Position("op", b"\2", Tso.of(1_000))
    assert state.channels.checkpoint(key, epoch, later, [])
    assert state.channels.place(key) == (later, Tso.of(2_000))
    assert state.channels.done_operations("one") == {"bb"}


def test_the_outcomes_of_a_release(state: State) -> None:
    done, stopped, failed = (state.vchannel(number) for number in range(3))
    for key in (done, stopped, failed):
        state.claimed(key, "w")
    w = leases(state, "w")
    w.release(done, "1", outcome="done")
    w.release(stopped, "1", outcome="stopped", reason="schemas differ")
    w.release(failed, "1", reason="away", backoff=5.0)
    assert state.fields(done)["done"] == "1"
    assert (state.fields(stopped)["stopped"], state.fields(stopped)["reason"]) == ("schemas differ",) * 2
    assert state.fields(failed)["reason"] == "away"
    assert 0 < int(state.fields(failed)["backoff"]) - state.channels.now() <= 5_000
    state.claimed(failed, "w")
    w.release(failed, "2")
    assert not {"reason", "backoff"} & state.fields(failed).keys()


def test_what_is_said_of_a_channel_that_is_forgotten_leaves_no_record(state: State) -> None:
    """Who says it has looked a moment before."""
    key = state.vchannel()
    plan = state.channels.of_task("one")[0].plan
    assert plan
    said: list[Callable[[], None]] = [
        lambda: state.channels.explain(key, "slow"),
        lambda: state.channels.ask_to_yield([key]),
        lambda: state.channels.stop([key], "renamed"),
        lambda: state.channels.replan("one", [replace(plan, collection="other")]),
    ]
    for say in said:
        say()
    record = state.fields(key)
    assert [record[name] for name in ("reason", "yield", "stopped")] == ["slow", "1", "renamed"]
    assert state.channels.of_task("one")[0].plan == replace(plan, collection="other")
    state.channels.forget("one", [key.name])
    for say in said:
        say()
    assert state.fields(key) == {}


def test_only_the_leader_issues_tickets_and_not_while_one_is_good(state: State) -> None:
    key, leader = state.vchannel(), leases(state, "leader")
    assert not leader.issue([Ticket(key, "w", "t1")]), "nobody leads yet"
    assert leader.lead(10)
    assert not leases(state, "other").issue([Ticket(key, "w", "t1")])
    assert leader.issue([Ticket(key, "w", "t1")])
    record = state.fields(key)
    assert (record["ticket"], record["ticket_for"]) == ("t1", "w")
    assert not leader.issue([Ticket(key, "w", "t2")]), "the first one may still be on its way"
    state.put(key, ticket_at="1")
    assert leader.issue([Ticket(key, "", "t2")])
    assert isinstance(leases(state, "w").claim(key, "t2"), Claim)
    assert not leader.issue([Ticket(key, "", "t3")]), "somebody runs it"
    state.expire(key)
    assert leader.issue([Ticket(key, "", "t3")])
    assert not leader.issue([Ticket(ChannelKey("one", "gone_1v0"), "", "t")])


def test_one_leads_until_it_steps_down_or_is_silent(state: State) -> None:
    a, b = leases(state, "a"), leases(state, "b")
    assert a.lead(10)
    assert not b.lead(10)
    assert a.lead(10)
    assert 9_000 < state.client.pttl(state.keys.leader) <= 10_000
    assert not b.lead(0), "stepping down is for the leader"
    assert state.client.get(state.keys.leader) == "a"
    assert not a.lead(0)
    assert b.lead(10)
    state.client.delete(state.keys.leader)
    assert a.lead(10)


def test_the_source_clock_keeps_the_least_lag_that_was_seen(state: State) -> None:
    workers = Workers(state.client, state.keys)

    def offset() -> int:
        return int(state.client.hget(state.keys.source_clock, "offset") or 0)

    now = state.channels.now()
    workers.report_source_clock(Tso.of(now - 3_000), 1.0)
    assert -2_500 < offset() <= -2_000
    first = offset()
    workers.report_source_clock(Tso.of(now - 60_000), 0.0)
    assert offset() == first
    workers.report_source_clock(Tso.of(now + 5_000), 0.0)
    assert 4_000 < offset() <= 5_000


def test_a_task_that_cannot_go_on_is_paused_once_with_its_reason(state: State) -> None:
    store = TaskStore(state.client, state.keys, Secrets(None))
    with state.heard() as heard:
        store.stop("one", "the target is no standby")
        store.stop("one", "something else")
    assert heard == ["one"]
    assert state.client.hgetall(state.keys.task("one")) == {
        "desired": "PAUSED",
        "state": "Paused",
        "reason": "the target is no standby",
    }
    state.task("two", "DELETED")
    store.stop("two", "why")
    assert state.client.hget(state.keys.task("two"), "desired") == "DELETED"
