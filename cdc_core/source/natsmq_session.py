"""One connection to the NATS server inside Milvus, as long as it lasts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Self

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from cdc_core.errors import SourceUnavailable
from cdc_core.source.sequence import Bounds

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
"""How long a question may take; the server answers within milliseconds."""
_CONNECT_SECONDS = 2
_PING_SECONDS = 5
"""A host that hangs is noticed after three of these."""


class Session:
    """A connection and what is asked through it. Lives in one event loop.

    It is never repaired: once it is `lost`, all that hung on it begins anew with the next one.
    """

    def __init__(self, address: str) -> None:
        self.connection = Client()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.large = asyncio.Lock()
        """Held by who fetches a message that is larger than a fetch may be: one at a time, they are all in memory."""
        self._address = address
        self._trouble: Exception | None = None

    @classmethod
    async def open(cls, address: str) -> Self:
        """:raises SourceUnavailable: nobody answers."""
        session = cls(address)
        try:
            await session._connect()
        except BaseException as error:
            await session.close()
            if isinstance(error, Exception):  # the client tells what went wrong by its callback only
                raise session._unavailable(session._trouble or error) from error
            raise
        return session

    async def close(self) -> None:
        with contextlib.suppress(NatsError, OSError):
            await self.connection.close()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """:raises SourceUnavailable: for whatever the connection or the server has to complain of."""
        try:
            yield
        except (NatsError, OSError) as error:
            raise self._unavailable(error) from error

    async def bounds(self, stream: str) -> Bounds | None:
        """What the stream holds; None when there is no such stream. :raises SourceUnavailable:"""
        with self.answering():
            try:
                state = (await self.connection.jsm(timeout=ANSWER_SECONDS).stream_info(stream)).state
            except NotFoundError:
                return None
        end = state.last_seq + 1
        return Bounds(state.first_seq if state.messages else end, end)

    async def streams(self) -> frozenset[str]:
        """All names. :raises SourceUnavailable:"""
        found: set[str] = set()
        with self.answering():
            manager = self.connection.jsm(timeout=ANSWER_SECONDS)
            while page := await manager.streams_info(len(found)):
                found.update(info.config.name for info in page if info.config.name)
        return frozenset(found)

    async def _connect(self) -> None:
        await self.connection.connect(
            f"nats://{self._address}",
            name="milvus-cdc",
            allow_reconnect=False,
            max_reconnect_attempts=1,  # below 1 this very call tries for ever
            reconnect_time_wait=0,
            connect_timeout=_CONNECT_SECONDS,
            ping_interval=_PING_SECONDS,
            max_outstanding_pings=2,
            error_cb=self._note,
            closed_cb=self._closed,
        )

    def _unavailable(self, error: Exception) -> SourceUnavailable:
        return SourceUnavailable(f"natsmq at {self._address} does not answer: {error!r}")

    async def _note(self, error: Exception) -> None:
        """The client's own errors; those that matter end the connection or the question under way."""
        logger.debug("natsmq: %r", error)
        self._trouble = error

    async def _closed(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
