"""Reading pchannels from natsmq, each from its own sequence."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from cdc_core.errors import SourceUnavailable
from cdc_core.source.base import Lost, Record
from cdc_core.source.natsmq_client import NatsClient
from cdc_core.source.natsmq_follower import Follower
from cdc_core.source.natsmq_loop import LoopThread
from cdc_core.source.sequence import to_number

_POLL_BYTES = 8 << 20
"""A poll stops behind the message that passes this."""


class NatsmqReader:
    """The Reader of a NatsmqQueue: a connection of its own in the event loop of the queue."""

    def __init__(self, loop: LoopThread, address: str) -> None:
        self._loop = loop
        self._client = NatsClient(address)
        self._changed = threading.Condition()
        self._followers: dict[str, Follower] = {}
        """By pchannel, the one that waited longest first."""
        loop.hold()
        loop.call(self._client.start())

    def add(self, pchannel: str, start: bytes) -> None:
        if pchannel in self._followers:
            raise ValueError(f"{pchannel} is read already: remove it first")
        follower = Follower(self._client, pchannel, to_number(start) if start else None, self._changed)
        self._loop.call(follower.start())
        self._followers[pchannel] = follower

    def remove(self, pchannel: str) -> None:
        follower = self._followers.pop(pchannel, None)
        if follower:
            self._loop.soon(lambda: asyncio.ensure_future(follower.stop()))

    def pause(self, pchannel: str) -> None:
        if follower := self._followers.get(pchannel):
            with self._changed:
                follower.pause()

    def resume(self, pchannel: str) -> None:
        if follower := self._followers.get(pchannel):
            with self._changed:
                starved = follower.resume()
            if starved:
                self._loop.soon(follower.look_for_room)

    def poll(self, timeout: float) -> Sequence[Record | Lost]:
        with self._changed:
            self._changed.wait_for(self._ready, timeout)
            found = self._take()
            starved = [follower for follower in self._followers.values() if follower.starved]
        for follower in starved:
            self._loop.soon(follower.look_for_room)
        for item in found:
            if isinstance(item, Lost):
                self.remove(item.pchannel)
        if not found and self._followers and self._client.trouble:
            raise SourceUnavailable(self._client.trouble)
        return found

    def close(self) -> None:
        """May block for a moment while the server is told."""
        followers = list(self._followers.values())
        self._followers.clear()
        self._loop.call(self._end(followers))
        self._loop.let_go()

    async def _end(self, followers: list[Follower]) -> None:
        await asyncio.gather(*(follower.stop() for follower in followers))
        await self._client.close()

    def _ready(self) -> bool:
        return any(follower.ready for follower in self._followers.values())

    def _take(self) -> list[Record | Lost]:
        """Everything that has come, up to the size of a poll."""
        found: list[Record | Lost] = []
        budget = _POLL_BYTES
        for pchannel in [name for name, follower in self._followers.items() if follower.ready]:
            taken = self._followers[pchannel].take(budget)
            self._followers[pchannel] = self._followers.pop(pchannel)  # to the end: the others are next
            found += taken
            budget -= sum(len(item.payload) for item in taken if isinstance(item, Record))
            if budget <= 0:
                break
        return found
