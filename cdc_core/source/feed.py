"""One pchannel as one reader reads it, handed to the vchannels that listen.

What cannot be read is handed to those whose it is, or may be (codec/dead_letter.py), in its place among the messages;
what then becomes of it is theirs to decide.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from cdc_core.codec import dead_letter, head
from cdc_core.errors import CdcError, Undecodable
from cdc_core.model.dead_letter import DeadLetter
from cdc_core.model.message import Kind, Message
from cdc_core.source.base import Record
from cdc_core.source.subscription import Subscription


class Feed:
    """Routes records to subscriptions. `lock` guards everything; the reading thread holds it for a batch.

    `tick` is the last one, set after the windows up to it were closed: who reads it and finds nothing waiting knows
    that there is nothing.
    """

    def __init__(self, pchannel: str, on_tick: Callable[[str, Message], None]) -> None:
        self.pchannel = pchannel
        self.lock = threading.Lock()
        self.tick: Message | None = None
        self.last_order = -1
        self.last_id = b""
        self.failed = False
        self._on_tick = on_tick
        self._by_name: dict[str, list[Subscription]] = {}  # several tasks may want the same vchannel
        self._dirty: set[Subscription] = set()

    @property
    def subscriptions(self) -> list[Subscription]:
        found = tuple(self._by_name.values())  # at once: also asked for without `lock`
        return [subscription for each in found for subscription in each]

    @property
    def empty(self) -> bool:
        return not self._by_name

    @property
    def full(self) -> bool:
        return any(subscription.full for subscription in self.subscriptions)

    def attach(self, subscription: Subscription) -> None:
        """Deliver to it from the next record on. Holding `lock`."""
        self._by_name.setdefault(subscription.vchannel.name, []).append(subscription)
        subscription.source = self
        if subscription.has_open:
            self._dirty.add(subscription)

    def detach(self, subscription: Subscription) -> None:
        """Deliver nothing more to it. Holding `lock`."""
        name = subscription.vchannel.name
        left = [other for other in self._by_name.pop(name, []) if other is not subscription]
        if left:
            self._by_name[name] = left
        self._dirty.discard(subscription)

    def fail(self, error: CdcError) -> None:
        """It cannot be read on: every vchannel is told, and nobody may join any more. Holding `lock`."""
        self.failed = True
        for subscription in self.subscriptions:
            subscription.fail(error)

    def handle(self, record: Record) -> bool:
        """Route one record; True when it was more than a tick. Holding `lock`."""
        item = _read(record)
        is_tick = isinstance(item, Message) and item.kind is Kind.TIME_TICK
        if isinstance(item, Message) and is_tick:
            self._close(item)
        else:
            for subscription in self._listeners(item):
                if subscription.offer(item):
                    self._dirty.add(subscription)
        self.last_order, self.last_id = record.order, record.message_id
        return not is_tick

    def _close(self, tick: Message) -> None:
        if self._dirty:
            self._dirty = {subscription for subscription in self._dirty if subscription.close_window(tick)}
        if self.tick is None or tick.first >= self.tick.first:
            self.tick = tick
        self._on_tick(self.pchannel, tick)

    def _listeners(self, item: Message | DeadLetter) -> Iterable[Subscription]:
        if item.vchannel:
            return self._by_name.get(item.vchannel, ())
        if item.collection_id:
            return [s for s in self.subscriptions if s.vchannel.collection_id == item.collection_id]
        return self.subscriptions


def _read(record: Record) -> Message | DeadLetter:
    try:
        return head.parse(record)
    except Undecodable as error:
        return dead_letter.of_data(record, str(error))
