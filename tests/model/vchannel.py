"""One vchannel: who holds its lease, and what a worker does with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model import gate as gates
from tests.model import target as targets
from tests.model.record import claim
from tests.model.rules import Rules
from tests.model.source import Batch, Part, Source
from tests.model.state import Phase, State, Worker
from tests.model.step import Step, stamps
from tests.model.target import Target


@dataclass(frozen=True)
class VChannel:
    """The steps of any of them: `pipeline/replicator.py` with `pipeline/gate.py` and `pipeline/delivery.py`."""

    source: Source
    rules: Rules
    most: int
    splits: bool

    def steps(self, state: State, member: int) -> Iterator[Step]:
        worker = state.workers[member]
        if worker is None:
            yield from self._claim(state, member)
        elif worker.phase is Phase.IDLE:
            yield from self._idle(state, member, worker)
        else:
            yield from self._with_batch(state, member, worker)

    def _claim(self, state: State, member: int) -> Iterator[Step]:
        record = state.records[member]
        if self.rules.abandoned_again:
            record = record._replace(unsettled=False)
        answer = claim(record)
        settling = answer.word == "SETTLE"
        if answer.word == "OK" or (settling and not (self.rules.paused_unclaimable and not record.running)):
            after = state.keep(member, answer.record)
            worker = Worker(answer.record.epoch, settling)
            word = "settle" if settling else "again" if record.epoch else "claim"
            yield Step(word, member, (), True, after.man(member, worker))
        if self.rules.orphans_removed and (state.gate.step[member] or state.gate.behind[member]):
            yield Step("orphan", member, (), True, state._replace(gate=gates.without(state.gate, member)))

    def _idle(self, state: State, member: int, worker: Worker) -> Iterator[Step]:
        record = state.records[member]
        if record.to and not self.rules.ignore_record:  # I4: that before anything else
            yield self._begin(state, member, worker, record.to)
        elif worker.settling:
            pass
        else:
            for end in self.source.ends(member, record.resolved)[: self.most]:
                yield self._next(state, member, worker, end)
            if not state.gate.step[member]:
                yield from self._join(state, member, worker)
        yield from self._leave(state, member, worker)

    def _next(self, state: State, member: int, worker: Worker, end: int) -> Step:
        """A batch, or a raise where no rows came."""
        record = state.records[member]
        if self.source.rows_until(member, end) != self.source.rows_until(member, record.resolved):
            return self._begin(state, member, worker, end)
        done = gates.raise_(state.gate, record, member, worker.epoch, end, self.rules)
        return Step("raise", member, (end,), True, state.take(member, done))

    def _begin(self, state: State, member: int, worker: Worker, end: int) -> Step:
        record = state.records[member]
        begun = Worker(worker.epoch, worker.settling, Phase.BEGUN, record.resolved, end)
        found = self.batch(member, begun).stamps
        range_ = (found[0], found[-1], len(found))
        done = gates.begin(state.gate, record, member, worker.epoch, end, range_, state.present, self.rules)
        after = state.take(member, done).man(member, begun._replace(base=done.base))
        if done.base:
            return Step("restamp", member, (end, done.base), True, after)
        return Step("begin", member, (end,), True, after)

    def _join(self, state: State, member: int, worker: Worker) -> Iterator[Step]:
        """A raise to where it is."""
        record = state.records[member]
        done = gates.raise_(state.gate, record, member, worker.epoch, record.resolved, self.rules)
        if done.word == "STEP":
            yield Step("join", member, (record.resolved,), True, state.take(member, done))

    def _leave(self, state: State, member: int, worker: Worker) -> Iterator[Step]:
        record = state.records[member]
        if record.gated:
            done = gates.leave(state.gate, record, member, worker.epoch, self.rules)
            if done.word == "OK":
                yield Step("leave", member, (), True, state.take(member, done))
        elif not record.to and (worker.settling or not record.running):
            yield Step("release", member, (), True, state.man(member, None))

    def _with_batch(self, state: State, member: int, worker: Worker) -> Iterator[Step]:
        if worker.phase is Phase.BEGUN:
            yield from self._send(state, member, worker)
        sent = worker.phase is Phase.SENT or self.rules.early_commit
        if sent and self.may_commit(state.target, member, worker):
            yield from self._commit(state, member, worker)
        if self.rules.leave_in_flight:
            yield from self._leave(state, member, worker)

    def _send(self, state: State, member: int, worker: Worker) -> Iterator[Step]:
        parts = self.batch(member, worker).stamped(worker.base)
        rest = parts[worker.parts :]
        sent = worker._replace(phase=Phase.SENT, parts=0)
        yield Step("send", member, stamps(rest), True, self._written(state, member, sent, rest))
        if self.splits and len(rest) > 1:
            part = worker._replace(parts=worker.parts + 1)
            yield Step("part", member, stamps(rest[:1]), True, self._written(state, member, part, rest[:1]))
        if state.left.timeouts:
            living = state.target.living | targets.messages(member, parts)
            after = state._replace(target=state.target._replace(living=living), left=state.left.less("timeouts"))
            again = worker._replace(unclear=True, parts=0)
            yield Step("unclear", member, stamps(parts), False, after.man(member, again))
        if state.left.refusals and (self.rules.hasty_abandon or self.may_commit(state.target, member, worker)):
            done = gates.abandon(state.gate, state.records[member], member, worker.epoch, self.rules)
            after = state._replace(left=state.left.less("refusals")).take(member, done)
            yield Step("refuse", member, (), False, after.man(member, None))

    def _written(self, state: State, member: int, worker: Worker, parts: tuple[Part, ...]) -> State:
        target = targets.written(state.target, targets.messages(member, parts))
        return state._replace(target=target).man(member, worker)

    def may_commit(self, target: Target, member: int, worker: Worker) -> bool:
        """Not while a call may be written yet (`Lease.unclear`): known in the model, in truth a matter of 10 s."""
        if self.rules.impatient or (self.rules.heedless_takeover and not worker.unclear):
            return True
        return all(message.member != member for message in target.living)

    def _commit(self, state: State, member: int, worker: Worker) -> Iterator[Step]:
        record = state.records[member]
        done = gates.commit(state.gate, record, member, worker.epoch, worker.to, self.rules)
        if done.word in ("STEP", "BEHIND"):
            early = worker.phase is Phase.BEGUN
            after = state.take(member, done).man(member, worker if early else Worker(worker.epoch, worker.settling))
            yield Step("commit", member, (worker.to,), True, after)

    def batch(self, member: int, worker: Worker) -> Batch:
        across = self.rules.merge_across or (self.rules.other_merge and worker.epoch > 1)
        return self.source.batch(member, worker.after, worker.to, merge_across=across)
