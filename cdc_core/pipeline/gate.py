"""The gate of one target pchannel in one process: batches in, ticks out (docs: exactly-once)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import redis
import structlog

from cdc_core import backoff
from cdc_core.coordination import gates as ops
from cdc_core.coordination.gates import Answer, Gates, Operation, Request, Round, Word
from cdc_core.coordination.leases import Order
from cdc_core.errors import CdcError, CollectionStopped, LeaseLost, Stopping
from cdc_core.model.timestamp import ZERO, Tso
from cdc_core.pipeline.batch import Batch
from cdc_core.pipeline.delivery import Delivery
from cdc_core.pipeline.lease import LEAST_SECONDS, Lease
from cdc_core.pipeline.member import Flight, Member
from cdc_core.source.window import Mark

ROUND_BYTES = 8 << 20
"""No more batches join a call beyond this; what waits then waits for the next one."""

log = structlog.get_logger(__name__)


class _Line(NamedTuple):
    """An operation of a round, whose it is and what its answer means."""

    member: Member
    operation: Operation
    then: Callable[[Answer], None]


class Gate:
    """Group commit: what the members have ready travels in one call, and its record in one script.

    A turn is: commits of the turn before, raises of idle members, the grant, begins (one script); then data and tick
    (one call). So in steady state there is no round trip but these two. What a call that failed carried is sent again
    in the next turn, and nothing else begins before it has arrived; who has nothing in flight can leave meanwhile.
    """

    def __init__(self, target: str, pchannel: str, gates: Gates, delivery: Delivery) -> None:
        self.target = target
        self.pchannel = pchannel
        self._gates = gates
        self._delivery = delivery
        self._clock = delivery.clock
        self._changed = threading.Condition()
        self._members: set[Member] = set()
        self._landed: list[Flight] = []
        self._tick: Tso | None = None
        self._top = ZERO
        self._granted = ZERO
        self._poked = False
        self._busy_at = self._clock.monotonic()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"gate-{pchannel}", daemon=True)
        self._thread.start()

    # the vchannels' threads

    def enter(self, member: Member) -> None:
        """Before anything else."""
        member.lease.on_order(self._notify)
        with self._changed:
            self._members.add(member)
            self._busy_at = self._clock.monotonic()

    def submit(self, member: Member, batch: Batch) -> None:
        """Send it after those before it; returns when it waits for its turn.

        :raises CdcError: what became of this or an earlier batch, or that the lease is over, or a stop.
        """
        with self._changed:
            self._await(member, lambda: member.waiting is None)
            member.left = False
            member.waiting = batch
            self._changed.notify_all()

    def drain(self, member: Member) -> None:
        """Returns when everything submitted is recorded. :raises CdcError: like `submit`, but no stop."""
        with self._changed:
            self._await(member, lambda: not member.busy, stoppable=False)

    def leave(self, member: Member, abandon: str | None = None) -> None:
        """Give up the hold; nothing may be in flight. The next batch ends that.

        With a reason to `abandon`, also when a batch of unclear fate is recorded that can never be settled; where it
        can be repeated whole, or the reason is '', its channel may go on another day.
        """
        with self._changed:
            member.leaving, member.abandon = True, abandon
            self._changed.notify_all()
            self._await(member, lambda: not member.leaving, stoppable=False, erring=True)

    def exit(self, member: Member) -> None:
        """Forget it; what is in flight stays recorded for whoever claims the channel next."""
        with self._changed:
            self._members.discard(member)
            member.waiting = None

    def poke(self) -> None:
        """Idle members may have come further and rows wait for them: look now."""
        with self._changed:
            self._poked = True
            self._changed.notify_all()

    @property
    def rows_wait(self) -> bool:
        """Whether rows are on the target that no tick has passed yet."""
        return self._top > self._granted

    @property
    def quiet_for(self) -> float:
        """Seconds since rows went through, or somebody came."""
        return self._clock.monotonic() - self._busy_at

    @property
    def trouble(self) -> str | None:
        """Why the target does not take anything now, if so."""
        return self._delivery.trouble

    def sources(self) -> frozenset[str]:
        with self._changed:
            return frozenset(member.source_pchannel for member in self._members)

    @property
    def empty(self) -> bool:
        return not self._members

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(15.0)

    # the ticker's thread

    def idle_request(self, least_advance: int) -> tuple[Request, Callable[[Round | None], None]]:
        """A round that raises who is idle, for many gates to travel together; and what to do with its outcome, None
        when there was no answer.
        """
        with self._changed:
            lines = self._raises()
            for line in lines:
                line.member.raising = True
        return self._request(lines, least_advance), lambda outcome: self._take_idle(lines, outcome)

    def _take_idle(self, lines: Sequence[_Line], outcome: Round | None) -> None:
        with self._changed:
            if outcome:
                self._take_answers(lines, outcome)
            for line in lines:
                line.member.raising = False
            self._changed.notify_all()

    # the gate's own thread

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _await(
        self, member: Member, ready: Callable[[], bool], *, stoppable: bool = True, erring: bool = False
    ) -> None:
        """Wait, holding the condition, for `ready`, or raise what has ended it; `erring` members only leave."""
        while not (ready() or (member.error and not erring)):
            member.lease.check_held()
            if stoppable:
                member.lease.check()
            self._changed.wait(min(member.lease.left, 1.0))
        if member.error and not erring:
            raise member.error

    def _run(self) -> None:
        attempt = 0
        while True:
            with self._changed:
                rest = self._rest()  # first: what becomes clear behind it is work
                if not self._has_work():
                    self._changed.wait(rest)
                    continue
                if self._closed:
                    return
            try:
                self._turn()
                attempt = 0
            except redis.RedisError as error:
                attempt += 1
                log.warning("state_unavailable", gate=self.pchannel, error=str(error), attempt=attempt)
                threading.Event().wait(backoff.delay(attempt, most=2.0))
                self._drop_lost()
            except Exception as error:
                log.exception("gate_failed", gate=self.pchannel)
                self._fail_all(CdcError(f"the gate of {self.pchannel} failed: {error!r}"))

    def _has_work(self) -> bool:
        return bool(
            self._closed
            or self._settled()
            or self._aloft()
            or self._poked
            or self._tick
            or any(member.ready for member in self._members)
        )

    def _rest(self) -> float | None:
        """Seconds until the first batch of an unclear call may be committed or given up, None when there is none."""
        members = {*self._members, *(flight.member for flight in self._landed)}
        return min(filter(None, (member.lease.unclear for member in members)), default=None)

    def _aloft(self) -> list[Flight]:
        """Those to be sent, again if need be."""
        found = [member.flight for member in self._members if member.flight]
        return [flight for flight in found if flight not in self._landed]

    def _settled(self) -> list[Flight]:
        """Those on the target, or refused by it, of which no earlier call can live on."""
        return [flight for flight in self._landed if not flight.member.lease.unclear]

    def _turn(self) -> None:
        with self._changed:
            self._poked = False
            settled = self._settled()
            lines = [*self._commits(settled), *self._raises(), *self._leaves(), *self._begins(settled)]
        if lines:
            self._take_answers(lines, self._gates.round(self._request(lines, 0)))
        with self._changed:
            self._landed = [flight for flight in self._landed if flight not in settled]
            flights = self._aloft()
            tick, self._tick = self._tick, None
            if flights:
                self._busy_at = self._clock.monotonic()
        landed = self._delivery.deliver(self.pchannel, flights, tick)
        with self._changed:
            self._landed += [flight for flight in flights if flight in landed or flight.abandoned]
            for flight in self._aloft():
                if not flight.may_be_sent:
                    self._ground(flight)
            if tick and self._aloft():  # it was with them: it goes with them again
                self._tick = max(self._tick or ZERO, tick)

    def _ground(self, flight: Flight) -> None:
        """Its lease is over, or a stop would wait too long: its record stays, somebody will settle it."""
        member = flight.member
        member.flight = None
        if member.lease.left <= LEAST_SECONDS:
            member.fail(LeaseLost(f"the lease of {member.lease.key.name} is over"))
        else:
            member.fail(Stopping(member.lease.order.value))
        self._changed.notify_all()

    def _request(self, lines: Sequence[_Line], least_advance: int) -> Request:
        return Request(self.target, self.pchannel, [line.operation for line in lines], least_advance)

    def _take_answers(self, lines: Sequence[_Line], outcome: Round) -> None:
        with self._changed:
            for line, answer in zip(lines, outcome.answers, strict=True):
                if answer.word is Word.LOST:
                    self._lost(line.operation)
                else:
                    line.then(answer)
            self._granted = max(self._granted, outcome.last)
            if outcome.tick:
                self._tick = max(self._tick or ZERO, outcome.tick)
            self._changed.notify_all()

    def _commits(self, settled: Sequence[Flight]) -> list[_Line]:
        return [self._abandon(flight) if flight.abandoned else self._commit(flight) for flight in settled]

    def _commit(self, flight: Flight) -> _Line:
        member, mark = flight.member, flight.batch.mark
        lease = member.lease

        def then(answer: Answer) -> None:
            if answer.word in (Word.BACKWARD, Word.NOTHING):
                log.error("commit_refused", channel=lease.key.name, answer=answer.word.value)  # I5
                member.fail(CdcError(f"the checkpoint of {lease.key.name} was refused: {answer.word.value}"))
            self._top = max(self._top, flight.outgoing.end)
            member.flight = None
            self._recorded(member, mark, answer)
            member.on_commit(flight.batch)

        return _Line(member, ops.commit(lease.key, lease.epoch, mark.position, mark.resolved), then)

    def _abandon(self, flight: Flight) -> _Line:
        member = flight.member

        def then(_answer: Answer) -> None:
            member.flight = None
            member.fail(CollectionStopped(flight.abandoned))

        return _Line(member, self._given_up(member.lease, flight.abandoned), then)

    def _raises(self) -> list[_Line]:
        lines = []
        for member in self._members:
            batch = member.waiting
            if batch is not None and not batch.rows and member.flight is None:
                lines.append(self._raise(member, batch.mark, batch))
            elif mark := member.news():
                lines.append(self._raise(member, mark, None))
        return lines

    def _raise(self, member: Member, mark: Mark, batch: Batch | None) -> _Line:
        lease = member.lease

        def then(answer: Answer) -> None:
            if answer.word in (Word.STEP, Word.BEHIND):
                self._recorded(member, mark, answer)
            if batch is not None and member.waiting is batch:
                member.waiting = None
                member.on_commit(batch)

        return _Line(member, ops.raise_(lease.key, lease.epoch, mark.position, mark.resolved), then)

    def _leaves(self) -> list[_Line]:
        return [self._leave(member) for member in self._members if member.may_leave]

    def _leave(self, member: Member) -> _Line:
        lease = member.lease

        def then(_answer: Answer) -> None:
            member.leaving = member.in_step = False
            member.left = True

        if member.abandon is not None:
            return _Line(member, self._given_up(lease, member.abandon), then)
        return _Line(member, ops.leave(lease.key, lease.epoch), then)

    def _given_up(self, lease: Lease, reason: str) -> Operation:
        return ops.abandon(lease.key, lease.epoch, "" if self._delivery.repeatable else reason)

    def _begins(self, settled: Sequence[Flight]) -> list[_Line]:
        lines, size = [], 0
        away = bool(self._aloft())
        for member in self._members:
            batch = member.waiting
            if batch is None or not batch.rows or member.error or member.lease.left <= 0 or size > ROUND_BYTES:
                continue
            if away:
                if member.lease.stopping:
                    member.fail(Stopping(member.lease.order.value))
                continue
            if member.flight and (member.flight.abandoned or member.flight not in settled):
                continue  # nothing may pass what was given up, or what is not committed in this very round
            size += batch.size
            lines.append(self._begin(member, batch))
        return lines

    def _begin(self, member: Member, batch: Batch) -> _Line:
        lease = member.lease

        def then(answer: Answer) -> None:
            if answer.word not in (Word.STEP, Word.BASE):
                member.fail(CdcError(f"a batch of {lease.key.name} could not begin: {answer.word.value}"))
                return
            member.waiting = None
            outgoing = self._delivery.outgoing(batch, answer.base)
            member.flight = Flight(member, batch, outgoing)

        operation = ops.begin(
            lease.key, lease.epoch, batch.intent, batch.stamps[0], batch.stamps[-1], len(batch.stamps)
        )
        return _Line(member, operation, then)

    def _recorded(self, member: Member, mark: Mark, answer: Answer) -> None:
        member.resolved = max(member.resolved, mark.resolved)
        member.in_step = answer.word is Word.STEP

    def _lost(self, operation: Operation) -> None:
        for member in self._members:
            if member.lease.key == operation.key and member.lease.epoch == operation.epoch:
                member.lease.tell(Order.LOST)
                member.flight = member.waiting = None
                member.fail(LeaseLost(f"{operation.key.name} is somebody else's now"))

    def _drop_lost(self) -> None:
        with self._changed:
            self._landed = [flight for flight in self._landed if flight.member.lease.left > 0]

    def _fail_all(self, error: CdcError) -> None:
        with self._changed:
            for member in self._members:
                member.fail(error)
                member.flight = member.waiting = None
            self._landed = []
            self._changed.notify_all()
