"""Which tasks have vchannels that no worker has a slot for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import redis

from cdc_core.coordination.client import answering
from cdc_core.names import Keys

KEEP_SECONDS = 15
"""What no leader repeats is no longer known."""


class Shortage:
    """How many slots are missing, by task. Thread-safe; raises `StateUnavailable`."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._told: Mapping[str, int] = {}

    def tell(self, missing: Mapping[str, int]) -> None:
        """As the leader, with every pass; costs nothing while nothing is missing."""
        if missing or self._told:
            with answering():
                pipe = self._client.pipeline()
                pipe.delete(self._keys.shortage)
                for task, count in missing.items():
                    pipe.hset(self._keys.shortage, task, str(count))
                pipe.expire(self._keys.shortage, KEEP_SECONDS)
                pipe.execute()
            self._told = dict(missing)

    def of(self, tasks: Iterable[str]) -> dict[str, int]:
        """By task; none of those that have all they need."""
        with answering():
            found = cast("dict[str, str]", self._client.hgetall(self._keys.shortage))
        return {task: int(found[task]) for task in tasks if task in found}
