"""Rates that the vchannels of a task share, whichever processes run them."""

from __future__ import annotations

from typing import cast

import redis

from cdc_core.coordination.scripts import script
from cdc_core.model.rate import RateLimits
from cdc_core.names import Keys


class Rates:
    """Thread-safe. Raises redis errors."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._keys = keys
        self._take = script(client, "rate")

    def take(self, task: str, limits: RateLimits, rows: int, size: int) -> float:
        """Seconds until a batch of so many rows and bytes may travel: when those before it have had their time."""
        args = [rows, limits.rows, size, limits.bytes]
        return cast("int", self._take(keys=[self._keys.rate(task)], args=args)) / 1000
