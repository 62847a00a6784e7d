"""What a user asks of a task's catalog and waits for: a question in Redis, an answer in Redis."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import cast

import redis

from cdc_core.coordination.client import answering
from cdc_core.names import Keys

ANSWER_SECONDS = 60
"""How long an answer is kept for who does not fetch it."""


class Requests:
    """Questions and answers are texts. Thread-safe."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def ask(self, task: str, question: str, timeout: float) -> str | None:
        """The catalog's answer; None when it gave none in so many seconds, the question is withdrawn then.

        :raises StateUnavailable: Redis does not answer.
        """
        number = uuid.uuid4().hex
        with answering():
            self._client.hset(self._keys.requests(task), number, question)
            self._client.publish(self._keys.wake, f"catalog {task}")
            try:
                answer = self._wait(self._keys.answer(number), timeout)
            finally:
                self._client.hdel(self._keys.requests(task), number)
        return answer

    def open(self, task: str) -> Mapping[str, str]:
        """Question by its number."""
        return cast("dict[str, str]", self._client.hgetall(self._keys.requests(task)))

    def answer(self, task: str, number: str, text: str) -> None:
        """Once; the question is no longer open."""
        pipe = self._client.pipeline()
        pipe.hdel(self._keys.requests(task), number)
        pipe.rpush(self._keys.answer(number), text)
        pipe.expire(self._keys.answer(number), ANSWER_SECONDS)
        pipe.execute()

    def _wait(self, key: str, timeout: float) -> str | None:
        """In short pieces: a blocking call may not take longer than the client's time-out."""
        for _ in range(max(1, round(timeout))):
            if found := self._client.blpop([key], timeout=1):
                return cast("tuple[str, str]", found)[1]
        return None
