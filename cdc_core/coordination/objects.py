"""Which target partition a source partition is; what a row needs and nobody has made yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import redis

from cdc_core.names import Keys

GONE = "-"
"""A source partition that was dropped before it was replicated: its rows need not go anywhere."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source partition that a row belongs to and that has no entry yet."""

    collection_id: int
    partition_id: int


class Objects:
    """Partition maps, by source ids: a name may be used again, an id never. Raises redis errors.

    A partition's entry outlives it (`dropped:<id>`). `behind:<id>` is the older partition of the same name that has to
    go first. `alias:<name>` was made on the target by this task,
    `name:<database>/<name>` is one that the collection had before it was renamed.
    """

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def put(self, task: str, collection: int, partitions: Mapping[int, str]) -> None:
        """Source partition id -> target partition id as text, or GONE; wakes who waits for it."""
        if not partitions:
            return
        pipe = self._client.pipeline()
        for source, target in partitions.items():
            pipe.hset(self._keys.objects(task, collection), str(source), target)
        pipe.srem(self._keys.wanted(task), *(f"{collection}/{source}" for source in partitions))
        pipe.publish(self._keys.wake, f"objects {task}")
        pipe.execute()

    def partitions(self, task: str, collection: int) -> dict[int, str]:
        """Source partition id -> target partition id as text, or GONE, also for one that was dropped on the target:
        every vchannel had come to its end, so no batch of unclear fate has rows of it (I4).
        """
        raw = cast("dict[str, str]", self._client.hgetall(self._keys.objects(task, collection)))
        found = {int(source): target for source, target in raw.items() if source.isdecimal()}
        return {source: GONE if f"dropped:{source}" in raw else target for source, target in found.items()}

    def dropped(self, task: str, collection: int) -> set[int]:
        """Source ids of partitions that were dropped on the target."""
        fields = cast("list[str]", self._client.hkeys(self._keys.objects(task, collection)))
        return {int(field.removeprefix("dropped:")) for field in fields if field.startswith("dropped:")}

    def mark_dropped(self, task: str, collection: int, partition: int) -> None:
        self._client.hset(self._keys.objects(task, collection), f"dropped:{partition}", "1")

    def put_behind(self, task: str, collection: int, partition: int, older: int) -> None:
        """`partition` cannot be made before `older`, of the same name, is dropped; wakes whose rows wait for it."""
        pipe = self._client.pipeline()
        pipe.hset(self._keys.objects(task, collection), f"behind:{partition}", str(older))
        pipe.publish(self._keys.wake, f"objects {task}")
        pipe.execute()

    def behind(self, task: str, collection: int, partition: int) -> int:
        """Which partition has to go before this one can be made, 0 if none."""
        older = cast("str | None", self._client.hget(self._keys.objects(task, collection), f"behind:{partition}"))
        return int(older or 0)

    def put_alias(self, task: str, collection: int, alias: str) -> None:
        """Before it is made: who is killed in between must not leave one that nobody would drop."""
        self._client.hset(self._keys.objects(task, collection), f"alias:{alias}", "1")

    def forget_alias(self, task: str, collection: int, alias: str) -> None:
        self._client.hdel(self._keys.objects(task, collection), f"alias:{alias}")

    def aliases(self, task: str, collection: int) -> frozenset[str]:
        """Those that this task made."""
        fields = cast("list[str]", self._client.hkeys(self._keys.objects(task, collection)))
        return frozenset(field.removeprefix("alias:") for field in fields if field.startswith("alias:"))

    def put_name(self, task: str, collection: int, database: str, name: str) -> None:
        """A former one: operations that were asked for by it may still come."""
        self._client.hset(self._keys.objects(task, collection), f"name:{database}/{name}", "1")

    def names(self, task: str, collection: int) -> frozenset[tuple[str, str]]:
        """Former ones, each with its database."""
        fields = cast("list[str]", self._client.hkeys(self._keys.objects(task, collection)))
        found = (field.removeprefix("name:").partition("/") for field in fields if field.startswith("name:"))
        return frozenset((database, name) for database, _, name in found)

    def intend(self, task: str, collection: int, intent: str) -> None:
        """Before a collection is made on the target: what it is, for who comes after a kill."""
        self._client.hset(self._keys.intents(task), str(collection), intent)

    def intents(self, task: str) -> dict[int, str]:
        found = cast("dict[str, str]", self._client.hgetall(self._keys.intents(task)))
        return {int(number): intent for number, intent in found.items()}

    def intended(self, task: str, collection: int) -> None:
        """It is recorded as the task's, or gone."""
        self._client.hdel(self._keys.intents(task), str(collection))

    def want(self, task: str, wanted: Wanted) -> None:
        """Ask the task's catalog for an entry."""
        pipe = self._client.pipeline()
        pipe.sadd(self._keys.wanted(task), f"{wanted.collection_id}/{wanted.partition_id}")
        pipe.publish(self._keys.wake, f"catalog {task}")
        pipe.execute()

    def wanted(self, task: str) -> list[Wanted]:
        members = cast("set[str]", self._client.smembers(self._keys.wanted(task)))
        return [Wanted(*map(int, member.split("/"))) for member in sorted(members)]

    def forget(self, task: str, collection: int) -> None:
        self._client.delete(self._keys.objects(task, collection))
