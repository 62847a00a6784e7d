"""Where the source's queue is about to forget what was not read yet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import redis

from cdc_core.coordination.client import answering
from cdc_core.model.retention import Trimming
from cdc_core.names import Keys

KEEP_SECONDS = 180
"""A warning that nobody repeats is no longer true."""


class Retention:
    """Warnings by task, and what was seen of each topic. Thread-safe; raises `StateUnavailable`."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def trimmings(self) -> dict[str, Trimming]:
        """By pchannel, as the last look left them."""
        with answering():
            found = cast("dict[str, str]", self._client.hgetall(self._keys.trimmings))
        return {pchannel: Trimming(*json.loads(text)) for pchannel, text in found.items()}

    def put_trimmings(self, seen: Mapping[str, Trimming]) -> None:
        if seen:
            with answering():
                texts: Any = {pchannel: json.dumps([each.head, each.step]) for pchannel, each in seen.items()}
                self._client.hset(self._keys.trimmings, mapping=texts)

    def warn(self, task: str, warnings: Mapping[str, str]) -> None:
        """Of one task by pchannel; none end those that were."""
        with answering():
            pipe = self._client.pipeline()
            pipe.delete(self._keys.retention(task))
            if warnings:
                pipe.hset(self._keys.retention(task), mapping=cast("Any", warnings))
                pipe.expire(self._keys.retention(task), KEEP_SECONDS)
            pipe.execute()

    def warnings(self, tasks: Iterable[str]) -> dict[str, dict[str, str]]:
        """By task and pchannel, in one trip."""
        wanted = list(tasks)
        with answering():
            pipe = self._client.pipeline(transaction=False)
            for task in wanted:
                pipe.hgetall(self._keys.retention(task))
            return dict(zip(wanted, pipe.execute(), strict=True))
