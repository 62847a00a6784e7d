"""What breaks an invariant of docs/exactly-once.md, in the words in which the recorders' checkers tell it. Pure."""

from __future__ import annotations

from cdc_core.model.timestamp import Tso


def straddling(what: str, first: Tso, last: Tso) -> list[str]:
    """Of a message, by its smallest and largest row timestamp."""
    return [f"I6 {what}: rows from {first.text} to {last.text}"] if first.cell != last.cell else []


def off_grid(tick: Tso, where: str) -> list[str]:
    return [f"I6 tick {tick.text} at {where} off the grid"] if tick != tick.floor() else []


def other_bytes(what: str) -> str:
    return f"I4 {what}: sent again with other bytes"
