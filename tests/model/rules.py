"""The rules of the protocol, each of which can be broken to see what it is for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """All off is the protocol as it is agreed; a switch that is on breaks one rule of it."""

    early_hold: bool = False
    """begin raises the hold in step, before the record"""
    no_intent: bool = False
    """begin in step records nothing"""
    ignore_record: bool = False
    """who finds a record begins afresh from the checkpoint"""
    forget_base: bool = False
    """the record lacks the base: a resend from behind is stamped anew"""
    other_merge: bool = False
    """who takes over merges by another rule: across grid lines"""
    no_last: bool = False
    """the base need not lie above what the vchannel itself has sent"""
    join_below_tick: bool = False
    """a vchannel may join in step below the tick"""
    join_below_last: bool = False
    """a vchannel may join in step below what it has sent"""
    early_commit: bool = False
    """the record is written before the target has acknowledged"""
    unfenced: bool = False
    """a commit is taken from whoever once held the lease"""
    impatient: bool = False
    """the hold rises right after the repetition of an unclear call"""
    heedless_takeover: bool = False
    """only who made an unclear call waits for its end, not who takes over from him"""
    hasty_abandon: bool = False
    """a batch is given up while a call of it may still be written"""
    abandoned_held: bool = False
    """a batch that is given up keeps its hold"""
    orphans_removed: bool = False
    """others take out the hold of a vchannel whose owner is gone"""
    leave_in_flight: bool = False
    """leave is not refused with a batch in flight"""
    paused_unclaimable: bool = False
    """a paused vchannel is nobody's, whatever it has left"""
    abandoned_again: bool = False
    """a resume starts a given-up batch again"""
    behind_unheld: bool = False
    """a batch from behind has no hold"""
    no_cell: bool = False
    """the base is just above what was seen, not in a grid cell of its own"""
    merge_across: bool = False
    """messages of a window are merged across grid lines"""
    ticks_off_grid: bool = False
    """ticks are granted wherever the holds allow"""
    new_gate_at_zero: bool = False
    """a new gate does not begin at the source's present time"""
    new_gate_above_holds: bool = False
    """a new gate begins at the source's present time, though somebody has a hold below it"""
    frozen: bool = False
    """a frozen process sends after its lease has ended: no rule, but what cannot be promised"""


AGREED = Rules()
