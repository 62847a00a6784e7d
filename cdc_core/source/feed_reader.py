"""A thread that reads some pchannels with one reader, each into its feed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import structlog

from cdc_core import backoff
from cdc_core.errors import CdcError, Retryable
from cdc_core.source.base import Lost, Reader, Record
from cdc_core.source.feed import Feed

POLL_SECONDS = 0.1
"""How long a new subscription may wait for the reading thread to look up; a poll ends at the first record."""

LINGER_SECONDS = 0.05
"""While nothing but ticks comes: those of all channels come within some ms of each other, and are read together. Rows
that come then are read later by so much, and wait for a tick above them in any case."""
QUIET_SECONDS = 1.0
"""Without anything but ticks for so long nothing is going on."""
BACKLOG = 100
"""Records of one poll: so many wait where somebody begins far behind, and then they are read as fast as they come."""
CLEAR_SECONDS = 5.0
"""An empty poll tells nothing of a broker that was away: it is back when something comes, or after so long without an
error."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A pchannel that cannot be read now; `due` by `time.monotonic`."""

    feed: Feed
    start: bytes
    attempt: int
    due: float
    why: str


class FeedReader:
    """Owns a `Reader`; what others want of it is put in as commands and done between polls."""

    def __init__(self, name: str, open_reader: Callable[[], Reader], after_poll: Callable[[FeedReader], None]) -> None:
        self.feeds: dict[str, Feed] = {}
        self.dead = False
        """An error that nobody expected has ended its thread."""
        self._open_reader = open_reader
        self._after_poll = after_poll
        self._commands: queue.SimpleQueue[Callable[[Reader], None]] = queue.SimpleQueue()
        self._trouble: str | None = None
        self._refusals: list[_Refusal] = []
        self._reading: dict[str, Feed] = {}  # what the reader has been told; `feeds` is what it is to be told
        self._paused: set[str] = set()
        self._busy_at = time.monotonic()
        self._failed_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"feed-{name}", daemon=True)

    @property
    def trouble(self) -> str | None:
        """Why nothing comes, or nothing of one pchannel, if so."""
        return self._trouble or next((refusal.why for refusal in tuple(self._refusals)), None)

    def start(self) -> None:
        self._thread.start()

    def add(self, feed: Feed, start: bytes) -> None:
        """Begin reading its pchannel at `start` inclusive."""
        self.feeds[feed.pchannel] = feed
        self._commands.put(lambda reader: self._add(reader, feed, start))

    def remove(self, pchannel: str) -> None:
        self.feeds.pop(pchannel, None)
        self._commands.put(lambda reader: self._remove(reader, pchannel))

    def stop(self) -> None:
        """Ends the thread after its poll; does not wait for it."""
        self._stop.set()

    def join(self, timeout: float) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        reader: Reader | None = None
        attempt = 0
        while not self._stop.is_set():
            try:
                reader = reader or self._open_reader()
                attempt, heard = 0, self._step(reader)
                if heard or time.monotonic() - self._failed_at > CLEAR_SECONDS:
                    self._trouble = None
            except Retryable as error:
                attempt += 1
                self._trouble, self._failed_at = str(error), time.monotonic()
                log.warning("source_unavailable", error=str(error), attempt=attempt)
                self._stop.wait(backoff.delay(attempt))
            except Exception as error:
                log.exception("feed_reader_failed")
                self.dead = True
                self._fail_all(error)
                break
        if reader:
            reader.close()

    def _step(self, reader: Reader) -> bool:
        """Whether something has come."""
        while not self._commands.empty():
            self._commands.get()(reader)
        self._add_refused(reader)
        self._press(reader)
        if time.monotonic() - self._busy_at > QUIET_SECONDS:
            self._stop.wait(LINGER_SECONDS)
        found = reader.poll(POLL_SECONDS)
        if len(found) >= BACKLOG:
            self._busy_at = time.monotonic()
        for pchannel, items in groupby(found, key=lambda item: item.pchannel):
            feed = self._reading.get(pchannel)
            if feed:
                with feed.lock:
                    for item in items:
                        self._take(feed, item)
        self._after_poll(self)
        return bool(found)

    def _take(self, feed: Feed, item: Record | Lost) -> None:
        if isinstance(item, Lost):
            feed.fail(item.error)
        elif feed.handle(item):
            self._busy_at = time.monotonic()

    def _remove(self, reader: Reader, pchannel: str) -> None:
        self._reading.pop(pchannel, None)
        self._paused.discard(pchannel)
        reader.remove(pchannel)

    def _add_refused(self, reader: Reader) -> None:
        """One of those whose time has come: each may take seconds, and others are to be read."""
        now = time.monotonic()
        refusal = next((each for each in self._refusals if each.due <= now), None)
        if refusal:
            self._add(reader, refusal.feed, refusal.start, refusal.attempt + 1)
            self._refusals.remove(refusal)

    def _add(self, reader: Reader, feed: Feed, start: bytes, attempt: int = 1) -> None:
        if self.feeds.get(feed.pchannel) is not feed:
            return
        try:
            reader.add(feed.pchannel, start)
        except Retryable as error:
            log.warning("source_unavailable", pchannel=feed.pchannel, error=str(error), attempt=attempt)
            due = time.monotonic() + backoff.delay(attempt)
            self._refusals.append(_Refusal(feed, start, attempt, due, str(error)))
        except CdcError as error:
            with feed.lock:
                feed.fail(error)
        else:
            self._reading[feed.pchannel] = feed

    def _press(self, reader: Reader) -> None:
        """Back-pressure: a feed with a full subscription waits, the others go on."""
        for pchannel, feed in self._reading.items():
            if feed.full and pchannel not in self._paused:
                reader.pause(pchannel)
                self._paused.add(pchannel)
            elif pchannel in self._paused and not feed.full:
                reader.resume(pchannel)
                self._paused.discard(pchannel)

    def _fail_all(self, error: Exception) -> None:
        for feed in list(self.feeds.values()):
            with feed.lock:
                feed.fail(error if isinstance(error, CdcError) else CdcError(f"reading the source failed: {error!r}"))
