"""All states that can be reached, the nearest first."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tests.model.promise import Promise
from tests.model.protocol import Protocol
from tests.model.state import State
from tests.model.step import Step

STUCK = "STUCK: from here there is no way to an end without help"


@dataclass(frozen=True)
class History:
    """From the start to what is wrong, by the fewest steps."""

    steps: tuple[Step, ...]
    wrong: str


@dataclass(frozen=True)
class Outcome:
    """What a search has come to; without a history nothing is wrong. `words` are the kinds of steps that came up."""

    states: int
    steps: int
    words: frozenset[str]
    history: History | None


class Search:
    """Breadth first, so that what is found is found by the fewest steps, and always the same."""

    def __init__(self, protocol: Protocol, *, strict: bool) -> None:
        """`strict`: not only what can be seen on the target counts, but every invariant."""
        self._protocol = protocol
        self._promise = Promise(protocol)
        self._strict = strict
        self._number: dict[State, int] = {}
        self._words: set[str] = set()
        self._parents = array("l")
        self._before = array("l")
        """For each step that the system makes by itself, from where ..."""
        self._after = array("l")
        """... and to where."""

    def run(self) -> Outcome:
        gc.disable()  # nothing here is garbage, and looking for it takes a third of the time
        try:
            return self._searched()
        finally:
            gc.enable()

    def _searched(self) -> Outcome:
        start = self._protocol.start()
        self._number[start] = 0
        self._parents.append(-1)
        level, steps = [start], 0
        while level:
            level, more, wrong = self._next(level)
            steps += more
            if wrong:
                return Outcome(len(self._number), steps, frozenset(self._words), wrong)
        stuck = self._stuck()
        history = self._history(stuck, STUCK) if stuck is not None else None
        return Outcome(len(self._number), steps, frozenset(self._words), history)

    def _next(self, level: list[State]) -> tuple[list[State], int, History | None]:
        """The states that are one step further, and how many steps were looked at."""
        found: list[State] = []
        steps = 0
        for state in level:
            here = self._number[state]
            for step in self._protocol.steps(state):
                steps += 1
                self._words.add(step.word)
                after = step.state
                there = self._number.get(after)
                if there is None:
                    there = self._number[after] = len(self._number)
                    self._parents.append(here)
                    found.append(after)
                    if wrong := self._wrong(state, after):
                        return found, steps, self._history(there, wrong)
                if step.ours:
                    self._before.append(here)
                    self._after.append(there)
        return found, steps, None

    def _wrong(self, before: State, state: State) -> str:
        broken = self._promise.broken(state)
        if not broken and self._strict:
            return "; ".join(self._promise.invariants(before, state))
        return broken

    def _stuck(self) -> int | None:
        """The first state from which no settled one can be reached without trouble and without an operator."""
        well = bytearray(self._protocol.settled(state) for state in self._number)
        changed = True
        while changed:
            changed = False
            for number in range(len(self._before) - 1, -1, -1):  # most steps lead on, so backwards it is soon done
                if well[self._after[number]] and not well[self._before[number]]:
                    well[self._before[number]] = changed = True
        stuck = well.find(0)
        return stuck if stuck >= 0 else None

    def _history(self, number: int, wrong: str) -> History:
        states = list(self._number)
        way = [states[number]]
        while (number := self._parents[number]) >= 0:
            way.append(states[number])
        way.reverse()
        return History(tuple(self._between(way)), wrong)

    def _between(self, way: list[State]) -> Iterator[Step]:
        for before, after in pairwise(way):
            yield next(step for step in self._protocol.steps(before) if step.state == after)
