"""Reading pchannels from Pulsar, each from its own place.

The client calls us with each message, on a thread of its own; a poll waits until that happens. What a poll does not
take waits, up to some MiB of each pchannel, then the rest stays in the cluster.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from cdc_core.errors import PositionTrimmed, SourceUnavailable
from cdc_core.source.base import Lost, Record
from cdc_core.source.pulsar_channel import PulsarChannel
from cdc_core.source.pulsar_client import PulsarClient
from cdc_core.source.pulsar_id import PulsarId

_POLL_BYTES = 8 << 20
"""A poll stops behind the message that passes this."""
_MEND_SECONDS = 0.5
"""How often connections are looked after."""
_AWAY_SECONDS = 2.0
"""After that we connect anew: the client waits ever longer between its attempts, up to a minute."""


class PulsarReader:
    """The Reader of a PulsarQueue."""

    def __init__(self, client: PulsarClient) -> None:
        self._client = client
        self._channels: dict[str, PulsarChannel] = {}
        """The one that waited longest first."""
        self._paused: set[str] = set()
        self._arrived = threading.Event()
        self._mend_at = 0.0

    def add(self, pchannel: str, start: bytes) -> None:
        if pchannel in self._channels:
            raise ValueError(f"{pchannel} is read already: remove it first")
        channel = PulsarChannel(pchannel, PulsarId.parse(start) if start else None, self._client, self._arrived.set)
        channel.open()
        self._channels[pchannel] = channel

    def remove(self, pchannel: str) -> None:
        self._paused.discard(pchannel)
        if channel := self._channels.pop(pchannel, None):
            channel.close()

    def pause(self, pchannel: str) -> None:
        self._paused.add(pchannel)

    def resume(self, pchannel: str) -> None:
        self._paused.discard(pchannel)

    def poll(self, timeout: float) -> Sequence[Record | Lost]:
        deadline = time.monotonic() + timeout
        while True:
            self._arrived.clear()
            found = self._look()
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            self._arrived.wait(min(left, _MEND_SECONDS))

    def close(self) -> None:
        """May block for a moment while the cluster is told."""
        for pchannel in list(self._channels):
            self.remove(pchannel)

    def _look(self) -> list[Record | Lost]:
        """Everything that is there, up to the size of a poll.

        :raises SourceUnavailable: nothing is, and something has failed.
        """
        found: list[Record | Lost] = []
        problem: SourceUnavailable | None = None
        size = 0
        for channel in list(self._channels.values()):
            channel.relieve()
            if channel.pchannel in self._paused or size >= _POLL_BYTES:
                continue
            try:
                size += self._read(channel, found, _POLL_BYTES - size)
            except SourceUnavailable as error:
                problem = error
        try:
            self._mend()
        except SourceUnavailable as error:
            problem = error
        if problem and not found:
            raise problem
        return found

    def _read(self, channel: PulsarChannel, found: list[Record | Lost], most: int) -> int:
        """Up to `most` bytes of it, or one message more; how many. :raises SourceUnavailable:"""
        size = 0
        self._channels[channel.pchannel] = self._channels.pop(channel.pchannel)  # to the end: the others are next
        try:
            while size < most and (record := channel.next()):
                found.append(record)
                size += len(record.payload)
        except PositionTrimmed as error:
            self.remove(channel.pchannel)
            found.append(Lost(channel.pchannel, error))
        return size

    def _mend(self) -> None:
        """Now and then: connect anew what has been away for long. :raises SourceUnavailable: something is away."""
        now = time.monotonic()
        if now < self._mend_at:
            return
        self._mend_at = now + _MEND_SECONDS
        away = [channel for channel in self._channels.values() if channel.away]
        for channel in self._channels.values():
            channel.away_since = (channel.away_since or now) if channel in away else None
        if away:
            self._client.topics()  # or there is nothing to connect to
        for channel in away:
            if channel.away_since and now - channel.away_since > _AWAY_SECONDS:
                channel.close()
