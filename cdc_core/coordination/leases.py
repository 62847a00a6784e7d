"""Who runs a channel: claim, renew, release; tickets and the leader."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

import redis

from cdc_core.coordination.scripts import script
from cdc_core.names import Keys

LEASE_MS = 15_000
"""Long enough for two lost renewals; a killed worker's channels are free after it."""
RENEW_SECONDS = 5.0
SAFETY_SECONDS = 2.0
"""A holder stops writing this long before its lease ends, by its own clock."""
TICKET_MS = 10_000
"""A ticket not taken after this long is issued again."""
UNCLEAR_SECONDS = 10.0
"""How long a call whose outcome is unclear may live on inside the target."""


class Order(StrEnum):
    """What a renewal tells the holder to do."""

    GO_ON = "OK"
    PAUSE = "PAUSE"
    DELETE = "DELETE"
    YIELD = "YIELD"
    LOST = "LOST"


@dataclass(frozen=True, slots=True)
class ChannelKey:
    """One channel of one task: a vchannel's name, or `names.CATALOG`."""

    task: str
    name: str

    @property
    def member(self) -> str:
        """Its name at a gate."""
        return f"{self.task}/{self.name}"


@dataclass(frozen=True, slots=True)
class Ticket:
    """An invitation to claim a channel; `worker` '' is any."""

    key: ChannelKey
    worker: str
    text: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease that was got. `settle_only`: only a batch of unclear fate is to be settled, then leave. `unclear`: for
    how many seconds a call of what is in flight may live on in the target."""

    key: ChannelKey
    epoch: str
    settle_only: bool
    fields: Mapping[str, str]
    unclear: float = 0.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A lease that was not got, and why (claim.lua)."""

    word: str


class Leases:
    """The leases of one worker. Raises redis errors; every change is one atomic script."""

    def __init__(self, client: redis.Redis, keys: Keys, owner: str, unclear_seconds: float = UNCLEAR_SECONDS) -> None:
        self._client = client
        self._keys = keys
        self.owner = owner
        self._lives_on = int((unclear_seconds - SAFETY_SECONDS) * 1000)  # whose lease ends stops calling before it
        self._claim = script(client, "claim")
        self._renew = script(client, "renew")
        self._release = script(client, "release")
        self._ticket = script(client, "ticket")
        self._lead = script(client, "lead")

    def claim(self, key: ChannelKey, ticket: str) -> Claim | Refusal:
        names = [self._keys.channel(key.task, key.name), self._keys.task(key.task)]
        word, *rest = cast("list[str]", self._claim(keys=names, args=[self.owner, ticket, LEASE_MS, self._lives_on]))
        if word not in ("OK", "SETTLE"):
            return Refusal(word)
        epoch, unclear, *pairs = rest
        fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
        return Claim(key, epoch, word == "SETTLE", fields, int(unclear) / 1000)

    def renew(self, held: Sequence[tuple[ChannelKey, str]]) -> list[Order]:
        """All leases in one call; an order for each."""
        if not held:
            return []
        names = [n for key, _ in held for n in (self._keys.channel(key.task, key.name), self._keys.task(key.task))]
        words = self._renew(keys=names, args=[self.owner, LEASE_MS, *(epoch for _, epoch in held)])
        return [Order(word) for word in cast("list[str]", words)]

    def release(
        self,
        key: ChannelKey,
        epoch: str,
        *,
        outcome: str = "",
        reason: str = "",
        backoff: float = 0.0,
        unclear: float = 0.0,
    ) -> bool:
        """Give it back; `outcome` is '', 'done' or 'stopped'. For `backoff` seconds nobody takes it, unless the task is
        resumed; `unclear` is what the next one's `Claim.unclear` counts from. False when it was not ours.
        """
        names = [self._keys.channel(key.task, key.name), self._keys.wake]
        waits = int(backoff * 1000), math.ceil(unclear * 1000)
        return bool(self._release(keys=names, args=[self.owner, epoch, outcome, reason, *waits]))

    def issue(self, tickets: Iterable[Ticket]) -> list[Ticket]:
        """Issue tickets as the leader, in one trip; answers those that are wanted (ticket.lua)."""
        asked = list(tickets)
        pipe = self._client.pipeline(transaction=False)
        for ticket in asked:
            names = [self._keys.channel(ticket.key.task, ticket.key.name), self._keys.leader]
            self._ticket(keys=names, args=[self.owner, ticket.text, ticket.worker, TICKET_MS], client=pipe)
        return [ticket for ticket, wanted in zip(asked, pipe.execute(), strict=True) if wanted]

    def lead(self, seconds: float) -> bool:
        """Become or stay the leader for so long; 0 steps down."""
        return bool(self._lead(keys=[self._keys.leader], args=[self.owner, int(seconds * 1000)]))
