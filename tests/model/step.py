"""One step of a history, and how it reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tests.model.source import Part
from tests.model.state import State

_WORDS = {
    "claim": "its lease is taken",
    "again": "another worker takes its lease",
    "settle": "another worker takes its lease, only to settle",
    "join": "joins in step, with its hold at {0}",
    "raise": "has no rows up to {0}, which is recorded",
    "begin": "begins a batch up to {0}, in step",
    "restamp": "begins a batch up to {0}, from behind at {1}",
    "send": "rows at {0} are sent",
    "part": "rows at {0} are sent, a part of the batch",
    "unclear": "a call with rows at {0} times out and lives on in the target",
    "commit": "commits up to {0}",
    "leave": "leaves the gate",
    "release": "its lease is given back",
    "kill": "its worker is killed",
    "lose": "its lease ends, its worker lives on",
    "lost": "its old worker is told that it has lost the lease",
    "late commit": "its old worker commits up to {0}",
    "late send": "its old worker wakes up and sends rows at {0}",
    "refuse": "the target refuses the batch for good, it is given up",
    "orphan": "another worker takes out its hold",
    "land": "the call with rows at {0} is written after all",
    "die": "the call that lived on is not written",
    "pause": "its task is paused",
    "resume": "its task is resumed",
    "grant": "{0} is granted",
    "tick": "{0} is sent",
    "restart": "crashes and recovers",
    "clock": "its clock is seen to be {0}",
}
_ACTORS = {"grant": "tick", "tick": "tick", "restart": "target", "clock": "source"}


class Step(NamedTuple):
    """`ours`: the workers or the target do it by themselves, in time; else it is trouble, or an operator."""

    word: str
    member: int
    numbers: tuple[int | tuple[int, ...], ...]
    ours: bool
    state: State

    @property
    def actor(self) -> str:
        return _ACTORS.get(self.word, "ab"[self.member])

    def __str__(self) -> str:
        return _WORDS[self.word].format(*map(_text, self.numbers))


def stamps(parts: Iterable[Part]) -> tuple[tuple[int, ...]]:
    """The numbers of a step that sends these."""
    return (tuple(stamp for part in parts for stamp in part.stamps),)


def _text(number: int | tuple[int, ...]) -> str:
    return str(number) if isinstance(number, int) else ", ".join(map(str, number))
