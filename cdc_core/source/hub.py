"""One reading of each pchannel per process, fanned out to the vchannels that run there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from cdc_core.errors import CollectionStopped
from cdc_core.model.channel import VChannel
from cdc_core.model.message import Message
from cdc_core.model.position import Position
from cdc_core.model.timestamp import ZERO, Tso
from cdc_core.source.base import Queue
from cdc_core.source.feed import Feed
from cdc_core.source.feed_reader import FeedReader
from cdc_core.source.subscription import Subscription

BUFFER_BYTES = 96 << 20
"""What all subscriptions of a process may hold together, about."""
LEAST_BUFFER = 2 << 20
SPLIT_SECONDS = 3.0
"""A vchannel that blocks the shared feed so long gets a reader of its own: tasks do not stall each other."""
FAR_MS = 5_000
"""A shared feed that is this far behind a new subscription's start is not joined."""


class Hub:
    """Hands out subscriptions. Thread-safe.

    The main reader carries one feed per pchannel. A vchannel that starts elsewhere, or that blocks the others, gets
    a feed and a reader of its own; when that has come to the place of the main feed, the main one takes over.
    """

    def __init__(self, source: Queue, on_tick: Callable[[str, Message], None] = lambda _pchannel, _tick: None) -> None:
        self._source = source
        self._on_tick = on_tick
        self._lock = threading.RLock()
        self._main: FeedReader | None = None
        self._own: set[FeedReader] = set()
        self._blocked_since: dict[Feed, float] = {}
        self._subscriptions: set[Subscription] = set()
        self._newest: tuple[Tso, float] = (ZERO, 0.0)

    def subscribe(self, vchannel: VChannel, start: Position) -> Subscription:
        """Windows of `vchannel` from `start` on; does not block, what is wrong later comes out of `take`.

        :raises CollectionStopped: `start` is no position of this queue.
        """
        subscription = Subscription(vchannel, start, self._limit)
        order = self._order(start.message_id)
        subscription.begins_at, subscription.skip_until = order, order - 1
        with self._lock:
            self._subscriptions.add(subscription)
            for feed in self._feeds(vchannel.pchannel):
                if self._joined(feed, subscription, order):
                    return subscription
            self._open(subscription, start.message_id)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop delivering; a feed without listeners is closed."""
        with self._lock:
            self._subscriptions.discard(subscription)
            subscription.source = None  # before it misses anything: its idle mark would go on with the feed's ticks
            for reader in self._readers():
                feed = reader.feeds.get(subscription.vchannel.pchannel)
                if feed is None:
                    continue
                with feed.lock:
                    feed.detach(subscription)
                    empty = feed.empty
                if empty:
                    self._close(reader, feed)

    @property
    def newest(self) -> tuple[Tso, float]:
        """The newest tick of the source and when it was seen (`time.monotonic`); zeros when none was."""
        return self._newest

    @property
    def trouble(self) -> str | None:
        """Why nothing comes now, if so."""
        with self._lock:
            return next((reader.trouble for reader in self._readers() if reader.trouble), None)

    def close(self) -> None:
        with self._lock:
            readers = self._readers()
            self._main, self._own = None, set()
        for reader in readers:
            reader.stop()
        for reader in readers:
            reader.join(5.0)

    def _readers(self) -> list[FeedReader]:
        return [*([self._main] if self._main else []), *self._own]

    def _limit(self) -> int:
        waiting = sum(1 for subscription in tuple(self._subscriptions) if subscription.backlog) or 1
        return max(LEAST_BUFFER, BUFFER_BYTES // waiting)

    def _order(self, message_id: bytes) -> int:
        try:
            return self._source.order(message_id) if message_id else 0
        except ValueError as error:
            raise CollectionStopped(f"the position to read from is none of this queue: {error}") from error

    def _feeds(self, pchannel: str) -> list[Feed]:
        """The most advanced one first."""
        feeds = [reader.feeds[pchannel] for reader in self._readers() if pchannel in reader.feeds]
        return sorted(feeds, key=lambda feed: -feed.last_order)

    def _joined(self, feed: Feed, subscription: Subscription, order: int) -> bool:
        """Join it, unless it has passed the start or is far behind it."""
        start = subscription.start.timestamp
        with feed.lock:
            behind = start.ms - feed.tick.first.ms if feed.tick and start else 0
            if feed.failed or feed.last_order >= order or behind > FAR_MS:
                return False
            feed.attach(subscription)
            return True

    def _open(self, subscription: Subscription, start: bytes) -> None:
        """A new feed: on the main reader when the pchannel has none there, else on a reader of its own."""
        pchannel = subscription.vchannel.pchannel
        feed = Feed(pchannel, self._ticked)
        with feed.lock:
            feed.last_order = self._order(start) - 1
            feed.attach(subscription)
        if self._main is None or self._main.dead:
            self._main = FeedReader("main", self._source.reader, self._split_blocking)
            self._main.start()
        if pchannel not in self._main.feeds:
            self._main.add(feed, start)
            return
        own = FeedReader(subscription.vchannel.name, self._source.reader, partial(self._after_poll, pchannel))
        own.add(feed, start)
        self._own.add(own)
        own.start()

    def _close(self, reader: FeedReader, feed: Feed) -> None:
        reader.remove(feed.pchannel)
        self._blocked_since.pop(feed, None)
        if reader is not self._main:
            self._own.discard(reader)
            reader.stop()

    def _ticked(self, pchannel: str, tick: Message) -> None:
        if tick.first > self._newest[0]:
            self._newest = (tick.first, time.monotonic())
        self._on_tick(pchannel, tick)

    def _after_poll(self, pchannel: str, own: FeedReader) -> None:
        self._merge(pchannel, own)
        self._split_blocking(own)

    def _merge(self, pchannel: str, own: FeedReader) -> None:
        """Own reader's thread: give the vchannels to the main feed when it is at the same place."""
        with self._lock:
            feed = own.feeds.get(pchannel)
            if feed is None or feed.tick is None or own not in self._own or self._main is None or self._main.dead:
                return
            main = self._main.feeds.get(pchannel)
            if main is None:
                main = Feed(pchannel, self._ticked)
                main.last_order, main.tick = feed.last_order, feed.tick
                self._main.add(main, feed.last_id)
            with main.lock, feed.lock:
                if feed.full or not _same_place(feed, main):
                    return
                for subscription in feed.subscriptions:
                    feed.detach(subscription)
                    subscription.skip_until = max(subscription.skip_until, feed.last_order)
                    main.attach(subscription)
            self._close(own, feed)

    def _split_blocking(self, reader: FeedReader) -> None:
        """Its own thread: who has blocked a shared feed for some seconds goes on alone."""
        now = time.monotonic()
        for feed in list(reader.feeds.values()):
            if not feed.full or len(feed.subscriptions) < 2:
                self._blocked_since.pop(feed, None)
            elif now - self._blocked_since.setdefault(feed, now) > SPLIT_SECONDS:
                self._split(feed)

    def _split(self, feed: Feed) -> None:
        with self._lock:
            with feed.lock:
                blocking = [subscription for subscription in feed.subscriptions if subscription.full]
                for subscription in blocking:
                    feed.detach(subscription)
                    subscription.skip_until = max(subscription.skip_until, feed.last_order)
                start = feed.last_id
            for subscription in blocking:
                self._open(subscription, start)


def _same_place(own: Feed, main: Feed) -> bool:
    if main.failed or own.tick is None or own.last_order < main.last_order:
        return False
    return main.tick is not None and own.tick.first.ms - main.tick.first.ms < 1_000
