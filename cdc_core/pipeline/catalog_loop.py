"""The catalog of one task: what exists at the source is made on the target, in order with the data."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog

from cdc_core import backoff
from cdc_core.coordination.client import answering
from cdc_core.errors import Retryable, Stopping, TargetUnavailable
from cdc_core.model.channel import op_channel
from cdc_core.model.position import Position
from cdc_core.pipeline.collections import Collections
from cdc_core.pipeline.drops import Drops, give_up_slip
from cdc_core.pipeline.operation_feed import OperationFeed
from cdc_core.pipeline.operations import Operations
from cdc_core.pipeline.reconcile import Reconcile
from cdc_core.pipeline.renames import Renames
from cdc_core.pipeline.task_context import TaskContext
from cdc_core.pipeline.vanished import Vanished
from cdc_core.pipeline.waiter import Waiter
from cdc_core.source.base import LiveCatalog, Queue

LOOK_SECONDS = 5.0
"""Everything wakes the loop; this is for what was missed."""
PENDING_SECONDS = 0.1
"""An operation waits for rows to come so far, which wakes nobody."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Who does what, from one claim of the catalog to its end."""

    collections: Collections
    drops: Drops
    renames: Renames
    operations: Operations
    reconcile: Reconcile
    vanished: Vanished


class CatalogLoop:
    """Runs in one thread until it is told to stop."""

    def __init__(
        self, context: TaskContext, source: LiveCatalog, queue: Queue, prefix: str, start: Position, waiter: Waiter
    ) -> None:
        self._context = context
        self._source = source
        self._queue = queue
        self._op_channel = op_channel(prefix)
        self._start = start
        self._waiter = waiter
        self._explained = ""

    def run(self) -> None:
        """:raises LeaseLost: nothing more may be done. :raises TaskStopped: the target is none."""
        context = self._context
        context.lease.on_order(self._waiter.wake)
        with answering():
            give_up_slip(context)
        if context.lease.settle_only:
            return
        unsubscribe = self._source.subscribe(self._waiter.wake)
        feed = OperationFeed(self._queue, self._op_channel, self._start, context.dead_letters, self._waiter.wake)
        try:
            self._follow(feed)
        except Stopping:
            return
        finally:
            feed.close()
            unsubscribe()

    def _follow(self, feed: OperationFeed) -> None:
        parts, attempt = None, 0
        while True:
            self._context.lease.check()
            try:
                with answering():
                    parts = parts or self._begin(feed)
                    again = self._sweep(parts)
                    self._explain(_troubles(parts, feed))
                attempt = 0
            except Retryable as error:
                attempt += 1
                log.warning("catalog_waits", task=self._context.id, error=str(error), attempt=attempt)
                if parts and isinstance(error, TargetUnavailable):
                    parts.reconcile.again()
                self._try_to_explain(str(error))
                self._rest(backoff.delay(attempt))
                continue
            if not again:
                self._waiter.wait(PENDING_SECONDS if parts.operations.waiting else LOOK_SECONDS)

    def _rest(self, seconds: float) -> None:
        """However much is going on, unless it is to end."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._context.lease.stopping:
            self._waiter.wait(left)

    def _begin(self, feed: OperationFeed) -> _Parts:
        catalog = self._source.refresh()
        collections = Collections(self._context)
        drops = Drops(self._context, collections)
        drops.remove_orphans(catalog)
        return _Parts(
            collections,
            drops,
            Renames(self._context, collections),
            Operations(self._context, collections, feed, self._source.refresh),
            Reconcile(self._context, collections, self._source),
            Vanished(self._context, collections),
        )

    def _sweep(self, parts: _Parts) -> bool:
        """True when it should look again at once."""
        wanted = parts.collections.wanted()
        catalog = self._source.refresh() if wanted else self._source.current()
        parts.renames.sweep(catalog)
        parts.collections.sweep(catalog)
        parts.collections.answer_wanted(wanted, catalog)
        dropped = parts.drops.sweep()
        parts.vanished.sweep(catalog)
        parts.operations.sweep()
        busy = parts.operations.names
        parts.reconcile.sweep(catalog, busy)
        parts.reconcile.answer(catalog, busy)
        return dropped

    def _explain(self, reason: str) -> None:
        if reason != self._explained:
            self._context.channels.explain(self._context.lease.key, reason)
            self._explained = reason

    def _try_to_explain(self, reason: str) -> None:
        try:
            with answering():
                self._explain(reason)
        except Retryable:
            pass  # Redis itself is the trouble


def _troubles(parts: _Parts, feed: OperationFeed) -> str:
    refused = (
        parts.collections.refused,
        parts.renames.waiting,
        parts.operations.troubles,
        parts.reconcile.refused,
        parts.reconcile.databases.refused,
        parts.vanished.stopped,
    )
    found = [*(text for each in refused for text in each.values()), feed.trouble]
    return "; ".join(text for text in found if text)
