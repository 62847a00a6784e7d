"""Operations of the op channel: in order per collection, each when the collection's rows have come so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from cdc_core import backoff
from cdc_core.codec.operation import OF_DATABASES, OF_USERS, Operation, OperationKind
from cdc_core.coordination.leases import ChannelKey
from cdc_core.errors import Fatal, LeaseLost, Retryable, TargetUnavailable
from cdc_core.model.catalog import Catalog, ObjectState
from cdc_core.model.plan import Plan
from cdc_core.model.position import Position
from cdc_core.model.task import ANY
from cdc_core.model.timestamp import ZERO
from cdc_core.pipeline.collections import Collections, Known
from cdc_core.pipeline.operation_feed import OperationFeed
from cdc_core.pipeline.task_context import TaskContext

NUDGE_SECONDS = 2.0
"""The source ticks all its channels several times in it."""

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Pending:
    operation: Operation
    done: bool = False
    attempts: int = 0
    """How often the target did not answer."""
    again_at: float = 0.0
    """`time.monotonic` of the next attempt."""
    trouble: str = ""
    waits_since: float | None = None
    """`time.monotonic` of when rows were first behind it."""


class Operations:
    """What is pending, and the position: everything up to it is done, `done` holds what is done above it."""

    def __init__(
        self, context: TaskContext, collections: Collections, feed: OperationFeed, refresh: Callable[[], Catalog]
    ) -> None:
        self._context = context
        self._collections = collections
        self._feed = feed
        self._refresh = refresh
        self._pending: list[_Pending] = []
        self._done = context.channels.done_operations(context.id)
        self.failed: dict[str, str] = {}

    @property
    def waiting(self) -> bool:
        return bool(self._pending)

    @property
    def troubles(self) -> dict[str, str]:
        """By operation: what was refused for good, and what the target does not answer now."""
        waiting = {pending.operation.message_id.hex(): pending.trouble for pending in self._pending if pending.trouble}
        return self.failed | waiting

    @property
    def names(self) -> frozenset[tuple[str, str]]:
        """Database and collection of what is pending; ANY for a whole database."""
        return frozenset(name for pending in self._pending if not pending.done for name in _names(pending.operation))

    def sweep(self) -> None:
        """Apply what is ready. :raises Retryable: the state does not answer, call it again.

        One that the target does not answer is tried again later and holds up what concerns the same, nothing else: a
        2.3.5 that was killed was seen to answer no flush of one collection for minutes.
        """
        for operation in self._feed.take():
            self._pending.append(_Pending(operation, operation.message_id.hex() in self._done))
        blocked: set[tuple[str, str]] = set()
        for pending in self._pending:
            if pending.done:
                continue
            names = _names(pending.operation)
            if self._is_blocked(names, blocked) or pending.again_at > time.monotonic():
                blocked |= names
                continue
            try:
                done = self._try(pending)
            except TargetUnavailable as error:
                self._put_off(pending, error)
                break  # it may have taken long, and others wait for the catalog
            if not done:
                blocked |= names
        self._advance()

    def _try(self, pending: _Pending) -> bool:
        """True when it is done: applied, of no concern, or refused for good (which is shown)."""
        operation = pending.operation
        if operation.kind in OF_USERS:
            ready, concerned, applied = True, self._context.task.spec.enable_user_role, operation
        elif operation.kind in OF_DATABASES:
            ready = self._database_ready(operation)
            applied = operation.on(self._context.names.database(operation.database), ())
            concerned = self._covers(operation.database) and not self._in_use(applied, operation.database)
        else:
            known = self._concerned(pending)
            if known is None:
                return False
            names = [each.plan.target_collection for each in known]
            applied = operation.on(known[0].plan.target_database, names) if known else operation
            ready, concerned = True, bool(known)
            if self._context.ignores_partitions and operation.partitions:
                applied, concerned = applied.of_whole(), concerned and applied.kind is OperationKind.LOAD_PARTITIONS
        if not ready:
            return False
        if concerned:
            self._apply(applied)
        self._finish(pending)
        return True

    def _put_off(self, pending: _Pending, error: TargetUnavailable) -> None:
        pending.attempts += 1
        pending.again_at = time.monotonic() + backoff.delay(pending.attempts)
        pending.trouble = str(error)
        log.warning("operation_waits", kind=pending.operation.kind.name, error=str(error), attempt=pending.attempts)

    def _apply(self, operation: Operation) -> None:
        self._context.lease.check()
        try:
            self._context.target.catalog.apply(operation)
            log.info("operation_applied", kind=operation.kind.name, collections=operation.collections)
        except Retryable:
            raise
        except Fatal as error:
            log.error("operation_refused", kind=operation.kind.name, error=str(error))
            self.failed[operation.message_id.hex()] = f"{operation.kind.name} of {operation.collection}: {error}"

    def _concerned(self, pending: _Pending) -> list[Known] | None:
        """The replicated collections that it names; None when one of them is still to come, or to come so far."""
        operation, found = pending.operation, []
        for name in operation.collections:
            if not self._context.selection.match(operation.database, name):
                continue
            known = self._known(operation, name)
            if self._newer_comes(operation, name, known):
                return None
            if known is None:
                continue
            far = self._context.channels.resolved(ChannelKey(self._context.id, p.vchannel.name) for p in known.plans)
            if None in far:
                continue  # its drop comes next on the target, or has come before the operation
            behind = [p for p, at in zip(known.plans, far, strict=True) if at and at < operation.timestamp]
            if behind:
                self._nudge(pending, behind)
                return None
            if not self._partitions_made(operation, known):
                return None
            found.append(known)
        return found

    def _nudge(self, pending: _Pending, behind: Sequence[Plan]) -> None:
        """Idle channels record at once how far they are; when it lasts, it is no idleness that it waits for."""
        now = time.monotonic()
        pending.waits_since = pending.waits_since or now
        if now - pending.waits_since < NUDGE_SECONDS:
            for plan in behind:
                self._context.gates.wake(plan.target, plan.target_vchannel.pchannel)

    def _partitions_made(self, operation: Operation, known: Known) -> bool:
        """Whether those of the operation that the source has are on the target; the sweep makes them."""
        source = self._refresh().collections.get(known.plan.collection_id) if operation.partitions else None
        return source is None or all(
            self._collections.has_partition(source.id, partition.id)
            for partition in source.partitions
            if partition.name in operation.partitions and partition.state is ObjectState.CREATED
        )

    def _known(self, operation: Operation, name: str) -> Known | None:
        """Of several that had this name one after the other: the one it had then, as far as they are known."""
        known = [
            each
            for number, each in self._collections.known.items()
            if each.created <= operation.timestamp and self._collections.was_called(number, operation.database, name)
        ]
        return max(known, key=lambda each: each.created, default=None)

    def _newer_comes(self, operation: Operation, name: str, known: Known | None) -> bool:
        """Whether the source has one of that name that is waiting to be made on the target: it is the one meant."""
        return any(
            (each.database, each.name) == (operation.database, name)
            and each.state in (ObjectState.CREATED, ObjectState.CREATING)
            and (known.created if known else ZERO) < each.created <= operation.timestamp
            and each.id not in self._collections.refused
            for each in self._refresh().collections.values()
        )

    def _covers(self, database: str) -> bool:
        return any(pattern.database in (ANY, database) for pattern in self._context.selection.patterns)

    def _in_use(self, applied: Operation, source: str) -> bool:
        """Whether the database to drop holds collections of another database of the source, mapped to it, or of one
        that was made under its name since.
        """
        return applied.kind is OperationKind.DROP_DATABASE and any(
            known.plan.target_database == applied.database
            and (known.plan.database != source or known.created > applied.timestamp)
            for known in self._collections.known.values()
        )

    def _database_ready(self, operation: Operation) -> bool:
        """A database can be dropped when none of the collections that it had is left."""
        return operation.kind is not OperationKind.DROP_DATABASE or not any(
            known.plan.database == operation.database and known.created <= operation.timestamp
            for known in self._collections.known.values()
        )

    def _is_blocked(self, names: set[tuple[str, str]], blocked: set[tuple[str, str]]) -> bool:
        databases = {database for database, name in blocked if name == ANY}
        return any(
            (database, name) in blocked
            or database in databases
            or (name == ANY and any(other == database for other, _ in blocked))
            for database, name in names
        )

    def _finish(self, pending: _Pending) -> None:
        pending.done = True
        if pending.attempts:
            self._context.target.outages += 1  # it was away, and may have forgotten something
        pending.trouble = ""
        self._context.channels.operation_done(self._context.id, pending.operation.message_id.hex())

    def _advance(self) -> None:
        """Raise the position past what is done without a gap."""
        last: Operation | None = None
        passed = []
        while self._pending and self._pending[0].done:
            last = self._pending.pop(0).operation
            passed.append(last.message_id.hex())
        if last:
            position = Position(self._feed.channel, last.message_id, last.timestamp)
            lease = self._context.lease
            if not self._context.channels.checkpoint(lease.key, lease.epoch, position, passed):
                raise LeaseLost(f"{lease.key.name} is somebody else's now")


def _names(operation: Operation) -> set[tuple[str, str]]:
    return {(operation.database, name) for name in operation.collections or (ANY,)}
