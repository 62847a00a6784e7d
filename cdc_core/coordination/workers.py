"""Who is alive, and the source's clock as they see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import redis

from cdc_core.coordination.scripts import script
from cdc_core.model.timestamp import Tso
from cdc_core.names import Keys

HEARTBEAT_SECONDS = 12
"""A worker that was not heard of for so long is gone: before its leases are over (leases.LEASE_MS), else the channels
of a dead one would be given to itself, the emptiest of all, and wait for the ticket to run out."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker incarnation: one process."""

    id: str
    slots: int
    stopping: bool
    fields: Mapping[str, str]


class Workers:
    """Heartbeats. Raises redis errors."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._clock = script(client, "clock")

    def beat(self, worker: str, slots: int, *, stopping: bool, about: Mapping[str, str]) -> None:
        """I am alive; `about` is for people (host, pid, version)."""
        key = self._keys.worker(worker)
        pipe = self._client.pipeline()
        for field, value in {"slots": str(slots), "stopping": "1" if stopping else "", **about}.items():
            pipe.hset(key, field, value)
        pipe.expire(key, HEARTBEAT_SECONDS)
        pipe.sadd(self._keys.workers, worker)
        pipe.execute()

    def leave(self, worker: str) -> None:
        pipe = self._client.pipeline()
        pipe.delete(self._keys.worker(worker))
        pipe.srem(self._keys.workers, worker)
        pipe.execute()

    def alive(self) -> list[WorkerState]:
        """Forgets those that are gone."""
        ids = sorted(cast("set[str]", self._client.smembers(self._keys.workers)))
        pipe = self._client.pipeline(transaction=False)
        for worker in ids:
            pipe.hgetall(self._keys.worker(worker))
        found = []
        for worker, fields in zip(ids, pipe.execute(), strict=True):
            if fields:
                found.append(WorkerState(worker, int(fields["slots"]), bool(fields["stopping"]), fields))
            else:
                self._client.srem(self._keys.workers, worker)
        return found

    def report_source_clock(self, tick: Tso, age: float) -> None:
        """The newest tick of the source, seen `age` seconds ago; left out on a state that was emptied."""
        self._clock(keys=[self._keys.source_clock, self._keys.origin], args=[tick.ms, int(age * 1000)])
