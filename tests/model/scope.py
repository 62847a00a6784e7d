"""What a search is about: what the source wrote, how batches are cut, what may go wrong and how often."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.gate import Gate
from tests.model.record import Record
from tests.model.source import Source, Window
from tests.model.state import State, Troubles
from tests.model.target import Target

A, B = 0, 1

SOURCE = Source(
    (
        (Window((2, 4, 5), 6), Window((7,), 12)),
        (Window((2,), 3), Window((6, 9), 13)),
    )
)
"""Two windows each. The first of a has rows of two grid cells, so two messages; so has the second of b."""

SHORT = Source(((Window((2, 4, 5), 6),), (Window((2,), 3), Window((), 8))))
"""The first ones; to b nothing comes after that."""


@dataclass(frozen=True)
class Scope:
    """`most` windows make a batch; `splits`: a batch may travel in several calls; `presents`: what the source's clock
    is seen to be, one after the other; `present` what it is at the start, and how far others have ticked the target."""

    name: str
    troubles: Troubles
    most: int = 1
    splits: bool = False
    presents: tuple[int, ...] = ()
    present: int = 0
    source: Source = SOURCE

    def start(self) -> State:
        record = Record(self.source.start)
        return State(
            gate=Gate(0, 0, (0, 0), (0, 0)),
            records=(record, record),
            workers=(None, None),
            stale=(None, None),
            target=Target(self.present, frozenset(), frozenset(), (0, 0)),
            granted=frozenset(),
            present=self.present,
            left=self.troubles,
        )
