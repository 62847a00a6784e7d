"""What goes wrong, and what operators do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model import gate as gates
from tests.model import target as targets
from tests.model.rules import Rules
from tests.model.state import Phase, State, Worker
from tests.model.step import Step, stamps
from tests.model.vchannel import VChannel


@dataclass(frozen=True)
class Trouble:
    """As often as the state has left."""

    vchannel: VChannel
    rules: Rules

    def steps(self, state: State, member: int) -> Iterator[Step]:
        """Of one vchannel."""
        worker = state.workers[member]
        if worker is not None:
            yield from self._kill(state, member)
            yield from self._lose(state, member, worker)
        yield from self._old_worker(state, member)
        yield from self._operator(state, member)

    def _kill(self, state: State, member: int) -> Iterator[Step]:
        if state.left.kills:
            after = state._replace(left=state.left.less("kills"))
            yield Step("kill", member, (), False, after.man(member, None))

    def _lose(self, state: State, member: int, worker: Worker) -> Iterator[Step]:
        """A process stops sending before its lease ends, so what it may do too late is a commit."""
        late = worker.phase is Phase.BEGUN if self.rules.frozen else worker.phase is Phase.SENT
        if late and state.left.losses and state.stale[member] is None:
            after = state._replace(left=state.left.less("losses"))
            yield Step("lose", member, (), False, after.man(member, None).remember(member, worker))

    def _old_worker(self, state: State, member: int) -> Iterator[Step]:
        old = state.stale[member]
        if old is None:
            return
        gone = state.remember(member, None)
        if old.phase is Phase.BEGUN:
            parts = self.vchannel.batch(member, old).stamped(old.base)
            target = targets.written(state.target, targets.messages(member, parts))
            yield Step("late send", member, stamps(parts), False, gone._replace(target=target))
        elif self.vchannel.may_commit(state.target, member, old):
            done = gates.commit(state.gate, state.records[member], member, old.epoch, old.to, self.rules)
            word = "lost" if done.word == "LOST" else "late commit"
            yield Step(word, member, (old.to,), True, gone.take(member, done))

    def _operator(self, state: State, member: int) -> Iterator[Step]:
        record = state.records[member]
        if record.running and state.left.pauses:
            after = state._replace(left=state.left.less("pauses"))
            yield Step("pause", member, (), False, after.keep(member, record._replace(running=False)))
        if not record.running and state.left.resumes:
            after = state._replace(left=state.left.less("resumes"))
            yield Step("resume", member, (), False, after.keep(member, record._replace(running=True)))
