"""What `maintenance` sets for every process: the log level, and whether data messages are logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import redis

from cdc_core.coordination.client import answering
from cdc_core.names import Keys

WAKE = "log-level"
"""What is published on `Keys.wake` after a change."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`level` None: as the process was started. `force`: log every data message; else `count` of them for
    `minutes` from `since` (unix seconds) on."""

    level: str | None = None
    force: bool = False
    count: int = 0
    minutes: int = 0
    since: float = 0.0

    def wants_messages(self, now: float, logged: int) -> bool:
        """Whether the next data message is to be logged, `logged` of them having been since `since`."""
        return self.force or (logged < self.count and now < self.since + self.minutes * 60)


class LogSwitch:
    """The settings in Redis. Raises `StateUnavailable`."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def read(self) -> LogSettings:
        with answering():
            fields = cast("Mapping[str, str]", self._client.hgetall(self._keys.log_level))
        return LogSettings(
            fields.get("level"),
            fields.get("force") == "1",
            int(fields.get("count", 0)),
            int(fields.get("minutes", 0)),
            float(fields.get("since", 0)),
        )

    def set_level(self, level: str) -> None:
        self._set({"level": level})

    def set_force(self, force: bool) -> None:
        self._set({"force": "1" if force else "0"})

    def reset_sample(self, count: int, minutes: int, now: float) -> None:
        self._set({"count": str(count), "minutes": str(minutes), "since": repr(now)})

    def _set(self, fields: Mapping[str, str]) -> None:
        with answering():
            pipe = self._client.pipeline()
            pipe.hset(self._keys.log_level, items=[part for field in fields.items() for part in field])
            pipe.publish(self._keys.wake, WAKE)
            pipe.execute()
