"""What was made on a target that cannot be asked for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import redis

from cdc_core.coordination.client import answering
from cdc_core.names import Keys


class TargetNotes:
    """Texts by name (names.object_note), for all processes that write to that target. Raises `StateUnavailable`."""

    def __init__(self, client: redis.Redis, keys: Keys, target: str) -> None:
        self._client = client
        self._key = keys.target(target)

    def get(self, name: str) -> str | None:
        with answering():
            return cast("str | None", self._client.hget(self._key, name))

    def names(self) -> Iterable[str]:
        with answering():
            return cast("list[str]", self._client.hkeys(self._key))

    def put(self, changes: Mapping[str, str | None]) -> None:
        """All of them at once or none; None removes."""
        with answering():
            pipe = self._client.pipeline()
            for name, text in changes.items():
                if text is None:
                    pipe.hdel(self._key, name)
                else:
                    pipe.hset(self._key, name, text)
            pipe.execute()
