"""What breaks an invariant of docs/exactly-once.md, in the words in which the recorders' checkers tell it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cdc_core.model.timestamp import Tso


def straddling(what: str, first: Tso, last: Tso) -> list[str]:
    """Of a message, by its smallest and largest row timestamp."""
    return [f"I6 {what}: rows from {first.text} to {last.text}"] if first.cell != last.cell else []


def inside(tick: Tso, where: str, wide: Iterable[tuple[Tso, Tso]]) -> list[str]:
    """`wide`: the smallest and largest row timestamps of the messages that came before the tick."""
    return [
        f"I6 tick {tick.text} at {where} inside a message from {first.text} to {last.text}"
        for first, last in wide
        if first <= tick < last
    ]


def other_bytes(what: str) -> str:
    return f"I4 {what}: sent again with other bytes"
