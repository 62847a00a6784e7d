"""Pulling one stream: an ephemeral consumer of JetStream's, and one request at a time.

A request names how many messages and bytes the server may send for it, so what is on its way is bounded by us. It ends
when either is used up, after its time, or with a status; each has a reply subject of its own, so that a late status
is not taken for that of the next one. (github.com/nats-io/nats-architecture-and-design, ADR-13; what counts as bytes
is in nats-server's consumer.go.)
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Self

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header

from cdc_core.errors import CdcError, SourceUnavailable
from cdc_core.source.natsmq_session import Session

_EXPIRES_SECONDS = 30.0
_HEARTBEAT_SECONDS = 5.0
_SILENCE_SECONDS = 2 * _HEARTBEAT_SECONDS + 1
"""The server says something at least every heartbeat while a request is open."""
_INACTIVE_SECONDS = 30.0
"""A consumer without a request is removed by the server after this: a killed reader leaves nothing behind."""
_DELETE_SECONDS = 1.0
_NANOSECONDS = 1_000_000_000


class Ended(Enum):
    """How a fetch ended."""

    SERVED = auto()
    """Used up, or its time is over."""
    TOO_LARGE = auto()
    """Nothing was sent: the next message alone is larger than the fetch may be."""


class PullConsumer:
    """Delivers the messages of a stream from `start` on, as they are fetched. Lives in the session's event loop."""

    def __init__(self, session: Session, stream: str, deliver: Callable[[int, bytes], None]) -> None:
        self._session = session
        self._stream = stream
        self._deliver = deliver
        self._name = ""
        self._inbox = session.connection.new_inbox()
        self._replies = itertools.count()
        self._subscription: Subscription
        self._request: _Request | None = None
        self._heard = 0.0

    @classmethod
    async def create(cls, session: Session, stream: str, start: int, deliver: Callable[[int, bytes], None]) -> Self:
        """`deliver` takes sequence and payload; a CdcError that it raises ends the fetch. :raises SourceUnavailable:"""
        consumer = cls(session, stream, deliver)
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=start,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=_INACTIVE_SECONDS,
            mem_storage=True,
        )
        with session.answering():
            consumer._name = (await session.connection.jsm().add_consumer(stream, config)).name
            # No limits of the client's: beyond them it drops messages.
            consumer._subscription = await session.connection.subscribe(
                f"{consumer._inbox}.*", cb=consumer._receive, pending_msgs_limit=0, pending_bytes_limit=0
            )
        return consumer

    async def fetch(self, messages: int, most_bytes: int = 0) -> Ended:
        """Have so many delivered, and no more bytes than that (0: however large); waits until that is over.

        :raises SourceUnavailable: the connection or the consumer is gone.
        :raises CdcError: what `deliver` has raised.
        """
        request = self._request = _Request(f"{self._inbox}.{next(self._replies)}", messages, most_bytes)
        self._heard = time.monotonic()
        with self._session.answering():
            await self._session.connection.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}", request.wire, reply=request.reply
            )
        ends: set[asyncio.Future[Any]] = {request.over, self._session.lost}
        while not request.over.done():
            await asyncio.wait(ends, timeout=_SILENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not request.over.done() and (self._session.lost.done() or self._silent):
                raise SourceUnavailable(f"natsmq says nothing of {self._stream} any more")
        return request.over.result()

    async def delete(self) -> None:
        """Best effort; the server also does it by itself, later."""
        if self._session.lost.done():
            return
        with contextlib.suppress(SourceUnavailable), self._session.answering():
            await self._subscription.unsubscribe()
            async with asyncio.timeout(_DELETE_SECONDS):
                await self._session.connection.jsm().delete_consumer(self._stream, self._name)

    @property
    def _silent(self) -> bool:
        return time.monotonic() - self._heard >= _SILENCE_SECONDS

    async def _receive(self, message: Msg) -> None:
        self._heard = time.monotonic()
        request = self._request
        if request is None:
            return
        if not message.reply:
            request.take_status(message)
            return
        try:
            self._deliver(message.metadata.sequence.stream, message.data)
        except CdcError as error:
            request.fail(error)
        else:
            request.take(message)


class _Request:
    """What the server may still send for one fetch."""

    def __init__(self, reply: str, messages: int, most_bytes: int) -> None:
        self.reply = reply
        self.over: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._messages, self._most_bytes = messages, most_bytes
        self._left, self._bytes_left = messages, most_bytes

    @property
    def wire(self) -> bytes:
        request = {
            "batch": self._messages,
            "expires": int(_EXPIRES_SECONDS * _NANOSECONDS),
            "idle_heartbeat": int(_HEARTBEAT_SECONDS * _NANOSECONDS),
        }
        if self._most_bytes:
            request["max_bytes"] = self._most_bytes
        return json.dumps(request).encode()

    def take(self, message: Msg) -> None:
        """Count as the server does: it says nothing when it is used up exactly."""
        self._left -= 1
        self._bytes_left -= _size(message)
        if not self._left or (self._most_bytes and self._bytes_left <= 0):
            self._end(Ended.SERVED)

    def take_status(self, message: Msg) -> None:
        """The server's word on this request."""
        if message.subject != self.reply:
            return
        headers = message.headers or {}
        status, text = headers.get(Header.STATUS, ""), headers.get(Header.DESCRIPTION, "")
        if status == "100":
            return
        if status == "409" and "MaxBytes" in text:
            self._end(Ended.SERVED if self._left < self._messages else Ended.TOO_LARGE)
        elif status == "408":
            self._end(Ended.SERVED)
        else:
            self.fail(SourceUnavailable(f"natsmq has ended a fetch: {status} {text}"))

    def fail(self, error: CdcError) -> None:
        if not self.over.done():
            self.over.set_exception(error)
            self.over.exception()  # it is all right when nobody asks for it

    def _end(self, how: Ended) -> None:
        if not self.over.done():
            self.over.set_result(how)


def _size(message: Msg) -> int:
    """Bytes as the server counts them; headers are a first line, a `name: value` each, and an empty line."""
    headers = message.headers or {}
    lines = sum(len(name.encode()) + len(value.encode()) + 4 for name, value in headers.items())
    return len(message.subject) + len(message.reply) + len(message.data) + (12 + lines if headers else 0)
