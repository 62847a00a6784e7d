"""The protocol with one of its rules broken, one after the other: what each rule is for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tests.model.protocol import Protocol
from tests.model.rules import Rules
from tests.model.scope import SHORT, SOURCE, Scope
from tests.model.search import History, Outcome, Search
from tests.model.source import Source, Window
from tests.model.state import Troubles


@dataclass(frozen=True)
class Variant:
    """`title` says what is done otherwise; `scope` has no more trouble than it takes; `ends` is the word that the
    search must end with."""

    title: str
    rules: Rules
    scope: Scope
    ends: str

    def searched(self) -> Outcome:
        return _searched(self)


@cache
def _searched(variant: Variant) -> Outcome:
    return Search(Protocol(variant.scope, variant.rules), strict=False).run()


def _scope(
    source: Source = SHORT, present: int = 0, presents: tuple[int, ...] = (), *, splits: bool = False, **troubles: int
) -> Scope:
    return Scope("", Troubles(**troubles), source=source, present=present, splits=splits, presents=presents)


TICKED_BETWEEN = Source(((Window((2, 4, 5), 6),), (Window((2,), 3), Window((), 4), Window((), 8))))
"""b comes to a grid line that may be among the new stamps of a."""

VARIANTS = (
    Variant("I2: the hold is raised before the record", Rules(early_hold=True), _scope(kills=1), "DOUBLED"),
    Variant(
        "I2: the checkpoint is recorded before the target has acknowledged",
        Rules(early_commit=True),
        _scope(kills=1),
        "LOST",
    ),
    Variant("I4: in step nothing is recorded before the send", Rules(no_intent=True), _scope(kills=1), "DOUBLED"),
    Variant(
        "I4: who takes over goes on from the checkpoint, whatever batch is recorded",
        Rules(ignore_record=True),
        _scope(kills=1),
        "DOUBLED",
    ),
    Variant(
        "I4: the base is not recorded, who takes over stamps anew", Rules(forget_base=True), _scope(kills=1), "DOUBLED"
    ),
    Variant(
        "I4: who takes over merges messages by another rule",
        Rules(other_merge=True),
        _scope(kills=1, splits=True),
        "LOST",
    ),
    Variant("I1: a batch from behind has no hold", Rules(behind_unheld=True), _scope(restarts=1), "LOST"),
    Variant("I1: a vchannel joins in step below the tick", Rules(join_below_tick=True), _scope(restarts=1), "LOST"),
    Variant(
        "the base is above the tick, but not above what the vchannel has sent since",
        Rules(no_last=True),
        _scope(SOURCE),
        "REORDERED",
    ),
    Variant(
        "a vchannel joins in step below what it has sent from behind",
        Rules(join_below_last=True),
        _scope(SOURCE),
        "REORDERED",
    ),
    Variant(
        "others take out the hold of a vchannel whose worker is gone",
        Rules(orphans_removed=True),
        _scope(kills=1),
        "DOUBLED",
    ),
    Variant("leave is not refused with a batch in flight", Rules(leave_in_flight=True), _scope(restarts=1), "LOST"),
    Variant("a commit is not fenced by the lease's epoch", Rules(unfenced=True), _scope(losses=1), "DOUBLED"),
    Variant(
        "the hold rises as soon as a timed-out call was repeated", Rules(impatient=True), _scope(timeouts=1), "DOUBLED"
    ),
    Variant(
        "who takes over does not wait for a call of the owner before",
        Rules(heedless_takeover=True),
        _scope(timeouts=1, kills=1),
        "DOUBLED",
    ),
    Variant(
        "a refused batch is given up while a call of it may still be written",
        Rules(hasty_abandon=True),
        _scope(timeouts=1, refusals=1, splits=True),
        "DOUBLED",
    ),
    Variant("a paused vchannel is not settled", Rules(paused_unclaimable=True), _scope(pauses=1, kills=1), "STUCK"),
    Variant("a batch that is given up keeps its hold", Rules(abandoned_held=True), _scope(refusals=1), "STUCK"),
    Variant(
        "a batch that was given up starts again with a resume",
        Rules(abandoned_again=True),
        _scope(refusals=1, splits=True),
        "DOUBLED",
    ),
    Variant(
        "I6: a batch from behind begins just above what was seen, not in a grid cell of its own",
        Rules(no_cell=True),
        _scope(TICKED_BETWEEN, restarts=1),
        "LOST",
    ),
    Variant("I6: messages are merged across grid lines", Rules(merge_across=True), _scope(restarts=1), "LOST"),
    Variant(
        "I6: ticks are granted off the grid, though more was sent before",
        Rules(ticks_off_grid=True),
        _scope(restarts=1),
        "LOST",
    ),
    Variant(
        "a new gate begins at zero, on a standby that others have ticked",
        Rules(new_gate_at_zero=True),
        _scope(present=8, restarts=1),
        "LOST",
    ),
    Variant(
        "a gate where somebody has a hold already begins at the source's present time, when that is seen first",
        Rules(new_gate_above_holds=True),
        _scope(presents=(88,), kills=1, restarts=1),
        "DOUBLED",
    ),
)

LIMIT = Variant(
    "a process is frozen between its last look at the clock and its call",
    Rules(frozen=True),
    _scope(losses=1),
    "DOUBLED",
)
"""What no rule can prevent, and what the documentation does not promise."""


def found() -> list[tuple[Variant, History]]:
    """The shortest history of each that goes wrong."""
    outcomes = [(variant, variant.searched().history) for variant in (*VARIANTS, LIMIT)]
    return [(variant, history) for variant, history in outcomes if history]
