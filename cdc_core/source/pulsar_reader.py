"""Reading pchannels from Pulsar, each from its own place.

Every pchannel is asked for one message at a time; what the client answers, on a thread of its own, comes into one
queue that a poll waits for. So an idle reader costs nothing, and what is not asked for stays where it is: in the
client up to its few messages, else in the cluster.
"""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from cdc_core.errors import PositionTrimmed, SourceUnavailable
from cdc_core.source.base import Lost, Record
from cdc_core.source.pulsar_channel import Place, PulsarChannel
from cdc_core.source.pulsar_client import PulsarClient
from cdc_core.source.pulsar_id import PulsarId

logger = logging.getLogger(__name__)

QUEUE_SIZE = 4
"""Messages of a pchannel that the client holds beside the one asked for; it knows no bound in bytes."""
_POLL_BYTES = 8 << 20
"""A poll stops behind the message that passes this."""
_LOOK_SECONDS = 0.5
"""How often a topic that does not exist yet, or a connection that is down, is looked after."""
_AWAY_SECONDS = 2.0
"""After that we connect anew: the client waits ever longer between its attempts, up to a minute."""


class PulsarReader:
    """The Reader of a PulsarQueue."""

    def __init__(self, client: PulsarClient) -> None:
        self._client = client
        self._channels: dict[str, PulsarChannel] = {}
        self._awaited: dict[str, Place] = {}
        """Where to start, of every pchannel that is not open: no topic yet, or its stream has ended."""
        self._paused: set[str] = set()
        self._arrived: queue.SimpleQueue[tuple[PulsarChannel, Any]] = queue.SimpleQueue()
        """What the client has answered, at most one message of each channel; None instead when its stream has ended."""
        self._ready: deque[PulsarChannel] = deque()
        """Channels with a message in hand that are not paused."""
        self._lost: list[Lost] = []
        self._look_at = 0.0

    def add(self, pchannel: str, start: bytes) -> None:
        if pchannel in self._channels or pchannel in self._awaited:
            raise ValueError(f"{pchannel} is read already: remove it first")
        place = Place(PulsarId.parse(start) if start else None)
        if not self._begin(pchannel, place):
            self._awaited[pchannel] = place

    def remove(self, pchannel: str) -> None:
        self._awaited.pop(pchannel, None)
        self._paused.discard(pchannel)
        if channel := self._channels.get(pchannel):
            self._let_go(channel)

    def pause(self, pchannel: str) -> None:
        self._paused.add(pchannel)
        self._ready = deque(channel for channel in self._ready if channel.pchannel != pchannel)

    def resume(self, pchannel: str) -> None:
        if pchannel in self._paused:
            self._paused.discard(pchannel)
            if channel := self._channels.get(pchannel):
                self._go_on(channel)

    def poll(self, timeout: float) -> Sequence[Record | Lost]:
        deadline = time.monotonic() + (0.0 if self._lost else timeout)
        found: list[Record | Lost] = []
        try:
            self._take(found, deadline)
            self._look_after()
        except SourceUnavailable:
            if not found and not self._lost:
                raise
        found += self._lost
        self._lost = []
        return found

    def close(self) -> None:
        """May block for a moment while the cluster is told."""
        self._awaited.clear()
        for channel in list(self._channels.values()):
            self._let_go(channel)

    def _begin(self, pchannel: str, place: Place) -> bool:
        """Open it; False when there is no such topic. :raises PositionTrimmed: :raises SourceUnavailable:"""
        stream = self._client.open(pchannel, place.id, QUEUE_SIZE)
        if stream is None:
            return False
        channel = PulsarChannel(pchannel, place, self._client, stream)
        try:
            channel.begin()
        except BaseException:
            channel.close()
            raise
        self._channels[pchannel] = channel
        if pchannel not in self._paused:
            self._go_on(channel)
        return True

    def _go_on(self, channel: PulsarChannel) -> None:
        if channel.hand:
            self._ready.append(channel)
        else:
            channel.ask(lambda *answer: self._arrived.put(answer))

    def _take(self, found: list[Record | Lost], deadline: float) -> None:
        """What is there, at most some MiB; waits for the first. :raises SourceUnavailable:"""
        size = 0
        while size < _POLL_BYTES:
            left = min(deadline - time.monotonic(), _LOOK_SECONDS)
            self._receive(0.0 if found or self._ready else max(left, 0.0))
            if self._ready:
                record = self._accept(self._ready[0])
                if record:
                    found.append(record)
                    size += len(record.payload)
            elif found or self._lost or time.monotonic() >= deadline:
                return
            else:
                self._look_after()

    def _receive(self, timeout: float) -> None:
        """Put what has arrived into its channel's hand."""
        try:
            channel, message = self._arrived.get(timeout=timeout) if timeout else self._arrived.get_nowait()
        except queue.Empty:
            return
        if self._channels.get(channel.pchannel) is not channel:
            return
        if message is None:
            self._open_anew(channel)
            return
        channel.take(message)
        if channel.pchannel not in self._paused:
            self._ready.append(channel)

    def _accept(self, channel: PulsarChannel) -> Record | None:
        """The message in its hand, unless it was read before.

        :raises SourceUnavailable: that cannot be told now; it stays in hand, others come first.
        """
        self._ready.rotate(-1)
        try:
            record = channel.accept()
        except PositionTrimmed as error:
            self._lose(channel.pchannel, error)
            return None
        self._ready.pop()
        self._go_on(channel)
        return record

    def _look_after(self) -> None:
        """Now and then: open what can be opened, mend what is broken. :raises SourceUnavailable:"""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        self._mend(now)
        self._begin_awaited()

    def _mend(self, now: float) -> None:
        away = [channel for channel in self._channels.values() if not channel.connected]
        for channel in self._channels.values():
            channel.away_since = (channel.away_since or now) if channel in away else None
        if away:
            self._client.topics()  # or nothing can be done
        for channel in away:
            if channel.away_since and now - channel.away_since > _AWAY_SECONDS:
                self._open_anew(channel)

    def _begin_awaited(self) -> None:
        if not self._awaited:
            return
        for pchannel in self._client.topics() & self._awaited.keys():
            try:
                if self._begin(pchannel, self._awaited[pchannel]):
                    del self._awaited[pchannel]
            except PositionTrimmed as error:
                self._lose(pchannel, error)

    def _open_anew(self, channel: PulsarChannel) -> None:
        logger.debug("%s: connecting anew behind %s", channel.pchannel, channel.place)
        self._let_go(channel)
        self._awaited[channel.pchannel] = channel.place

    def _let_go(self, channel: PulsarChannel) -> None:
        """What it has in hand was not read; it comes again from its place."""
        self._channels.pop(channel.pchannel, None)
        self._ready = deque(other for other in self._ready if other is not channel)
        channel.close()

    def _lose(self, pchannel: str, error: PositionTrimmed) -> None:
        self.remove(pchannel)
        self._lost.append(Lost(pchannel, error))
