"""One vchannel, from its checkpoint on: windows become batches, batches pass the gate."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from cdc_core.codec.merge import merge
from cdc_core.coordination.barriers import Barrier, Barriers
from cdc_core.coordination.objects import Objects
from cdc_core.errors import CdcError, CollectionStopped, LeaseLost, Refused, Stopping, Undecodable
from cdc_core.model.address import Row
from cdc_core.model.message import Kind, Message
from cdc_core.model.plan import Plan
from cdc_core.model.position import Position
from cdc_core.model.timestamp import ZERO, Tso
from cdc_core.pipeline.addresses import Addresses
from cdc_core.pipeline.batch import BATCH_BYTES, BATCH_MESSAGES, Batch, range_end
from cdc_core.pipeline.dead_letter_office import DeadLetterOffice
from cdc_core.pipeline.gate import Gate
from cdc_core.pipeline.imports import as_letters
from cdc_core.pipeline.lease import Lease
from cdc_core.pipeline.member import Member
from cdc_core.pipeline.piece import Piece, cut
from cdc_core.pipeline.waiter import Waiter
from cdc_core.sink.base import refuse_oversize
from cdc_core.source.hub import Hub
from cdc_core.source.window import Mark, Window

TAKE_SECONDS = 30.0
"""Nothing has to be done while nothing comes; a stop wakes."""
LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 3.0
LEAST_REST = 0.1
"""Seconds; for less it is not worth leaving the step."""
LAG_MS = 5_000
"""Who is in step and so far behind the source makes everybody on its channel wait: it leaves and is behind."""

log = structlog.get_logger(__name__)


class Ending(StrEnum):
    """Why a replicator returned."""

    LEFT = ""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the channel's record holds: the place to go on from, and the batch of unclear fate, '' if there is none."""

    position: Position
    resolved: Tso
    intent: str


class Replicator:
    """Runs in one thread, the Celery task's, until it is told to stop or the collection is dropped."""

    def __init__(
        self,
        plan: Plan,
        checkpoint: Checkpoint,
        lease: Lease,
        *,
        hub: Hub,
        gate: Gate,
        addresses: Addresses,
        objects: Objects,
        barriers: Barriers,
        dead_letters: DeadLetterOffice,
        waiter: Waiter,
        takes_imports: Callable[[], bool],
        pace: Callable[[Batch], float],
    ) -> None:
        self._plan = plan
        self._checkpoint = checkpoint
        self._lease = lease
        self._hub = hub
        self._gate = gate
        self._addresses = addresses
        self._objects = objects
        self._barriers = barriers
        self._dead_letters = dead_letters
        self._undecodable: Undecodable | None = None
        self._waiter = waiter
        self._takes_imports = takes_imports
        self._pace = pace
        self._pieces: deque[tuple[Piece, int]] = deque()
        self._outlived = False
        start = replace(checkpoint.position, channel=plan.vchannel.name)
        self._place = start
        self._done = checkpoint.resolved if checkpoint.resolved > start.timestamp else ZERO
        self._subscription = hub.subscribe(plan.vchannel, start)
        self.member = Member(
            lease=lease,
            source_pchannel=plan.vchannel.pchannel,
            resolved=checkpoint.resolved,
            idle=self._subscription.idle_mark,
            on_commit=lambda batch: self._subscription.settled(batch.windows),
            on_error=self._subscription.wake,
        )

    def run(self) -> Ending:
        """Settle what is unclear, then follow the source.

        :raises LeaseLost: nothing more may be written. :raises Fatal: the collection or the task cannot go on.
        """
        self._lease.on_order(self._subscription.wake)
        self._gate.enter(self.member)
        given_up = ""
        try:
            if self._settle():
                return Ending.DONE
            return Ending.LEFT if self._lease.settle_only else self._follow()
        except Stopping:
            return Ending.LEFT
        except (CollectionStopped, Refused) as error:
            given_up = str(error)
            raise
        finally:
            self._hub.unsubscribe(self._subscription)
            self._end(given_up)

    def _end(self, given_up: str) -> None:
        """A clean stop settles what is under way and gives up the hold; if it cannot, whoever comes next settles.

        A collection that is given up must not hold up the ticks of all others.

        :raises LeaseLost: whatever else has ended it: a call may be under way, so the lease has to run out by itself.
        """
        try:
            self._lease.check_held()
            drained = self._drain()
            if not self.member.left:
                self._gate.leave(self.member, abandon=given_up if given_up and drained else None)
        finally:
            self._gate.exit(self.member)

    def _drain(self) -> bool:
        """Whether what is under way has come to an end; a batch that is left in flight is not the one to give up.

        :raises LeaseLost:
        """
        try:
            self._gate.drain(self.member)
        except LeaseLost:
            raise
        except CdcError as error:
            log.info("left_unsettled", channel=self._lease.key.name, why=str(error))
            return False
        return True

    def _settle(self) -> bool:
        """Send the batch in flight again, the same range and so the same bytes, and commit it first (I4).

        The gate finds the recorded base by the same intent. True when the collection's drop comes right behind it.
        """
        if not self._checkpoint.intent:
            return False
        end = range_end(self._checkpoint.intent)
        log.info("settling", channel=self._lease.key.name, to=end.text)
        if end <= self._checkpoint.resolved and not self._comes_next(end):
            self._take_back()
            return False
        pieces: list[tuple[Piece, int]] = []
        while not pieces or pieces[-1][0].mark.resolved < end:
            self._check()
            self._fill(TAKE_SECONDS)
            while self._pieces and (not pieces or pieces[-1][0].mark.resolved < end):
                pieces.append(self._next())
        if pieces[-1][0].mark.resolved != end:
            raise CdcError(f"the batch in flight ends at {end.text}, which is no border of {self._plan.vchannel}")
        self._gate.submit(self.member, self._batch(pieces))
        self._gate.drain(self.member)
        return self._after_border(pieces[-1][0])

    def _comes_next(self, end: Tso) -> bool:
        """Whether what follows the checkpoint ends there: rows that were written late, up to a tick of that time."""
        while not self._pieces:
            self._check()
            idle = self.member.idle()
            if idle and idle.resolved > end:
                return False
            self._fill(LOOK_SECONDS)
        return self._pieces[0][0].mark.resolved == end

    def _take_back(self) -> None:
        """A batch that is recorded, and was begun once more by a round that came late: nobody has sent it since."""
        log.warning("begun_again_when_recorded", channel=self._lease.key.name)
        self._gate.leave(self.member, abandon="")
        self._gate.submit(self.member, Batch(Mark(self._checkpoint.resolved, self._subscription.start), [], 0))

    def _follow(self) -> Ending:
        while True:
            self._check()
            self._fill(TAKE_SECONDS)
            while self._pieces:
                pieces = list(self._gather())
                self._send(pieces)
                if self._after_border(pieces[-1][0]):
                    return Ending.DONE

    def _fill(self, timeout: float) -> None:
        """Pieces of what comes next. :raises Undecodable: what lies before it is on the target and recorded."""
        if self._pieces:
            return
        if self._undecodable:
            self._gate.drain(self.member)  # else a batch in flight would be given up with the collection
            raise self._undecodable
        for taken in self._subscription.take(BATCH_BYTES, timeout):
            window = self._that_can_be_told(taken)
            try:
                self._dead_letters.take(window.letters)
            except Undecodable as error:
                self._undecodable = error
                return
            self._cut(window)

    def _that_can_be_told(self, window: Window) -> Window:
        if any(message.kind is Kind.IMPORT for message in window.messages) and not self._takes_imports():
            return as_letters(window, self._plan.vchannel.pchannel)
        return window

    def _cut(self, window: Window) -> None:
        """A window counts as settled with its last piece. A checkpoint before a drop lies within the first one."""
        pieces = [replace(piece, rows=tuple(merge(piece.rows))) for piece in cut(window, self._place, self._done)]
        self._pieces.extend((piece, 1 if piece is pieces[-1] else 0) for piece in pieces)
        self._place = window.mark.position
        if window.mark.resolved > self._done:
            self._done = ZERO

    def _next(self) -> tuple[Piece, int]:
        return self._pieces.popleft()

    def _gather(self) -> Iterator[tuple[Piece, int]]:
        """Pieces for one batch: up to a border, about BATCH_BYTES or BATCH_MESSAGES."""
        size = count = 0
        while self._pieces and size < BATCH_BYTES and count < BATCH_MESSAGES:
            piece, windows = self._next()
            size += sum(message.size for message in piece.rows)
            count += len(piece.rows)
            yield piece, windows
            if piece.border:
                return

    def _send(self, pieces: list[tuple[Piece, int]]) -> None:
        batch = self._batch(pieces)
        if batch.rows and self.member.in_step and self._lag_ms(batch) > LAG_MS:
            self._step_aside()
        self._rest(self._pace(batch))
        self._gate.submit(self.member, batch)

    def _rest(self, seconds: float) -> None:
        """The task has had its rows for now; those of others on the same target channel do not wait for that."""
        until = time.monotonic() + seconds
        if seconds > LEAST_REST and self.member.in_step:
            self._step_aside()
        while (left := until - time.monotonic()) > 0:
            self._check()
            self._waiter.wait(left)

    def _step_aside(self) -> None:
        self._gate.drain(self.member)
        self._gate.leave(self.member)

    def _lag_ms(self, batch: Batch) -> int:
        return self._hub.newest[0].ms - batch.mark.resolved.ms

    def _batch(self, pieces: list[tuple[Piece, int]]) -> Batch:
        rows = self._addressed(pieces)
        for row in rows:
            refuse_oversize([row.message.payload])
        return Batch(pieces[-1][0].mark, rows, sum(windows for _, windows in pieces))

    def _addressed(self, pieces: list[tuple[Piece, int]]) -> list[Row]:
        """From the start again when a partition ended meanwhile: its rows, dropped at the source, go nowhere now."""
        while True:
            self._outlived = False
            rows = [row for piece, _ in pieces for row in self._rows(piece)]
            if not self._outlived:
                return rows

    def _rows(self, piece: Piece) -> Iterator[Row]:
        for message in piece.rows:
            address = self._addresses.of(message, self._wait_for_partition)
            if address is None:
                log.debug("rows_of_gone_partition", channel=self._lease.key.name, partition=message.partition_id)
            else:
                yield Row(message, address)

    def _wait_for_partition(self, message: Message, waited: float, older: int) -> None:
        """Others on the same target channel need not wait for long.

        Rows of a partition are the end of an older one of its name, which was dropped before it was made: the source
        sends the drop a little later, sometimes behind them, where it would never be read.
        """
        self._check()
        if older:
            self._outlived = True
            self._gate.drain(self.member)
            end = Barrier(self._plan.collection_id, older, message.partition_name, message.first)
            self._barriers.arrive(self._lease.key.task, end, self._plan.vchannel.name)
        if waited > PATIENCE_SECONDS and self.member.in_step:
            self._step_aside()
        self._waiter.wait(1.0)

    def _check(self) -> None:
        self._lease.check()
        if self.member.error:
            raise self.member.error

    def _after_border(self, piece: Piece) -> bool:
        """Report at the barrier of a drop, when everything before it is recorded; True when nothing comes after it."""
        if piece.border is None:
            return False
        self._gate.drain(self.member)
        barrier = self._barrier(piece.border)
        if not barrier.partition_id:
            self._gate.leave(self.member)  # first: the drop deletes the record by which a hold could be given up
        if barrier.partition_id not in self._objects.dropped(self._lease.key.task, barrier.collection_id):
            self._barriers.arrive(self._lease.key.task, barrier, self._plan.vchannel.name)
        return not barrier.partition_id

    def _barrier(self, border: Message) -> Barrier:
        partition = border.partition_id if border.kind is Kind.DROP_PARTITION else 0
        return Barrier(self._plan.collection_id, partition, border.partition_name, border.first)


def checkpoint_of(plan: Plan, fields: Mapping[str, str]) -> Checkpoint:
    """From a channel's record (round.lua)."""
    position = fields.get("position", "")
    return Checkpoint(
        position=Position.from_base64(position) if position else plan.start,
        resolved=Tso.parse(fields.get("resolved", "")),
        intent=fields.get("inflight", ""),
    )
