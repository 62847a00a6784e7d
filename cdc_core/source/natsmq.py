"""natsmq, the JetStream inside a standalone Milvus: a stream per topic, its sequence is the id."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cdc_core.source.natsmq_client import NatsClient
from cdc_core.source.natsmq_loop import LoopThread
from cdc_core.source.natsmq_reader import NatsmqReader
from cdc_core.source.natsmq_session import Session
from cdc_core.source.sequence import Bounds, to_number

_Answer = TypeVar("_Answer")


class NatsmqQueue:
    """The server at `address`, Milvus' `natsmq.server.port`; it takes connections of its own host only."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._loop = LoopThread()
        self._lock = threading.Lock()
        self._shared: NatsClient | None = None

    def reader(self) -> NatsmqReader:
        return NatsmqReader(self._loop, self._address)

    def order(self, message_id: bytes) -> int:
        return to_number(message_id)

    def tail(self, pchannel: str) -> bytes:
        bounds = self._bounds(pchannel)
        return bounds.last_id if bounds else b""

    def head(self, pchannel: str) -> bytes:
        bounds = self._bounds(pchannel)
        return bounds.first_id if bounds else b""

    def topics(self) -> frozenset[str]:
        return self._ask(Session.streams)

    def close(self) -> None:
        """Its readers go on; a later question opens a new connection."""
        with self._lock:
            client, self._shared = self._shared, None
        if client:
            self._loop.call(client.close())
            self._loop.let_go()

    def _bounds(self, pchannel: str) -> Bounds | None:
        return self._ask(lambda session: session.bounds(pchannel))

    def _ask(self, question: Callable[[Session], Awaitable[_Answer]]) -> _Answer:
        """:raises SourceUnavailable:"""
        client = self._client()

        async def ask() -> _Answer:
            return await question(await client.session())

        return self._loop.call(ask())

    def _client(self) -> NatsClient:
        with self._lock:
            if self._shared is None:
                self._loop.hold()
                self._shared = NatsClient(self._address)
                self._loop.call(self._shared.start())
            return self._shared
