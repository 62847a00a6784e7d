"""A window cut at its DDL messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cdc_core.model.message import Kind, Message
from cdc_core.model.timestamp import Tso
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


def cut(window: Window, before: Mark) -> Iterator[Piece]:
    """The pieces of a window in order of time; together they hold all its rows, once.

    A piece that ends at a drop is resolved up to just before it, and is read again from where `before`, the mark of
    the window before, says: nothing of this window lies ahead of that. Pure.
    """
    rows = [m for m in window.messages if m.kind in ROWS]
    for border in sorted((m for m in window.messages if m.kind in BORDERS), key=lambda m: (m.first, m.order)):
        resolved = Tso(border.first - 1)
        mark = Mark(resolved, replace(before.position, timestamp=resolved))
        yield Piece(tuple(m for m in rows if m.first <= resolved), border, mark)
        rows = [m for m in rows if m.first > resolved]
    yield Piece(tuple(rows), None, window.mark)
