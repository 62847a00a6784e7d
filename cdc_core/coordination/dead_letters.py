"""The dead letters of each task: messages of the source that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from cdc_core.coordination.client import answering
from cdc_core.coordination.scripts import script
from cdc_core.model.dead_letter import DeadLetter
from cdc_core.names import Keys

LISTED = 100
"""The first ones tell what is wrong; of the others there is the number."""
REMEMBERED = 10_000
"""As many are told apart from what is read again after a restart."""
_AT_ONCE = 500
"""In one call of the script."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A dead letter as `DeadLetter.to_dict` makes it, and when it was found, in unix milliseconds."""

    entry: dict[str, Any]
    found: int


@dataclass(frozen=True, slots=True)
class DeadLetterList:
    """How many there are, and the first of them."""

    count: int
    first: tuple[Listed, ...]


class DeadLetters:
    """Of all tasks of one state. Thread-safe; every call raises `StateUnavailable` when Redis does not answer.

    They are gone with their task (`TaskStore.forget`).
    """

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._record = script(client, "dead_letters")

    def record(self, task: str, letters: Sequence[DeadLetter]) -> int:
        """Idempotent: a letter is known by its place in the queue. Answers how many were new."""
        keys = [self._keys.dead_letters(task), self._keys.dead_letter_places(task), self._keys.task(task)]
        new = 0
        with answering():
            for at in range(0, len(letters), _AT_ONCE):
                some = letters[at : at + _AT_ONCE]
                args = [part for letter in some for part in (letter.place, json.dumps(letter.to_dict()))]
                new += cast("int", self._record(keys=keys, args=[LISTED, REMEMBERED, *args]))
        return new

    def of_task(self, task: str) -> DeadLetterList:
        with answering():
            found = cast("dict[str, str]", self._client.hgetall(self._keys.dead_letters(task)))
        count = int(found.pop("count", "0"))
        return DeadLetterList(count, tuple(_listed(found[number]) for number in sorted(found, key=int)))

    def counts(self, tasks: Iterable[str]) -> dict[str, int]:
        """By task, in one trip; for a metric: they only grow while the task lives."""
        wanted = list(tasks)
        with answering():
            pipe = self._client.pipeline(transaction=False)
            for task in wanted:
                pipe.hget(self._keys.dead_letters(task), "count")
            return {task: int(count or 0) for task, count in zip(wanted, pipe.execute(), strict=True)}


def _listed(text: str) -> Listed:
    found, _, entry = text.partition(" ")
    return Listed(json.loads(entry), int(found))
