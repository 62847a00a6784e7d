"""What must hold in every state: the promise that can be seen on the target, and the invariants that it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model.grid import cell
from tests.model.protocol import Protocol
from tests.model.state import Phase, State
from tests.model.target import Message


@dataclass(frozen=True)
class Promise:
    """Of a protocol. I1 to I6 are those of docs/exactly-once.md."""

    protocol: Protocol

    def broken(self, state: State) -> str:
        """The worst that can be seen on the target, '' if nothing."""
        return state.target.fault or self._lost(state)

    def invariants(self, before: State, state: State) -> list[str]:
        """Those that a step breaks, all of them kept by the protocol as it is agreed."""
        found = [*self._messages(state), *self._ticks(state)]
        if state.gate.tick < before.gate.tick:
            found.append("I5 the tick went back")
        if any(a.resolved > b.resolved for a, b in zip(before.records, state.records, strict=True)):
            found.append("I5 a checkpoint went back")
        return found

    def _lost(self, state: State) -> str:
        for member, record in enumerate(state.records):
            worker = state.workers[member]
            if worker and worker.phase is Phase.BEGUN:
                continue  # they may come yet
            recorded = self.protocol.scope.source.rows_until(member, record.resolved)
            missing = recorded & ~state.target.applied[member]
            if missing:
                for message in state.target.waiting:
                    if message.member == member:
                        missing &= ~sum(1 << row for row in message.rows)
            if missing:
                return f"LOST: row {'ab'[member]}{missing.bit_length()} is recorded and not on the target"
        return ""

    def _messages(self, state: State) -> Iterator[str]:
        ids = {(message.member, message.rows) for message in state.target.waiting}
        if len(ids) < len(state.target.waiting):
            yield "I4 sent again with other timestamps"
        for message in state.target.waiting | state.target.living:
            if cell(message.stamps[0]) != cell(message.stamps[-1]):
                yield f"I6 a message with rows at {message.stamps}"
            yield from self._unrecorded(state, message)
        for message in state.target.waiting:
            tick = state.target.tick
            if message.stamps[0] <= tick:
                yield f"{'I6' if tick < message.stamps[-1] else 'I3'} rows at {message.stamps} behind the tick {tick}"

    def _unrecorded(self, state: State, message: Message) -> Iterator[str]:
        record = state.records[message.member]
        rows = self.protocol.scope.source.rows_until(message.member, record.resolved)
        living = message in state.target.living
        if record.unsettled or (rows >> message.rows[0] & 1 and not living):
            return
        hold = state.gate.step[message.member] or state.gate.behind[message.member]
        if not hold or hold >= message.stamps[0]:
            yield f"{'I2' if living else 'I1'} rows at {message.stamps} above the hold {hold}"
        if not record.to:
            yield f"I4 rows at {message.stamps} without a record"

    def _ticks(self, state: State) -> Iterator[str]:
        gate = state.gate
        if any(hold and gate.tick > hold for hold in gate.step + gate.behind):
            yield f"I3 the tick {gate.tick} above a hold"
        if state.target.tick > max(gate.tick, self.protocol.scope.present):
            yield f"I3 the tick {state.target.tick} was not granted"
