"""Every step that may come next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tests.model import gate as gates
from tests.model import target as targets
from tests.model.rules import AGREED, Rules
from tests.model.scope import Scope
from tests.model.state import State
from tests.model.step import Step
from tests.model.trouble import Trouble
from tests.model.vchannel import VChannel


@dataclass(frozen=True)
class Protocol:
    """The rules at work in a scope.

    A round of `round.lua` does several operations at once; here they come one by one, so that others may come in
    between: more than can happen.
    """

    scope: Scope
    rules: Rules = AGREED

    def start(self) -> State:
        return self.scope.start()

    def steps(self, state: State) -> Iterator[Step]:
        if not self.rules.new_gate_at_zero:
            state = state._replace(gate=gates.opened(state.gate, state.present, self.rules))
        for member in range(len(state.records)):
            yield from self._vchannel.steps(state, member)
            yield from self._trouble.steps(state, member)
        yield from self._ticks(state)
        yield from self._target(state)
        yield from self._clock(state)

    def settled(self, state: State) -> bool:
        """Every row of a task that runs is recorded, and nobody holds up ticks who does not run."""
        return all(self._member_settled(state, member) for member in range(len(state.records)))

    def _member_settled(self, state: State, member: int) -> bool:
        record = state.records[member]
        if record.to or state.gate.behind[member]:
            return False
        if record.running and not record.unsettled:
            return record.resolved == self.scope.source.end(member)
        return not state.gate.step[member]

    @cached_property
    def _vchannel(self) -> VChannel:
        return VChannel(self.scope.source, self.rules, self.scope.most, self.scope.splits)

    @cached_property
    def _trouble(self) -> Trouble:
        return Trouble(self._vchannel, self.rules)

    def _ticks(self, state: State) -> Iterator[Step]:
        """`pipeline/gate.py`, `pipeline/ticker.py`"""
        if tick := gates.grant(state.gate, state.present, rules=self.rules):
            granted = state.granted | {tick}
            yield Step("grant", 0, (tick,), True, state._replace(gate=state.gate._replace(tick=tick), granted=granted))
        for tick in sorted(state.granted):
            # A lower one that is sent later does nothing: it need not be remembered.
            granted = frozenset(other for other in state.granted if other > tick)
            after = state._replace(target=targets.ticked(state.target, tick), granted=granted)
            yield Step("tick", 0, (tick,), True, after)

    def _target(self, state: State) -> Iterator[Step]:
        for message in sorted(state.target.living):
            after = state._replace(target=targets.landed(state.target, message))
            yield Step("land", message.member, (message.stamps,), True, after)
            died = state.target._replace(living=state.target.living - {message})
            yield Step("die", message.member, (), True, state._replace(target=died))
        if state.left.restarts:
            granted = state.granted | ({state.gate.tick} if state.gate.tick else set())  # the ticker sends it again
            recovered = targets.recovered(state.target)
            after = state._replace(target=recovered, granted=granted, left=state.left.less("restarts"))
            yield Step("restart", 0, (), False, after)

    def _clock(self, state: State) -> Iterator[Step]:
        for present in [each for each in self.scope.presents if each > state.present][:1]:
            yield Step("clock", 0, (present,), False, state._replace(present=present))
