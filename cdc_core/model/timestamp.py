"""Milvus' hybrid timestamp (TSO)."""

from __future__ import annotations

LOGICAL_BITS = 18
LOGICAL_MASK = (1 << LOGICAL_BITS) - 1
GRID_MS = 50
"""Ticks on the target are granted only at multiples of this many milliseconds (I6)."""


class Tso(int):
    """A hybrid timestamp: unix milliseconds << 18 | logical counter.

    Its text form is `mmmmmmmmmmmmmmm.llllll`: fixed width, so that text order is time order. Redis keeps that
    form, because its numbers are doubles and cannot hold 64 bits.
    """

    __slots__ = ()

    @classmethod
    def of(cls, ms: int, logical: int = 0) -> Tso:
        return cls((ms << LOGICAL_BITS) | logical)

    @classmethod
    def parse(cls, text: str | bytes) -> Tso:
        """From the text form; '' is zero."""
        if not text:
            return ZERO
        ms, logical = (text.decode() if isinstance(text, bytes) else text).split(".")
        return cls.of(int(ms), int(logical))

    @property
    def ms(self) -> int:
        """Unix milliseconds."""
        return self >> LOGICAL_BITS

    @property
    def logical(self) -> int:
        return self & LOGICAL_MASK

    @property
    def text(self) -> str:
        return f"{self.ms:015d}.{self.logical:06d}"

    def floor(self) -> Tso:
        """The last grid line at or below it."""
        return Tso.of(self.ms - self.ms % GRID_MS)

    def ceil(self) -> Tso:
        """The first grid line at or above it."""
        line = self.floor()
        return line if line == self else Tso.of(line.ms + GRID_MS)

    @property
    def cell(self) -> int:
        """The number k of its grid cell, which is ((k-1) * 50 ms, k * 50 ms]; rows of one cell may share a message."""
        return self.ceil().ms // GRID_MS

    def __repr__(self) -> str:
        return f"Tso({self.text})"


ZERO = Tso(0)
