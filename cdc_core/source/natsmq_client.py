"""A way to the NATS server inside Milvus that is found again whenever it is lost."""

from __future__ import annotations

import asyncio
import contextlib

from cdc_core.errors import SourceUnavailable
from cdc_core.source.natsmq_loop import end
from cdc_core.source.natsmq_session import ANSWER_SECONDS, Session

RETRY_SECONDS = 0.25
"""Between two attempts at what did not answer."""


class NatsClient:
    """Always has a session or is getting one, from `start` to `close`. Lives in one event loop."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.trouble: str | None = None
        """Why there is no session; None when there is one, or it is not known yet. Any thread may look."""
        self._attempt: asyncio.Future[Session]
        self._wanted = asyncio.Event()
        self._keeper: asyncio.Task[None]

    async def start(self) -> None:
        """Does not wait for a session."""
        self._attempt = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep_connected())

    async def session(self) -> Session:
        """The one there is, else what the next attempt comes to. :raises SourceUnavailable:"""
        self._wanted.set()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.shield(self._attempt)
        except TimeoutError:
            raise SourceUnavailable(f"natsmq at {self.address} does not answer") from None

    async def close(self) -> None:
        await end(self._keeper)

    async def _keep_connected(self) -> None:
        while True:
            self._wanted.clear()
            try:
                session = await Session.open(self.address)
            except SourceUnavailable as error:
                self._failed(error)
                await self._rest()
            else:
                await self._hold(session)

    async def _hold(self, session: Session) -> None:
        """Offer the session until it is lost."""
        self.trouble = None
        self._attempt.set_result(session)
        try:
            await session.lost
            self.trouble = f"natsmq at {self.address} has closed the connection"
            self._attempt = asyncio.get_running_loop().create_future()
        finally:
            await session.close()

    def _failed(self, error: SourceUnavailable) -> None:
        self.trouble = str(error)
        self._attempt.set_exception(error)
        self._attempt.exception()  # it is all right when nobody asks for it
        self._attempt = asyncio.get_running_loop().create_future()

    async def _rest(self) -> None:
        """Until the next attempt: a while, or until somebody asks for a session."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await self._wanted.wait()
