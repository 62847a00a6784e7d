"""A state that is emptied under everybody's hands, and comes back."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from deploy.local import Redis
from deploy.local.probes import http_get
from deploy.local.system import Refused, System, Web
from tests.chaos.outcome import all_is_well, owners
from tests.chaos.ratchet import Ratchet
from tests.replication import QUEUES, Replication, await_that
from tests.workload import Workload

pytestmark = [pytest.mark.chaos, pytest.mark.parametrize("replication", QUEUES, indirect=True)]

ASIDE = 11
"""The number of a database of Redis that nothing else uses."""

UNDER_WAY = {"objects", "wanted", "intents", "ops", "barrier", "barriers", "late-writes"}
"""Kinds of keys (names.Keys): what a catalog may note of its last work, until it learns that its lease is lost; all of
it is found again on source and target. And how many records were refused for that reason."""

LONG = 20.0
"""Seconds; a lease lasts 15."""


@contextmanager
def emptied(server: Redis) -> Iterator[None]:
    """From one moment to the next everybody finds the database empty; what it held is put back in the end."""
    with redis.Redis.from_url(server.url(ASIDE)) as aside:
        aside.swapdb(0, ASIDE)
        try:
            yield
        finally:
            aside.swapdb(0, ASIDE)
            aside.flushdb()


def refuses(web: Web) -> bool:
    status, body = http_get(int(web.address.rpartition(":")[2]), "/readyz")
    return status == 503 and b"has lost the state" in body


def test_nobody_goes_on_from_an_emptied_state_and_all_do_when_it_is_restored(
    replication: Replication, work: Workload, rng: random.Random, tmp_path: Path
) -> None:
    """What does this test do? The state is emptied under load, for longer than a lease, and then restored as it was.

    How? Two databases of Redis are swapped. The API refuses, and nobody works on in the empty one: no task there, no
    gate, no heartbeat, no leader. Who is started on it names it and says so, and refuses the right one when that is
    back. The old ones then go on, with nothing lost and nothing doubled, so no tick was sent from nothing meanwhile.
    """
    system, state = replication.system, replication.state
    pids = [process.pid for process in system.processes]
    work.start()
    time.sleep(rng.uniform(3, 6))
    before = owners(replication)
    with ExitStack() as running:
        with emptied(replication.stack.redis):
            await_that(lambda: refuses(system.web), "the API is not ready")
            for ask in (replication.api.list, lambda: replication.api.pause(replication.task)):
                with pytest.raises(Refused, match=r"500: .*has lost the state"):
                    ask()
            time.sleep(LONG)
            assert {key.split(":")[1] for key in state.keys("*")} <= UNDER_WAY
            newcomers = running.enter_context(System(tmp_path, system.environment, workers=1))
            assert refuses(system.web)
            assert any('"state_begins"' in process.log_path.read_text() for process in newcomers.processes)
        await_that(lambda: refuses(newcomers.web), "the newcomer refuses the state that it does not know")
        with Ratchet(state):
            work.stop()
            all_is_well(replication, work)
        assert owners(replication) <= before
    assert [process.pid for process in system.processes] == pids
