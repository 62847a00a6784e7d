"""Passes of the leader over a real Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest

from cdc_core.coordination.leases import LEASE_MS, TICKET_MS, ChannelKey, Claim, Leases, Order, Refusal, Ticket
from cdc_core.coordination.reconciler import Reconciler
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.shortage import Shortage
from cdc_core.coordination.tasks import Created, TaskStore
from cdc_core.coordination.workers import Workers
from cdc_core.model.connect import MilvusConnect
from cdc_core.model.task import Beginning, CollectionSelector, Desired, Task, TaskSpec, TaskState
from cdc_core.names import CATALOG
from deploy.local import Redis
from tests.contract.countdown import check_left
from tests.contract.state import State

pytestmark = pytest.mark.contract


class Hands:
    """A leader, the tickets that it sent, and workers that say that they are alive."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.tasks = TaskStore(state.client, state.keys, Secrets(None))
        self.leases = Leases(state.client, state.keys, "leader")
        self.workers = Workers(state.client, state.keys)
        self.sent: list[tuple[ChannelKey, str, str]] = []
        self.shortage = Shortage(state.client, state.keys)
        self.reconciler = Reconciler(self.tasks, state.channels, self.leases, self.workers, self.shortage, self._send)
        assert self.leases.lead(60)

    def task(self, name: str = "one") -> None:
        spec = TaskSpec(name, MilvusConnect(uri="http://t:19530"), {"default": (CollectionSelector(name, {}),)})
        task = Task(spec, Beginning({}, frozenset()), Desired.RUNNING, TaskState.INITIAL, "", 1.0)
        assert self.tasks.create(task, self.tasks.snapshot().revision, 10) is Created.CREATED

    def worker(self, name: str, slots: int = 10, *, stopping: bool = False) -> Leases:
        self.workers.beat(name, slots, stopping=stopping, about={})
        return Leases(self.state.client, self.state.keys, name)

    def run(self) -> list[tuple[ChannelKey, str, str]]:
        """One pass; the tickets of it, without those of catalogs."""
        before = len(self.sent)
        self.reconciler.run()
        return [ticket for ticket in self.sent[before:] if ticket[0].name != CATALOG]

    def _send(self, tickets: Sequence[Ticket]) -> None:
        self.sent += [(ticket.key, ticket.text, ticket.worker) for ticket in tickets]


@pytest.fixture
def hands(redis_server: Redis) -> Iterator[Hands]:
    state = State(redis_server.url(6))
    hands = Hands(state)
    hands.task()
    yield hands
    state.close()


def test_what_nobody_runs_gets_one_ticket_that_its_worker_can_use(hands: Hands) -> None:
    worker, key = hands.worker("w"), hands.state.vchannel(1)
    ((sent, ticket, to),) = hands.run()
    assert (sent, to) == (key, "w")
    assert [key.name for key, _, _ in hands.sent] == [CATALOG, key.name]
    assert hands.run() == [], "it may still be on its way"
    assert isinstance(worker.claim(key, ticket), Claim)
    assert hands.run() == []
    assert worker.claim(key, ticket) == Refusal("STALE"), "delivered twice"


def test_catalogs_are_given_to_who_is_alive_and_has_the_fewest(hands: Hands) -> None:
    """By name: a worker whose connection is half open would take a ticket out of the common queue, for nobody."""
    hands.task("two")
    hands.task("three")
    for name in ("a", "b"):
        hands.worker(name)
    hands.worker("c", stopping=True)
    hands.run()
    given = [worker for key, _, worker in hands.sent if key.name == CATALOG]
    assert sorted(given) in (["a", "a", "b"], ["a", "b", "b"])


def test_a_lost_ticket_is_issued_again_after_its_time_and_the_old_one_is_void(hands: Hands) -> None:
    worker, key = hands.worker("w"), hands.state.vchannel(1)
    ((_, lost, _),) = hands.run()
    hands.state.put(key, ticket_at=str(hands.state.channels.now() - TICKET_MS + 2_000))
    assert hands.run() == []
    hands.state.put(key, ticket_at=str(hands.state.channels.now() - TICKET_MS - 1))
    ((_, again, _),) = hands.run()
    assert worker.claim(key, lost) == Refusal("STALE")
    assert isinstance(worker.claim(key, again), Claim)


def test_a_dead_workers_channels_are_given_to_another_when_their_leases_have_run_out(hands: Hands) -> None:
    dead, key = hands.worker("dead"), hands.state.vchannel(1)
    ((_, ticket, _),) = hands.run()
    dead.claim(key, ticket)
    hands.workers.leave("dead")
    hands.worker("next")
    assert hands.run() == []
    hands.state.expire(key)
    ((_, _, to),) = hands.run()
    assert to == "next"


def test_more_vchannels_than_slots_is_told_until_there_is_room(hands: Hands) -> None:
    """Nobody gets more than its slots, the rest waits and is counted by task, and another worker takes it."""
    hands.worker("small", slots=2)
    for number in range(5):
        hands.state.vchannel(number)
    assert [to for _, _, to in hands.run()] == ["small"] * 2
    assert hands.shortage.of(["one", "other"]) == {"one": 3}
    hands.worker("next", slots=2)
    assert [to for _, _, to in hands.run()] == ["next"] * 2
    assert hands.shortage.of(["one"]) == {"one": 1}
    hands.worker("next", slots=3)
    hands.run()
    assert hands.shortage.of(["one"]) == {}


def test_a_pause_issues_nothing_but_what_is_unsettled(hands: Hands) -> None:
    hands.worker("w")
    hands.state.vchannel(1)
    left = hands.state.vchannel(2, inflight="{}")
    hold = hands.state.vchannel(3, gate="g")
    hands.tasks.set_desired("one", Desired.PAUSED)
    assert {key for key, _, _ in hands.run()} == {left, hold}


def test_what_was_given_up_gets_no_ticket_and_says_what_to_do(hands: Hands) -> None:
    hands.worker("w")
    key = hands.state.vchannel(1, unsettled="{}", unsettled_reason="refused for good")
    hands.tasks.set_desired("one", Desired.PAUSED)
    hands.tasks.set_desired("one", Desired.RUNNING)
    assert hands.run() == []
    trouble = hands.tasks.troubles(["one"])["one"][key.name]
    assert trouble.startswith("refused for good")
    assert "make the task anew" in trouble


def test_a_back_off_is_waited_for_and_a_stopped_channel_waits_for_a_resume(hands: Hands) -> None:
    hands.worker("w")
    waiting = hands.state.vchannel(1, backoff=str(hands.state.channels.now() + 60_000))
    stopped = hands.state.vchannel(2, stopped="schemas differ")
    hands.state.vchannel(3, done="1")
    assert hands.run() == []
    hands.tasks.set_desired("one", Desired.PAUSED)
    hands.tasks.set_desired("one", Desired.RUNNING)
    assert {key for key, _, _ in hands.run()} == {waiting, stopped}


def test_channels_without_a_slot_wait_for_the_next_worker(hands: Hands) -> None:
    hands.worker("w", slots=2)
    hands.worker("ending", stopping=True)
    keys = {hands.state.vchannel(number) for number in range(5)}
    first = hands.run()
    assert [to for _, _, to in first] == ["w", "w"]
    assert hands.run() == [], "the tickets on their way count"
    hands.worker("v", slots=10)
    second = hands.run()
    assert [to for _, _, to in second] == ["v", "v", "v"]
    assert {key for key, _, _ in first + second} == keys


def test_a_new_worker_is_given_a_share(hands: Hands) -> None:
    old = hands.worker("old", slots=20)
    keys = [hands.state.vchannel(number) for number in range(10)]
    for key, ticket, _ in hands.run():
        old.claim(key, ticket)
    hands.worker("new", slots=20)
    hands.run()
    orders = old.renew([(key, "1") for key in keys])
    yielding = [key for key, order in zip(keys, orders, strict=True) if order is Order.YIELD]
    assert 3 <= len(yielding) <= 5
    for key in yielding:
        old.release(key, "1")
    assert {to for _, _, to in hands.run()} == {"new"}
    assert hands.run() == []


def test_a_deleted_task_is_forgotten_when_nothing_of_it_runs_or_is_unsettled(hands: Hands) -> None:
    worker, key = hands.worker("w"), hands.state.vchannel(1)
    ((_, ticket, _),) = hands.run()
    worker.claim(key, ticket)
    hands.state.put(key, gate="g")
    hands.tasks.set_desired("one", Desired.DELETED)
    hands.run()
    assert hands.tasks.get("one") is not None, "it runs"
    worker.release(key, "1")
    ((settle, _, _),) = hands.run()
    assert settle == key
    assert hands.tasks.get("one") is not None, "its hold is left"
    hands.state.client.hdel(hands.state.name(key), "gate")
    hands.run()
    assert hands.tasks.get("one") is None
    assert list(hands.state.client.scan_iter(match=f"{hands.state.keys.prefix}channel*")) == []


def test_who_does_not_lead_any_more_issues_nothing(hands: Hands) -> None:
    hands.worker("w")
    hands.state.vchannel(1)
    hands.state.client.set(hands.state.keys.leader, "another")
    assert hands.run() == []
    assert hands.sent == []


def test_workers_that_are_silent_are_forgotten(hands: Hands) -> None:
    hands.worker("w")
    hands.state.client.sadd(hands.state.keys.workers, "silent")
    assert [worker.id for worker in hands.workers.alive()] == ["w"]
    assert hands.state.client.smembers(hands.state.keys.workers) == {"w"}
    assert 0 < hands.state.client.ttl(hands.state.keys.worker("w")) <= 20


def test_it_knows_until_when_nothing_ends_by_itself(hands: Hands) -> None:
    """Given a ticket, then its time counts, given a lease, then the lease's, given one that was given back for a while,
    then that; what has ended already does not count.
    """
    worker, key, again = hands.worker("w"), hands.state.vchannel(1), hands.state.vchannel(2)
    began = time.monotonic()
    hands.run()  # of what the pass itself begins the next one is told
    hands.run()
    check_left(hands.reconciler.rest, TICKET_MS / 1000, began)
    began = time.monotonic()
    for each in (hands.state.catalog(), key, again):
        claim = worker.claim(each, hands.state.fields(each)["ticket"])
        assert isinstance(claim, Claim)
        assert worker.release(each, claim.epoch, backoff=100.0)
    hands.run()
    check_left(hands.reconciler.rest, 100.0, began)
    began = time.monotonic()
    hands.state.claimed(key, "w")
    hands.state.put(again, backoff="1")
    hands.run()
    hands.run()
    check_left(hands.reconciler.rest, TICKET_MS / 1000, began)
    hands.state.claimed(again, "w")
    hands.run()
    check_left(hands.reconciler.rest, LEASE_MS / 1000, began)
