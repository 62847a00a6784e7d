"""The records of channels: what is to run, and how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import redis

from cdc_core.coordination.late_writes import LateWrites
from cdc_core.coordination.leases import ChannelKey
from cdc_core.coordination.scripts import script
from cdc_core.model.plan import Plan
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.names import CATALOG, Keys


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel's record; `deadline`, `backoff` and `ticket_at` are Redis' milliseconds, 0 when absent."""

    key: ChannelKey
    fields: Mapping[str, str]

    @property
    def plan(self) -> Plan | None:
        """None for the catalog."""
        text = self.fields.get("plan")
        return Plan.from_json(text) if text else None

    @property
    def owner(self) -> str:
        return self.fields.get("owner", "")

    def number(self, field: str) -> int:
        return int(self.fields.get(field, "0"))

    @property
    def resolved(self) -> Tso:
        return Tso.parse(self.fields.get("resolved", ""))

    @property
    def done(self) -> bool:
        return "done" in self.fields

    @property
    def stopped(self) -> str:
        """Why it stands still until somebody resumes the task, '' when it does not."""
        return self.fields.get("stopped", "")

    @property
    def halted(self) -> bool:
        """Whether it stands still until a resume, or, when a batch was given up, for good (claim.lua)."""
        return bool(self.stopped) or "unsettled" in self.fields

    @property
    def unsettled(self) -> bool:
        """Whether a batch's fate is unclear or a hold is left (claim.lua)."""
        return "inflight" in self.fields or "gate" in self.fields


class ChannelStore:
    """Reads and writes channel records. Raises redis errors; every method is idempotent."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._forget = script(client, "forget")
        self._checkpoint = script(client, "checkpoint")
        self._amend = script(client, "amend")
        self._late = LateWrites(client, keys)

    def put_catalog(self, task: str) -> None:
        """So that the reconciler issues tickets for it."""
        pipe = self._client.pipeline()
        pipe.hsetnx(self._keys.channel(task, CATALOG), "kind", "catalog")
        pipe.sadd(self._keys.channels(task), CATALOG)
        pipe.execute()

    def put(self, task: str, plans: Iterable[Plan]) -> None:
        """Records for all vchannels of a collection, at once; an existing one keeps its checkpoint and its plan."""
        pipe = self._client.pipeline()
        for plan in plans:
            name = plan.vchannel.name
            channel = self._keys.channel(task, name)
            pipe.hsetnx(channel, "plan", plan.to_json())
            pipe.hsetnx(channel, "position", plan.start.to_base64())
            pipe.hsetnx(channel, "resolved", plan.start.timestamp.text)
            pipe.hsetnx(channel, "kind", "vchannel")
            pipe.sadd(self._keys.channels(task), name)
        pipe.publish(self._keys.wake, "reconcile")
        pipe.execute()

    def replan(self, task: str, plans: Iterable[Plan]) -> None:
        """Other names; who runs now goes on with the old ones, which rows do not need."""
        pipe = self._client.pipeline()
        for plan in plans:
            self._set(pipe, ChannelKey(task, plan.vchannel.name), plan=plan.to_json())
        pipe.execute()

    def stop(self, keys: Iterable[ChannelKey], reason: str) -> None:
        """They stand still from their next renewal on; a resume of the task takes that back."""
        pipe = self._client.pipeline()
        for key in keys:
            self._set(pipe, key, **{"stopped": reason, "yield": "1"})
        pipe.execute()

    def go_on(self, keys: Iterable[ChannelKey]) -> None:
        """The end of `stop`."""
        pipe = self._client.pipeline()
        for key in keys:
            pipe.hdel(self._keys.channel(key.task, key.name), "stopped")
        pipe.publish(self._keys.wake, "reconcile")
        pipe.execute()

    def of_task(self, task: str) -> list[ChannelState]:
        """All channels of a task, the catalog among them."""
        names = sorted(cast("set[str]", self._client.smembers(self._keys.channels(task))))
        return self.read([ChannelKey(task, name) for name in names])

    def count_vchannels(self, tasks: Iterable[str]) -> int:
        """How many vchannels these tasks have."""
        pipe = self._client.pipeline(transaction=False)
        for task in tasks:
            pipe.smembers(self._keys.channels(task))
        return sum(len(names - {CATALOG}) for names in pipe.execute())

    def read(self, keys: Iterable[ChannelKey]) -> list[ChannelState]:
        """Those that exist, in order."""
        wanted = list(keys)
        pipe = self._client.pipeline(transaction=False)
        for key in wanted:
            pipe.hgetall(self._keys.channel(key.task, key.name))
        return [ChannelState(key, fields) for key, fields in zip(wanted, pipe.execute(), strict=True) if fields]

    def now(self) -> int:
        """Redis' clock in milliseconds, by which leases and back-offs are measured."""
        seconds, micros = self._client.time()
        return seconds * 1000 + micros // 1000

    def resolved(self, keys: Iterable[ChannelKey]) -> list[Tso | None]:
        """How far they are; None for one that has come to its collection's drop, or is gone."""
        pipe = self._client.pipeline(transaction=False)
        for key in keys:
            pipe.hmget(self._keys.channel(key.task, key.name), "resolved", "done")
        return [None if done or text is None else Tso.parse(text) for text, done in pipe.execute()]

    def checkpoint(self, key: ChannelKey, epoch: str, position: Position, passed: Iterable[str]) -> bool:
        """The catalog's own place on the op channel; the ids `passed` need not be remembered any more.

        False when it is somebody else's now: nothing was recorded.
        """
        names = [self._keys.channel(key.task, key.name), self._keys.ops(key.task)]
        args = [epoch, position.to_base64(), position.timestamp.text, *passed]
        recorded = bool(self._checkpoint(keys=names, args=args))
        self._late.count(0 if recorded else 1)
        return recorded

    def operation_done(self, task: str, message_id: str) -> None:
        """It was applied; one before it may still wait."""
        self._client.sadd(self._keys.ops(task), message_id)

    def done_operations(self, task: str) -> frozenset[str]:
        return frozenset(cast("set[str]", self._client.smembers(self._keys.ops(task))))

    def place(self, key: ChannelKey) -> tuple[Position, Tso]:
        """A channel's checkpoint as it stands."""
        position, resolved = cast(
            "list[str | None]", self._client.hmget(self._keys.channel(key.task, key.name), "position", "resolved")
        )
        return Position.from_base64(position or ""), Tso.parse(resolved or "")

    def intent(self, key: ChannelKey) -> str:
        """The batch in flight as it was recorded, '' when there is none."""
        return cast("str | None", self._client.hget(self._keys.channel(key.task, key.name), "inflight")) or ""

    def raise_last(self, key: ChannelKey, other: ChannelKey) -> None:
        """What `key` sends next must lie above everything that `other` ever sent (round.lua: last)."""
        names = [self._keys.channel(key.task, key.name), self._keys.channel(other.task, other.name)]
        mine, theirs = (cast("str | None", self._client.hget(name, "last")) or "" for name in names)
        if theirs > mine:
            self._client.hset(names[0], "last", theirs)

    def explain(self, key: ChannelKey, reason: str) -> None:
        """Why it does not get on now; '' takes that back. Shown by `get`."""
        if reason:
            self._set(self._client, key, reason=reason)
        else:
            self._client.hdel(self._keys.channel(key.task, key.name), "reason")

    def forget(self, task: str, names: Iterable[str]) -> None:
        """Delete records (a dropped collection's), and the holds that are left: nobody else could (forget.lua)."""
        for name in names:
            self._forget(
                keys=[self._keys.channel(task, name), self._keys.channels(task)],
                args=[name, ChannelKey(task, name).member],
            )

    def ask_to_yield(self, keys: Iterable[ChannelKey]) -> None:
        """The holders give them back with their next renewal, which they make at once."""
        asked = list(keys)
        pipe = self._client.pipeline(transaction=False)
        for key in asked:
            self._set(pipe, key, **{"yield": "1"})
        for task in {key.task for key in asked}:
            pipe.publish(self._keys.wake, task)
        pipe.execute()

    def _set(self, client: redis.Redis, key: ChannelKey, **fields: str) -> None:
        """Of a record that is there (amend.lua)."""
        args = [text for pair in fields.items() for text in pair]
        self._amend(keys=[self._keys.channel(key.task, key.name)], args=args, client=client)
