"""Where all vchannels of a collection meet before a drop runs on the target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import redis

from cdc_core.model.timestamp import Tso
from cdc_core.names import Keys


@dataclass(frozen=True, slots=True)
class Barrier:
    """A drop: of a collection, or, when `partition_id` is not 0, of one of its partitions (source's ids)."""

    collection_id: int
    partition_id: int
    partition_name: str
    timestamp: int

    @property
    def name(self) -> str:
        """Keyed by object, a collection's also by the timestamp of the drop.

        The vchannels may see the end of a partition at different times: by the drop, or by rows of its successor.
        """
        if self.partition_id:
            return f"{self.collection_id}/{self.partition_id}"
        return f"{self.collection_id}/{self.partition_id}/{Tso(self.timestamp).text}"


class Barriers:
    """Arrivals are a durable set; arriving twice is arriving once. Raises redis errors."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def arrive(self, task: str, barrier: Barrier, vchannel: str) -> None:
        """Everything of that vchannel before the drop is committed. Wakes the catalog."""
        pipe = self._client.pipeline()
        pipe.hset(self._keys.barriers(task), barrier.name, json.dumps(asdict(barrier)))
        pipe.sadd(self._keys.barrier(task, barrier.name), vchannel)
        pipe.publish(self._keys.wake, f"catalog {task}")
        pipe.execute()

    def open(self, task: str) -> Mapping[Barrier, frozenset[str]]:
        """All barriers that were not removed, with who has arrived, the oldest first."""
        raw = cast("dict[str, str]", self._client.hgetall(self._keys.barriers(task)))
        barriers = sorted((Barrier(**json.loads(text)) for text in raw.values()), key=lambda b: b.timestamp)
        return {
            barrier: frozenset(cast("set[str]", self._client.smembers(self._keys.barrier(task, barrier.name))))
            for barrier in barriers
        }

    def remove(self, task: str, barrier: Barrier) -> None:
        """The drop was run."""
        pipe = self._client.pipeline()
        pipe.hdel(self._keys.barriers(task), barrier.name)
        pipe.delete(self._keys.barrier(task, barrier.name))
        pipe.execute()
