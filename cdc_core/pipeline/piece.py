"""A window cut at its DDL messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cdc_core.model.message import Kind, Message
from cdc_core.model.position import Position
from cdc_core.model.timestamp import ZERO, Tso
from cdc_core.source.window import Mark, Window

ROWS = frozenset({Kind.INSERT, Kind.DELETE, Kind.IMPORT})
BORDERS = frozenset({Kind.DROP_COLLECTION, Kind.DROP_PARTITION})
"""Creations are no borders: the catalog makes objects before the first row that needs them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows up to `mark`, and then, perhaps, a drop that must wait until they are recorded."""

    rows: tuple[Message, ...]
    border: Message | None
    mark: Mark


def cut(window: Window, before: Position, done: Tso = ZERO) -> Iterator[Piece]:
    """The pieces of a window in order of time; together they hold all its rows, once.

    A piece that ends at a drop is resolved up to just before it, and is read again from `before`, where the window
    before ended: only so the same window comes again. What of it is `done` is left out then. Pure.
    """
    rows = [m for m in window.messages if m.kind in ROWS and m.first > done]
    borders = [m for m in window.messages if m.kind in BORDERS and m.first > done]
    for border in sorted(borders, key=lambda m: (m.first, m.order)):
        resolved = Tso(border.first - 1)
        yield Piece(tuple(m for m in rows if m.first <= resolved), border, Mark(resolved, before))
        rows = [m for m in rows if m.first > resolved]
    yield Piece(tuple(rows), None, window.mark)
