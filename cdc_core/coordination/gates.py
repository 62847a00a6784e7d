"""The gates in Redis: what may be sent, and which ticks (docs: exactly-once)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, cast

import redis

from cdc_core.coordination.late_writes import LateWrites
from cdc_core.coordination.leases import ChannelKey
from cdc_core.coordination.scripts import script
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.names import Keys


class Word(StrEnum):
    """What a round answers to one operation (round.lua)."""

    STEP = "STEP"
    BEHIND = "BEHIND"
    BASE = "BASE"
    OK = "OK"
    LOST = "LOST"
    BUSY = "BUSY"
    BACKWARD = "BACKWARD"
    NOTHING = "NOTHING"


class Operation(NamedTuple):
    """One line of a round; make it by the functions below. A tuple: every idle vchannel makes two a second."""

    word: str
    key: ChannelKey
    epoch: str
    a: str = ""
    b: str = ""


def commit(key: ChannelKey, epoch: str, position: Position, resolved: Tso) -> Operation:
    """The target acknowledged the batch in flight."""
    return Operation("commit", key, epoch, position.to_base64(), resolved.text)


def raise_(key: ChannelKey, epoch: str, position: Position, resolved: Tso) -> Operation:
    """Nothing came up to `resolved`."""
    return Operation("raise", key, epoch, position.to_base64(), resolved.text)


def begin(key: ChannelKey, epoch: str, intent: str, smallest: Tso, largest: Tso, count: int) -> Operation:
    """Before anything is sent: a batch with `count` different row timestamps."""
    return Operation("begin", key, epoch, intent, f"{smallest.text} {largest.text} {count}")


def leave(key: ChannelKey, epoch: str) -> Operation:
    """A clean stop: no hold any more."""
    return Operation("leave", key, epoch)


def abandon(key: ChannelKey, epoch: str, reason: str) -> Operation:
    """The batch in flight can never succeed."""
    return Operation("abandon", key, epoch, reason)


@dataclass(frozen=True, slots=True)
class Answer:
    """To one operation; `base` is the first timestamp to stamp with when a `begin` is from behind."""

    word: Word
    base: Tso | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """A round's outcome: the tick to send, if one was granted, the last one granted, and an answer per operation."""

    tick: Tso | None
    last: Tso
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A round to make: `least_advance` in ms is what a tick must gain to be granted, None grants none."""

    target: str
    pchannel: str
    operations: Sequence[Operation]
    least_advance: int | None = 0


class Gates:
    """Rounds at the gates, by one worker. Raises redis errors; a round is one atomic script."""

    def __init__(self, client: redis.Redis, keys: Keys, owner: str, *, keepalive: bool = True) -> None:
        self._client = client
        self._keys = keys
        self._owner = owner
        self._keepalive = "1" if keepalive else ""
        self._late = LateWrites(client, keys)
        self._script = script(client, "round")

    def round(self, request: Request) -> Round:
        names, args = self._call(request)
        return self._counted(_parse(cast("str", self._script(keys=names, args=args))))

    def rounds(self, requests: Sequence[Request]) -> list[Round]:
        """Several gates in one trip; each round is atomic by itself."""
        if not requests:
            return []
        pipe = self._client.pipeline(transaction=False)
        for request in requests:
            names, args = self._call(request)
            self._script(keys=names, args=args, client=pipe)
        return [self._counted(_parse(cast("str", raw))) for raw in pipe.execute()]

    def wake(self, target: str, pchannel: str) -> None:
        """Whoever has members there makes a round now."""
        self._client.publish(self._keys.wake, f"gate {self._keys.gate(target, pchannel)}")

    def tick(self, target: str, pchannel: str) -> Tso | None:
        """The last tick granted there."""
        text = cast("str | None", self._client.hget(self._keys.gate(target, pchannel), "tick"))
        return Tso.parse(text) if text else None

    def _counted(self, outcome: Round) -> Round:
        self._late.count(sum(answer.word is Word.LOST for answer in outcome.answers))
        return outcome

    def _call(self, request: Request) -> tuple[list[str], list[str]]:
        names = [self._keys.gate(request.target, request.pchannel), self._keys.source_clock, self._keys.wake]
        args = [self._owner, "" if request.least_advance is None else str(request.least_advance), self._keepalive]
        names += [self._keys.channel(each.key.task, each.key.name) for each in request.operations]
        told = [(each.word, each.epoch, each.key.member, each.a, each.b) for each in request.operations]
        return names, [*args, json.dumps(told)]


def _parse(text: str) -> Round:
    """JSON both ways: the client takes each text of a list by itself, and there is one for every idle vchannel."""
    raw: list[str] = json.loads(text)
    answers = tuple(_answer(text) for text in raw[2:])
    return Round(Tso.parse(raw[0]) if raw[0] else None, Tso.parse(raw[1]), answers)


_PLAIN = {word.value: Answer(word) for word in Word}


def _answer(text: str) -> Answer:
    if plain := _PLAIN.get(text):
        return plain
    word, _, base = text.partition(" ")
    return Answer(Word(word), Tso.parse(base))
