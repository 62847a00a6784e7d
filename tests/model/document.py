"""docs/model.md: what the searches find, for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from textwrap import wrap

from tests.model.scope import Scope
from tests.model.search import History, Outcome
from tests.model.variants import Variant

DOCUMENT = Path(__file__).parents[2] / "docs" / "model.md"


class Part:
    """What stands between two comments of the document, and is written by `python -m tests.model --write`."""

    def __init__(self, name: str) -> None:
        self._begin, self._end = f"<!-- {name}: written by python -m tests.model -->\n", f"<!-- end of {name} -->\n"

    def read(self) -> str:
        return self._cut(DOCUMENT.read_text())[1]

    def write(self, text: str) -> None:
        before, _, after = self._cut(DOCUMENT.read_text())
        DOCUMENT.write_text(before + text + after)

    def _cut(self, whole: str) -> tuple[str, str, str]:
        begin, end = whole.index(self._begin) + len(self._begin), whole.index(self._end)
        return whole[:begin], whole[begin:end], whole[end:]


def table(found: Iterable[tuple[Scope, Outcome]]) -> str:
    """What was searched without finding anything."""
    lines = ["| scope | states | steps |", "| --- | --- | --- |"]
    lines += [f"| {scope.name} | {outcome.states:,} | {outcome.steps:,} |" for scope, outcome in found]
    return "\n".join(lines) + "\n"


def histories(found: Iterable[tuple[Variant, History]]) -> str:
    return "\n".join(f"### {variant.title}\n\n{told(history)}" for variant, history in found)


def told(history: History) -> str:
    """A line for as long as the same one acts; what is wrong comes last."""
    lines = [
        line
        for actor, steps in groupby(history.steps, key=lambda step: step.actor)
        for line in _item(f"{actor}: ", [str(step) for step in steps])
    ]
    return "\n".join([*lines, *_item("", [f"**{history.wrong}**"])]) + "\n"


def _item(actor: str, steps: Sequence[str]) -> Iterator[str]:
    text = actor + "; ".join(steps)
    yield from wrap(text, 118, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
