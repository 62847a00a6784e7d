"""Whether what came to a target, as a `Front` has written it down, keeps the invariants. Pure.

Seen from outside, without Redis; tests/contract/recorder.py looks at the holds and intents as well.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from cdc_core.model.timestamp import ZERO, Tso
from tests.chaos.call import Call, Sent
from tests.invariants import inside, other_bytes, straddling

LATE_SECONDS = 15.0
"""A tick goes out as soon as it is granted, and a call of ours has ended after 10 s."""


def broken(calls: Iterable[Call]) -> list[str]:
    """What breaks an invariant, in the order of the calls' arrival.

    - I3, below a tick: no message comes at or below a tick that came before it on its channel, a resend neither: the
      target would take it for another one.
    - I3, overtaken: no tick at or beyond a message comes while a call with it is under way, whatever its client was
      told; a call that timed out is written all the same.
    - I3, back: no tick comes alone that is below one which was answered LATE_SECONDS before. For a moment it may, and
      does no harm: who was granted a lower one may be slower. With rows it is repeated as long as they are.
    - I4, the same bytes: a message (vchannel, msgID) that may have been written is only sent again as it was. Stamped
      anew, under a new intent, goes only what certainly never got there.
    - I4, order: what is new in a vchannel is not before anything that it ever sent.
    - I6: no message has rows on both sides of a line of the grid, or of a tick that comes after it.
    """
    channels: dict[str, list[Call]] = defaultdict(list)
    for call in sorted(calls, key=lambda each: each.arrived):
        channels[call.channel].append(call)
    found = [each for channel in channels.values() for each in _Channel(channel).broken()]
    return [text for _, text in sorted(found)]


@dataclass
class _Shard:
    """What is known of a target's vchannel."""

    latest: Tso = ZERO
    sent: dict[int, Sent] = field(default_factory=dict)
    """By msgID, what may have been written."""


@dataclass
class _Ticks:
    """Those of one channel."""

    answered: Tso = ZERO
    pending: list[tuple[float, Tso]] = field(default_factory=list)
    """When each is answered."""

    def highest(self, at: float) -> Tso:
        """Of what was answered before; `at` only grows."""
        self.answered = max([self.answered, *(tick for ended, tick in self.pending if ended < at)])
        self.pending = [(ended, tick) for ended, tick in self.pending if ended >= at]
        return self.answered


class _Channel:
    """The calls of one pchannel, in the order of their arrival."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = calls
        self._arrivals = [call.arrived for call in calls]
        self._own_ticks = [max(call.ticks, default=ZERO) for call in calls]
        self._ticks = list(accumulate(self._own_ticks, max))
        self._shards: dict[str, _Shard] = defaultdict(_Shard)
        self._answered = _Ticks()
        self._wide: set[tuple[Tso, Tso]] = set()
        """Messages that no tick has passed yet, with rows of several timestamps."""

    def broken(self) -> Iterator[tuple[float, str]]:
        """With the time of each."""
        for place, call in enumerate(self._calls):
            before = self._ticks[place - 1] if place else ZERO
            for text in (*self._of_messages(place, call, before), *self._of_ticks(call, before)):
                yield call.arrived, text

    def _of_messages(self, place: int, call: Call, tick: Tso) -> Iterator[str]:
        overtaking = self._overtaking(place, call)
        for message in call.messages:
            what = f"{message.kind.name} {message.msg_id} of {message.vchannel or 'nobody'} in call {call.number}"
            if message.first <= tick:
                yield f"I3 {what}: at {message.first.text}, below the tick {tick.text}"
            if message.has_rows and message.first <= overtaking:
                yield f"I3 {what}: at {message.first.text}, overtaken by the tick {overtaking.text}"
            if message.has_rows:
                yield from straddling(what, message.first, message.last)
                yield from self._of_resend(what, call, message)

    def _overtaking(self, place: int, call: Call) -> Tso:
        """The highest tick that came while it was under way to the target."""
        if not call.reached:
            return ZERO
        end = len(self._calls) if call.ended is None else bisect_right(self._arrivals, call.ended)
        return max(self._own_ticks[place + 1 : end], default=ZERO)

    def _of_resend(self, what: str, call: Call, message: Sent) -> Iterator[str]:
        shard = self._shards[message.vchannel]
        before = shard.sent.get(message.msg_id)
        if before is None:
            if message.first < shard.latest:
                yield f"I4 {what}: at {message.first.text}, behind {shard.latest.text} which came before"
        elif before.digest != message.digest:
            yield other_bytes(what)
        if call.reached:
            shard.latest = max(shard.latest, message.first)
            if message.first != message.last:
                self._wide.add((message.first, message.last))
            shard.sent[message.msg_id] = message

    def _of_ticks(self, call: Call, before: Tso) -> Iterator[str]:
        last = self._answered.highest(call.arrived - LATE_SECONDS)
        for tick in call.ticks:
            if tick > before:
                yield from inside(tick, call.channel, self._wide)
                self._wide = {(first, last) for first, last in self._wide if last > tick}
            if tick < last and not call.messages:
                yield f"I3 tick {tick.text} at {call.channel} in call {call.number}: back from {last.text}"
            if call.ended is not None and not call.answer:
                self._answered.pending.append((call.ended, tick))
