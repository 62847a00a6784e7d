"""Several processes at once, over a real Redis: nothing is ever given to two."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from cdc_core.coordination.leases import Claim, Leases, Ticket
from cdc_core.coordination.reconciler import Reconciler
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.shortage import Shortage
from cdc_core.coordination.tasks import TaskStore
from cdc_core.coordination.workers import Workers
from cdc_core.names import CATALOG
from deploy.local import Redis
from tests.contract.state import State

pytestmark = pytest.mark.contract

ROUNDS = 20
CHANNELS = 12


class Supervisor:
    """A worker that also leads whenever it is let."""

    def __init__(self, url: str, state: State, name: str) -> None:
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self.leases = Leases(self.client, state.keys, name)
        self.sent: list[Ticket] = []
        self._reconciler = Reconciler(
            TaskStore(self.client, state.keys, Secrets(None)),
            state.channels,
            self.leases,
            Workers(self.client, state.keys),
            Shortage(self.client, state.keys),
            self.sent.extend,
        )

    def lead_once(self, start: threading.Barrier) -> None:
        """As one that was the leader a moment ago: what it issues when it is none any more must not count."""
        start.wait()
        self.leases.lead(60)
        self._reconciler.run()
        self.leases.lead(0)


@pytest.fixture
def state(redis_server: Redis) -> Iterator[State]:
    state = State(redis_server.url(6))
    state.create()
    yield state
    state.close()


def test_of_many_claims_with_one_ticket_at_once_one_gets_the_lease(state: State, redis_server: Redis) -> None:
    key = state.vchannel(0)
    leases = [
        Leases(redis.Redis.from_url(redis_server.url(6), decode_responses=True), state.keys, f"w{number}")
        for number in range(8)
    ]
    start = threading.Barrier(len(leases))

    def claim(by: Leases) -> bool:
        start.wait()
        return isinstance(by.claim(key, "t"), Claim)

    with ThreadPoolExecutor(len(leases)) as threads:
        for _ in range(ROUNDS):
            state.put(key, ticket="t")
            state.expire(key)
            assert sum(threads.map(claim, leases)) == 1


def test_two_supervisors_that_lead_at_once_give_no_channel_to_two(state: State, redis_server: Redis) -> None:
    """Each pass of both begins at the same moment; every ticket that was sent is then used by who it is for."""
    supervisors = {name: Supervisor(redis_server.url(6), state, name) for name in ("a", "b")}
    start = threading.Barrier(2)
    given = 0
    for number in range(ROUNDS):
        for name in supervisors:
            Workers(state.client, state.keys).beat(name, 100, stopping=False, about={})
        keys = [state.vchannel(number * CHANNELS + each) for each in range(CHANNELS)]
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda each: each.lead_once(start), supervisors.values()))
        tickets = [ticket for each in supervisors.values() for ticket in each.sent if ticket.key.name != CATALOG]
        held = Counter(
            each.key
            for each in tickets
            if isinstance(supervisors[each.worker].leases.claim(each.key, each.text), Claim)
        )
        assert set(held.values()) <= {1}
        assert set(held) <= set(keys)
        given += len(held)
        for each in supervisors.values():
            each.sent.clear()
    assert given > ROUNDS, "somebody led now and then"
