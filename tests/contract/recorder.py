"""What was sent to a target, and what Redis said at that moment; and whether the history keeps the invariants."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import redis

from cdc_core.codec import head
from cdc_core.codec.rewrite import row_timestamps
from cdc_core.model.message import Kind
from cdc_core.model.plan import Plan
from cdc_core.model.timestamp import Tso
from cdc_core.names import Keys
from cdc_core.source.base import Record
from tests.invariants import inside, other_bytes, straddling


@dataclass(frozen=True, slots=True)
class Sent:
    """A message with rows on its way to the target; `hold` and `intent` as Redis had them just before, '' for none."""

    gate: str
    member: str
    msg_id: int
    stamps: tuple[Tso, ...]
    payload: bytes
    hold: str
    intent: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """A tick on its way to the target, with the last one granted and all holds at that moment."""

    gate: str
    tick: Tso
    granted: str
    holds: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """A number of Redis that may only grow: a checkpoint or a gate's tick."""

    name: str
    value: str


Event = Sent | Ticked | Seen


def broken(history: Iterable[Event]) -> list[str]:
    """What in a history breaks an invariant of exactly-once.md. Pure."""
    found: list[str] = []
    bytes_of: dict[tuple[str, int], bytes] = {}
    seen: dict[str, str] = {}
    wide: dict[str, set[tuple[Tso, Tso]]] = defaultdict(set)
    for event in history:
        match event:
            case Sent():
                if event.stamps[0] != event.stamps[-1]:
                    wide[event.gate].add((event.stamps[0], event.stamps[-1]))
                found += _broken_by_message(event, bytes_of.setdefault((event.member, event.msg_id), event.payload))
            case Ticked():
                found += _broken_by_tick(event, wide[event.gate])
            case Seen():
                if event.value < seen.get(event.name, ""):
                    found.append(f"I5 {event.name} went back from {seen[event.name]} to {event.value}")
                seen[event.name] = event.value
    return found


def _broken_by_message(event: Sent, before: bytes) -> list[str]:
    what = f"{event.msg_id} of {event.member} at {event.gate}"
    found = []
    if not event.hold or event.hold >= event.stamps[0].text:
        found.append(f"I1 {what}: sent at {event.stamps[0].text} under the hold {event.hold or 'none'}")
    if not event.intent:
        found.append(f"I4 {what}: sent without an intent")
    if event.payload != before:
        found.append(other_bytes(what))
    return found + straddling(what, event.stamps[0], event.stamps[-1])


def _broken_by_tick(event: Ticked, wide: Iterable[tuple[Tso, Tso]]) -> list[str]:
    """`wide`: where the messages before it begin and end, that have rows of several timestamps."""
    found = [
        f"I3 tick {event.tick.text} at {event.gate} above the hold {hold} of {member}"
        for member, hold in event.holds.items()
        if event.tick.text > hold
    ]
    if event.tick.text > event.granted:
        found.append(f"I3 tick {event.tick.text} at {event.gate} above the granted one, {event.granted or 'none'}")
    return found + inside(event.tick, event.gate, wide)


@dataclass
class Recorder:
    """Looks at Redis whenever something is about to be sent. Thread-safe."""

    client: redis.Redis
    keys: Keys
    target: str
    history: list[Event] = field(default_factory=list)
    _members: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sending(self, pchannel: str, messages: Sequence[bytes], tick: Tso | None) -> None:
        gate = self.keys.gate(self.target, pchannel)
        with self._lock:  # what is read first is noted first
            state = self._hash(gate)
            self.history.append(Seen(f"tick of {gate}", state.get("tick", "")))
            self.history += [each for payload in messages for each in self._sent(gate, state, payload)]
            if tick is not None:
                holds = {name: hold for name, hold in state.items() if name[:2] in ("s:", "b:")}
                self.history.append(Ticked(gate, tick, state.get("tick", ""), holds))

    def look(self, channels: Iterable[str]) -> None:
        """Note how far these channels (their keys) are."""
        for channel in channels:
            with self._lock:
                if resolved := self._hash(channel).get("resolved"):
                    self.history.append(Seen(f"checkpoint of {channel}", resolved))

    def forget_members(self) -> None:
        """Another task writes to the same vchannels now."""
        with self._lock:
            self._members.clear()

    def _sent(self, gate: str, state: Mapping[str, str], payload: bytes) -> Iterable[Event]:
        message = head.parse(Record("", b"", 0, payload))
        if message.kind not in (Kind.INSERT, Kind.DELETE):
            return
        member = self._member(message.vchannel)
        record = self._hash(f"{self.keys.prefix}channel:{member}")
        hold = state.get(f"s:{member}") or state.get(f"b:{member}") or ""
        intent = record.get("inflight", "")
        yield Sent(gate, member, message.msg_id, row_timestamps(message), payload, hold, intent)

    def _member(self, target_vchannel: str) -> str:
        if target_vchannel not in self._members:
            pattern = f"{self.keys.prefix}channel:*"
            for key in self.client.scan_iter(match=pattern, count=1000):
                if text := self._hash(key).get("plan"):
                    member = key.removeprefix(f"{self.keys.prefix}channel:")
                    self._members[Plan.from_json(text).target_vchannel.name] = member
        return self._members[target_vchannel]

    def _hash(self, key: str) -> dict[str, str]:
        return cast("dict[str, str]", self.client.hgetall(key))
