"""The gate of a target channel, operation by operation as in `round.lua`."""

from __future__ import annotations

from typing import NamedTuple

from tests.model.grid import SECOND, ceil, floor
from tests.model.record import Record
from tests.model.rules import AGREED, Rules


class Gate(NamedTuple):
    """The gate's hash: holds by the number of the member, 0 is none."""

    tick: int
    top: int
    step: tuple[int, ...]
    behind: tuple[int, ...]


class Done(NamedTuple):
    """An operation's answer, as `round.lua` words it, and what is in Redis after it."""

    word: str
    gate: Gate
    record: Record
    base: int = 0


def opened(gate: Gate, present: int, rules: Rules = AGREED) -> Gate:
    """Before every round: a new gate begins at the source's present time, once that is known and nobody has a hold."""
    held = _least(gate) and not rules.new_gate_above_holds
    return gate if gate.tick or not present or held else gate._replace(tick=floor(present))


def commit(gate: Gate, record: Record, member: int, epoch: int, resolved: int, rules: Rules = AGREED) -> Done:
    """`operations.commit`: the target acknowledged the batch in flight."""
    if epoch != record.epoch and not rules.unfenced:
        return Done("LOST", gate, record)
    if record.to != resolved and not rules.no_intent:
        if record.resolved < resolved:
            return Done("NOTHING", gate, record)
        return Done("STEP" if gate.step[member] else "BEHIND", gate, record)
    if resolved < record.resolved:
        return Done("BACKWARD", gate, record)
    gate = gate._replace(top=max(gate.top, record.last), behind=_with(gate.behind, member, 0))
    return _join(gate, record._replace(resolved=resolved, to=0, base=0, gated=False), member, rules)


def raise_(gate: Gate, record: Record, member: int, epoch: int, resolved: int, rules: Rules = AGREED) -> Done:
    """`operations.raise`: nothing came up to there; it takes part in step if it can."""
    if epoch != record.epoch:
        return Done("LOST", gate, record)
    if record.to:
        return Done("BUSY", gate, record)
    if resolved < record.resolved:
        return Done("BACKWARD", gate, record)
    return _join(gate, record._replace(resolved=resolved), member, rules)


def _join(gate: Gate, record: Record, member: int, rules: Rules) -> Done:
    resolved = record.resolved
    if not gate.step[member]:
        own = 0 if rules.join_below_last else record.last
        tick = 0 if rules.join_below_tick else gate.tick
        if not resolved or resolved < tick or resolved < own:
            return Done("BEHIND", gate, record)
    return Done("STEP", gate._replace(step=_with(gate.step, member, resolved)), record._replace(gated=True))


def leave(gate: Gate, record: Record, member: int, epoch: int, rules: Rules = AGREED) -> Done:
    """`operations.leave`: a clean stop."""
    if epoch != record.epoch:
        return Done("LOST", gate, record)
    if record.to and not rules.leave_in_flight:
        return Done("BUSY", gate, record)
    return Done("OK", gate._replace(step=_with(gate.step, member, 0)), record._replace(gated=False))


def abandon(gate: Gate, record: Record, member: int, epoch: int, rules: Rules = AGREED) -> Done:
    """`operations.abandon`: the batch can never succeed."""
    if epoch != record.epoch:
        return Done("LOST", gate, record)
    unsettled = record.unsettled or bool(record.to)
    if record.to:
        gate = gate._replace(top=max(gate.top, record.last))
    left = gate if rules.abandoned_held else without(gate, member)
    return Done("OK", left, record._replace(to=0, base=0, gated=False, unsettled=unsettled))


def begin(
    gate: Gate,
    record: Record,
    member: int,
    epoch: int,
    to: int,
    stamps: tuple[int, int, int],
    present: int = 0,
    rules: Rules = AGREED,
) -> Done:
    """`operations.begin`: before anything is sent. `stamps`: smallest, largest, how many."""
    smallest, largest, count = stamps
    if epoch != record.epoch:
        return Done("LOST", gate, record)
    again = record.to == to and not rules.ignore_record
    if record.to and not again and not rules.ignore_record:
        return Done("BUSY", gate, record)
    if again and not (rules.forget_base and record.base):
        return Done("BASE" if record.base else "STEP", gate, record, record.base)
    if not record.to and to < record.resolved:
        return Done("BACKWARD", gate, record)
    if gate.step[member] >= smallest:
        gate = gate._replace(step=_with(gate.step, member, 0))
    if gate.step[member]:
        if rules.early_hold:
            gate = gate._replace(step=_with(gate.step, member, to))
        if not rules.no_intent:
            record = record._replace(to=to, base=0)
        return Done("STEP", gate, record._replace(last=max(record.last, largest), gated=True))
    own = 0 if rules.no_last else record.last
    above = max(gate.tick, own, min(filter(None, gate.step), default=0) or keepalive(present)) or largest
    line = above if rules.no_cell else ceil(above)
    if not rules.behind_unheld:
        gate = gate._replace(behind=_with(gate.behind, member, line))
    return Done("BASE", gate, record._replace(to=to, base=line + 1, last=line + count, gated=True), line + 1)


def grant(gate: Gate, present: int = 0, least: int = 0, rules: Rules = AGREED) -> int:
    """`grant`: the tick that may be sent now (I3), 0 if there is none; `least` is what it must gain."""
    if bound := _least(gate):
        tick = bound if rules.ticks_off_grid or bound >= gate.top else floor(bound)
    else:
        tick = max(keepalive(present), ceil(gate.top))
    return tick if tick > gate.tick and (not gate.tick or tick - gate.tick >= least) else 0


def _least(gate: Gate) -> int:
    return min(filter(None, gate.step + gate.behind), default=0)


def keepalive(present: int) -> int:
    """`keepalive`: a second behind the source's clock, when that is known."""
    return max(0, floor(present - SECOND))


def without(gate: Gate, member: int) -> Gate:
    """No hold of that member any more."""
    return gate._replace(step=_with(gate.step, member, 0), behind=_with(gate.behind, member, 0))


def _with(holds: tuple[int, ...], member: int, hold: int) -> tuple[int, ...]:
    return (*holds[:member], hold, *holds[member + 1 :])
