"""Following one pchannel of natsmq, from the event loop's side to the reader's."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque

from cdc_core.errors import CdcError, PositionTrimmed, SourceUnavailable
from cdc_core.source.base import Lost, Record
from cdc_core.source.natsmq_client import RETRY_SECONDS, NatsClient
from cdc_core.source.natsmq_consumer import Ended, PullConsumer
from cdc_core.source.natsmq_loop import end
from cdc_core.source.sequence import to_message_id, trimmed

logger = logging.getLogger(__name__)

_FETCH_MESSAGES = 256
_FETCH_BYTES = 1 << 20
"""Of one fetch. The next one goes out while less than this waits to be taken: up to twice this is held, or one
message that is larger and this."""
_LOOK_SECONDS = 0.5
"""How often a topic that does not exist yet is asked for."""


class Follower:
    """Reads one pchannel and keeps what has come. Its task runs in the event loop; `take` is the reader's.

    `changed` guards what both touch, and is notified of everything that comes.
    """

    def __init__(self, client: NatsClient, pchannel: str, start: int | None, changed: threading.Condition) -> None:
        self._client = client
        self._pchannel = pchannel
        self._next = start
        """The sequence that must come next; None is the beginning of the topic."""
        self._changed = changed
        self._items: deque[Record | Lost] = deque()
        self._bytes = 0
        self._paused = False
        self._short = False
        """The task waits for room."""
        self._room = asyncio.Event()
        self._consumer: PullConsumer | None = None
        self._fresh = False
        """Nothing has come from this consumer yet."""
        self._task: asyncio.Task[None]

    # the event loop

    async def start(self) -> None:
        """:raises PositionTrimmed: :raises SourceUnavailable:"""
        await self._open()
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        await end(self._task)
        await self._drop()

    def look_for_room(self) -> None:
        """There may be room again."""
        self._room.set()

    # the reader; holding `changed`

    @property
    def ready(self) -> bool:
        return bool(self._items) and not self._paused

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> bool:
        """Whether the task is to `look_for_room`."""
        self._paused = False
        return self._short

    def take(self, most_bytes: int) -> list[Record | Lost]:
        """What has come, until it passes `most_bytes`; nothing while paused."""
        taken: list[Record | Lost] = []
        while self.ready and most_bytes > 0:
            item = self._items.popleft()
            taken.append(item)
            size = len(item.payload) if isinstance(item, Record) else 0
            self._bytes -= size
            most_bytes -= size
        return taken

    @property
    def starved(self) -> bool:
        """The task waits for room, and there is some."""
        return self._short and self._has_room

    # the task

    async def _follow(self) -> None:
        while True:
            try:
                await self._read(await self._opened())
            except SourceUnavailable as error:
                logger.debug("%s: %s", self._pchannel, error)
                await self._drop()
                await asyncio.sleep(RETRY_SECONDS)
            except PositionTrimmed as error:
                self._put(Lost(self._pchannel, error))
                return
            except Exception as error:
                logger.exception("reading %s failed", self._pchannel)
                self._put(Lost(self._pchannel, CdcError(f"reading {self._pchannel} failed: {error!r}")))
                return

    async def _opened(self) -> PullConsumer:
        """The consumer, as soon as there is a topic. :raises PositionTrimmed: :raises SourceUnavailable:"""
        while self._consumer is None:
            if not await self._open():
                await asyncio.sleep(_LOOK_SECONDS)
        return self._consumer

    async def _open(self) -> bool:
        """Begin at the next message; False when there is no such topic."""
        session = await self._client.session()
        bounds = await session.bounds(self._pchannel)
        if bounds is None:
            return False
        start = bounds.first if self._next is None else self._next
        bounds.check(self._pchannel, start)
        self._next, self._fresh = start, True
        self._consumer = await PullConsumer.create(session, self._pchannel, start, self._accept)
        return True

    async def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer:
            await consumer.delete()

    async def _read(self, consumer: PullConsumer) -> None:
        """Ends by what it raises."""
        while True:
            await self._wait_for_room()
            if await consumer.fetch(_FETCH_MESSAGES, _FETCH_BYTES) is Ended.TOO_LARGE:
                async with (await self._client.session()).large:
                    await consumer.fetch(1)

    async def _wait_for_room(self) -> None:
        while True:
            with self._changed:
                self._short = not self._has_room
                if not self._short:
                    return
                self._room.clear()
            await self._room.wait()

    @property
    def _has_room(self) -> bool:
        return not self._paused and self._bytes < _FETCH_BYTES

    def _accept(self, number: int, payload: bytes) -> None:
        """The next message, or one that was here already. Sequences are dense: none may be left out.

        :raises PositionTrimmed: the next one is gone.
        :raises SourceUnavailable: some have not come; they are asked for anew.
        """
        expected = number if self._next is None else self._next
        if number < expected:
            return
        if number > expected and self._fresh:
            raise trimmed(self._pchannel, expected, number, dense=True)
        if number > expected:
            raise SourceUnavailable(f"{self._pchannel}: message {number} has come instead of {expected}")
        self._fresh, self._next = False, number + 1
        self._put(Record(self._pchannel, to_message_id(number), number, payload))

    def _put(self, item: Record | Lost) -> None:
        with self._changed:
            self._items.append(item)
            self._bytes += len(item.payload) if isinstance(item, Record) else 0
            self._changed.notify()
