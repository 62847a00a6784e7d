"""How often the state has refused what a worker recorded, because its lease was over."""

from __future__ import annotations

from contextlib import suppress
from typing import cast

import redis

from cdc_core.coordination.client import answering
from cdc_core.names import Keys


class LateWrites:
    """One number for all workers, since the state was made. Thread-safe."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def count(self, refused: int) -> None:
        """So many more, if Redis answers: nothing depends on it."""
        if refused:
            with suppress(redis.RedisError):
                self._client.incrby(self._keys.late_writes, refused)

    @property
    def total(self) -> int:
        """:raises StateUnavailable:"""
        with answering():
            return int(cast("str | None", self._client.get(self._keys.late_writes)) or 0)
