"""The writing hands of tests on a NATS server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import nats
from nats.js.api import ConsumerInfo, StreamConfig
from nats.js.errors import NotFoundError

_TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
"""The one header that Milvus sends."""


class Streams:
    """JetStream for callers that are not asynchronous; the connection rests between the calls."""

    def __init__(self, address: str) -> None:
        self._runner = asyncio.Runner()
        self._connection = self._run(nats.connect(f"nats://{address}"))
        self._jetstream = self._connection.jetstream()
        self._made: set[str] = set()

    def make(self, name: str, **settings: Any) -> None:
        """A stream for the subject of its own name."""
        self._run(self._jetstream.add_stream(StreamConfig(name=name, subjects=[name], **settings)))
        self._made.add(name)

    def append(self, name: str, payload: bytes) -> int:
        """Make the stream if missing; the sequence."""
        if name not in self._made:
            self.make(name)
        return self._run(self._jetstream.publish(name, payload, timeout=30, headers=_TRACE)).seq

    def trim(self, name: str, before: int) -> None:
        self._run(self._jetstream.purge_stream(name, seq=before))

    def drop(self, name: str) -> None:
        with contextlib.suppress(NotFoundError):
            self._run(self._jetstream.delete_stream(name))
        self._made.discard(name)

    def first(self, name: str) -> int:
        """The sequence of the first message that is kept."""
        return self._run(self._jetstream.stream_info(name)).state.first_seq

    def consumer_count(self, name: str) -> int:
        return self._run(self._jetstream.stream_info(name)).state.consumer_count

    def consumers(self, name: str) -> list[ConsumerInfo]:
        """Not while one is being removed: the server lists it as nothing."""
        return self._run(self._jetstream.consumers_info(name))

    def close(self) -> None:
        self._run(self._connection.close())
        self._runner.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)
