"""What the source has written: windows of rows per vchannel, and the messages they become."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.model.grid import cell


class Window(NamedTuple):
    """From tick to tick: the timestamps of its rows, and the tick at its end."""

    rows: tuple[int, ...]
    end: int


class Part(NamedTuple):
    """A message of a batch: its rows by number and their timestamps. Its id is the number of its first row."""

    rows: tuple[int, ...]
    stamps: tuple[int, ...]


class Batch(NamedTuple):
    """What one vchannel sends at a time, as `pipeline/batch.py`: the distinct timestamps, and the messages."""

    end: int
    stamps: tuple[int, ...]
    parts: tuple[Part, ...]

    def stamped(self, base: int) -> tuple[Part, ...]:
        """In step (no base) as they are, from behind with base, base + 1, ..."""
        if not base:
            return self.parts
        mapping = {stamp: base + i for i, stamp in enumerate(self.stamps)}
        return tuple(Part(part.rows, tuple(mapping[stamp] for stamp in part.stamps)) for part in self.parts)


@dataclass(eq=False)
class Source:
    """The windows of every vchannel; all rows of one have the same key, so that their order matters."""

    windows: tuple[tuple[Window, ...], ...]
    start: int = 1
    """Where replication begins."""
    _batches: dict[tuple[int, int, int, bool], Batch] = field(default_factory=dict)
    _rows: dict[tuple[int, int], int] = field(default_factory=dict)

    def ends(self, member: int, resolved: int) -> list[int]:
        """The window ends above a checkpoint."""
        return [window.end for window in self.windows[member] if window.end > resolved]

    def end(self, member: int) -> int:
        return self.windows[member][-1].end

    def rows_until(self, member: int, resolved: int) -> int:
        """As bits, row 0 the lowest."""
        key = (member, resolved)
        if key not in self._rows:
            count = sum(len(window.rows) for window in self.windows[member] if window.end <= resolved)
            self._rows[key] = (1 << count) - 1
        return self._rows[key]

    def batch(self, member: int, after: int, until: int, *, merge_across: bool) -> Batch:
        """The rows of a window and a grid cell make a message (`codec/merge.py`), or those of a window."""
        key = (member, after, until, merge_across)
        if key not in self._batches:
            self._batches[key] = self._made(*key)
        return self._batches[key]

    def _made(self, member: int, after: int, until: int, merge_across: bool) -> Batch:
        parts: list[Part] = []
        number = 0
        for window in self.windows[member]:
            cells: dict[int, list[int]] = {}
            for stamp in window.rows:
                if after < window.end <= until:
                    cells.setdefault(0 if merge_across else cell(stamp), []).append(number)
                number += 1
            parts += [Part(tuple(rows), tuple(self._stamp(member, row) for row in rows)) for rows in cells.values()]
        return Batch(until, tuple(sorted({stamp for part in parts for stamp in part.stamps})), tuple(parts))

    def _stamp(self, member: int, row: int) -> int:
        return [stamp for window in self.windows[member] for stamp in window.rows][row]
