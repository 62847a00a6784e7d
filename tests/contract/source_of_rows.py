"""A source that writes random rows into a queue in memory, as a Milvus does, and knows what must come of them."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cdc_core.codec import rewrite
from cdc_core.codec.protobuf import common_pb2, msg_pb2
from cdc_core.model.catalog import Collection, ObjectState, Partition
from cdc_core.model.channel import VChannel
from cdc_core.model.message import Kind
from cdc_core.model.timestamp import Tso
from cdc_core.source.memory import MemoryQueue
from cdc_core.source.memory_catalog import MemoryCatalog
from tests import messages


@dataclass(frozen=True, slots=True)
class Change:
    """One row written or deleted, or, without a key, a partition dropped. `value` tells versions of a key apart."""

    at: Tso
    kind: Kind
    collection: str
    partition: str
    key: int = 0
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that cannot be read; `collection` '' is anybody's on that channel."""

    pchannel: str
    message_id: bytes
    collection: str


class RowSource:
    """Writes windows of rows for its collections; everything it does comes from one random number generator.

    Rows may lie in the queue before the tick that does not cover them yet, and in another order than their times.
    """

    def __init__(self, rng: random.Random, start: Tso, collections: int = 2, shards: int = 2) -> None:
        self.queue = MemoryQueue()
        self.catalog = MemoryCatalog()
        self.changes: list[Change] = []
        self.tick = start
        self._rng = rng
        self._now = start
        self._ids = itertools.count(1_000)
        self._values = itertools.count(1)
        made = [messages.collection(f"c{number}", shards=shards) for number in range(collections)]
        self.collections = {each.name: replace(each, created=start) for each in made}
        for each in self.collections.values():
            self.catalog.put_collection(each)
        self.pchannels = [f"by-dev-rootcoord-dml_{shard}" for shard in range(shards)]
        self._ticks = dict.fromkeys(self.pchannels, start)
        self.late_drops = 0.4
        """How probably the drops of partitions that were made again are told with a window."""
        self.garbage = 0.0
        """How probably something that cannot be read comes before a message."""
        self.late_rows = 0.0
        """How probably a row comes below the last tick of its channel, as after a kill of the source."""
        self.torn_upserts = 0.0
        """How probably an upsert comes so, with a tick between its insert and its delete."""
        self.imports = 0.0
        """How probably files are imported with a window."""
        self.jobs: Counter[int] = Counter()
        """Imports: how often each is told, once on every vchannel of its collection."""
        self.told: Counter[str] = Counter()
        """By collection: how many messages of imports there are."""
        self.unreadable: list[Unreadable] = []
        self._late: list[tuple[Collection, Partition]] = []
        self._waiting: dict[str, list[bytes]] = {pchannel: [] for pchannel in self.pchannels}
        self._torn: list[tuple[str, bytes]] = []

    def window(self, changes: int) -> None:
        """Some random changes, and then a tick that covers all or a part of them."""
        if self._rng.random() < self.late_drops:
            self.tell_late_drops()
        if self._rng.random() < self.imports:
            self.import_files(self._rng.choice(list(self.collections)))
        if self._rng.random() < self.late_rows:
            self._insert_late(self._rng.choice(list(self.collections.values())))
        if self._rng.random() < self.torn_upserts:
            self._upsert_torn(self._rng.choice(list(self.collections.values())))
        for _ in range(changes):
            collection = self._rng.choice(list(self.collections.values()))
            self._rng.choices([self._insert, self._delete, self._upsert], [6, 2, 2])[0](collection)
        self._write(covers_all=self._rng.random() < 0.7)

    def quiet(self) -> None:
        """Only a tick, above everything."""
        self._write(covers_all=True)

    def add_partition(self, collection: str) -> None:
        number = next(self._ids)
        partition = Partition(number, f"p{number}", self._time(), ObjectState.CREATED)
        known = self.collections[collection]
        self.collections[collection] = replace(known, partitions=(*known.partitions, partition))
        self.catalog.put_collection(self.collections[collection])

    def drop_partition(self, collection: str) -> None:
        """The newest one, if there is one beside the default one."""
        known = self.collections[collection]
        if len(known.partitions) < 2:
            return
        *left, gone = known.partitions
        at = self._time()
        self.changes.append(Change(at, Kind.DROP_PARTITION, collection, gone.name))
        self._tell_drop(known, gone, at)
        self.collections[collection] = replace(known, partitions=tuple(left))
        self.catalog.put_collection(self.collections[collection])

    def tell_late_drops(self) -> None:
        while self._late:
            self._tell_drop(*self._late.pop(0), self._time())

    def recreate_partition(self, collection: str) -> None:
        """The newest one, under its name; a Milvus sends the drop later, perhaps behind rows of the new one."""
        known = self.collections[collection]
        if len(known.partitions) < 2:
            return
        *left, gone = known.partitions
        self.changes.append(Change(self._time(), Kind.DROP_PARTITION, collection, gone.name))
        made = Partition(next(self._ids), gone.name, self._time(), ObjectState.CREATED)
        self.collections[collection] = replace(known, partitions=(*left, made))
        self.catalog.put_collection(self.collections[collection])
        self._late.append((known, gone))

    def import_files(self, collection: str) -> None:
        """Into all partitions: at least the default one outlives it."""
        known, job = self.collections[collection], next(self._ids)
        imported = messages.imported(known, self._time(), job)
        self.told[collection] += len(known.vchannels)
        for vchannel in known.vchannels:
            self._waiting[vchannel.pchannel].append(imported.SerializeToString())
        self.jobs[job] = len(known.vchannels)

    def write_garbage(self, pchannel: str, collection: str = "") -> Unreadable:
        """Of any kind, or a row of a collection that is cut off."""
        unknown = msg_pb2.TimeTickMsg(base=common_pb2.MsgBase(msg_type=9999, timestamp=self._now))
        payload = self._rng.choice([b"", b"\xff\xff", b"garbage", unknown.SerializeToString()])
        if collection:
            known = self.collections[collection]
            vchannel = next(each for each in known.vchannels if each.pchannel == pchannel)
            payload = messages.simple_insert([1], self._now, vchannel=vchannel.name).SerializeToString()[:-1]
        self.unreadable.append(Unreadable(pchannel, self.queue.append(pchannel, payload), collection))
        return self.unreadable[-1]

    def _tell_drop(self, known: Collection, gone: Partition, at: Tso) -> None:
        for vchannel in known.vchannels:
            request = msg_pb2.DropPartitionRequest(
                base=common_pb2.MsgBase(msg_type=int(Kind.DROP_PARTITION), msgID=next(self._ids), timestamp=at),
                collection_name=known.name,
                partition_name=gone.name,
                collectionID=known.id,
                partitionID=gone.id,
            )
            self._waiting[vchannel.pchannel].append(request.SerializeToString())

    def rows(self, collection: str) -> Counter[tuple[int, float]]:
        """What a query must see: (key, value), as often as it was written and not deleted since."""
        rows: list[Change] = []
        for change in sorted(self.changes, key=lambda each: (each.at, each.kind is not Kind.DELETE)):
            if change.collection != collection:
                continue
            if change.kind is Kind.INSERT:
                rows.append(change)
            elif change.kind is Kind.DELETE:
                rows = [row for row in rows if row.key != change.key or row.at == change.at]
            else:
                rows = [row for row in rows if row.partition != change.partition]
        return Counter((row.key, row.value) for row in rows)

    def _insert(
        self, collection: Collection, at: Tso | None = None, key: int | None = None, *, half: bool = False
    ) -> None:
        at = at or self._time()
        shard = self._rng.randrange(collection.shards) if key is None else key % collection.shards
        count = 1 if key is not None else self._rng.choice([1, 1, 2, 12])
        keys = [self._key(collection, shard) for _ in range(count)] if key is None else [key]
        partition = self._rng.choice(collection.partitions)
        values = [float(next(self._values)) for _ in keys]
        request = messages.insert(
            {"id": keys, "v": [[value] * 4 for value in values]},
            at,
            vchannel=collection.vchannels[shard].name,
            partition=(partition.id, partition.name),
            half=half,
        )
        self._append(collection, shard, request)
        self.changes += [
            Change(at, Kind.INSERT, collection.name, partition.name, key, value)
            for key, value in zip(keys, values, strict=True)
        ]

    def _insert_late(self, collection: Collection, *, half: bool = False) -> tuple[VChannel, int, Tso]:
        """A key that nothing else is about: what comes late has no order with what was before it."""
        shard, value = self._rng.randrange(collection.shards), next(self._values)
        vchannel, key = collection.vchannels[shard], 1_000_000 + value * collection.shards + shard
        at = Tso(self._ticks[vchannel.pchannel] - self._rng.randrange(30))
        partition = collection.partitions[0]
        request = messages.insert(
            {"id": [key], "v": [[float(value)] * 4]},
            at,
            vchannel=vchannel.name,
            partition=(partition.id, partition.name),
            half=half,
        )
        self._append(collection, shard, request)
        self.changes.append(Change(at, Kind.INSERT, collection.name, partition.name, key, float(value)))
        return vchannel, key, at

    def _upsert_torn(self, collection: Collection) -> None:
        """Of such a key; the delete is written behind the next tick."""
        vchannel, key, at = self._insert_late(collection, half=True)
        request = messages.delete([key], at, vchannel=vchannel.name)
        self._torn.append((vchannel.pchannel, request.SerializeToString()))

    def _delete(self, collection: Collection, at: Tso | None = None, key: int | None = None) -> None:
        at = at or self._time()
        shard = self._rng.randrange(collection.shards) if key is None else key % collection.shards
        key = self._key(collection, shard) if key is None else key
        self._append(collection, shard, messages.delete([key], at, vchannel=collection.vchannels[shard].name))
        self.changes.append(Change(at, Kind.DELETE, collection.name, "", key))

    def _upsert(self, collection: Collection) -> None:
        at, shard = self._time(), self._rng.randrange(collection.shards)
        key = self._key(collection, shard)
        self._insert(collection, at, key, half=True)
        self._delete(collection, at, key)

    def _key(self, collection: Collection, shard: int) -> int:
        return self._rng.randrange(12) * collection.shards + shard

    def _append(self, collection: Collection, shard: int, request: object) -> None:
        self._waiting[collection.vchannels[shard].pchannel].append(request.SerializeToString())  # type: ignore[attr-defined]

    def _time(self) -> Tso:
        """Most in the same millisecond as the one before, some with the logical part near its end."""
        self._now = Tso(self._now + self._rng.choice([1, 1, 3, 262_143, 5 << 18, 60 << 18]))
        return self._now

    def _write(self, *, covers_all: bool) -> None:
        late = [] if covers_all else [each.at for each in self.changes if each.at > self.tick]
        for pchannel, waiting in self._waiting.items():
            self._rng.shuffle(waiting)
            for payload in waiting:
                if self.garbage and self._rng.random() < self.garbage:
                    self.write_garbage(pchannel, self._rng.choice(["", *self.collections]))
                self.queue.append(pchannel, payload)
            waiting.clear()
            self._ticks[pchannel] = self._next_tick(pchannel, late)
            self.queue.append(pchannel, rewrite.time_tick(self._ticks[pchannel]))
        for pchannel, payload in self._torn:
            self._waiting[pchannel].append(payload)
        self._torn.clear()
        self.tick = max(self._ticks.values())
        self._now = max(self._now, self.tick)

    def _next_tick(self, pchannel: str, late: Sequence[Tso]) -> Tso:
        """Each channel has its own; with `late` rows it is below one of them, so rows above it lie before it."""
        if not late:
            return Tso(self._now + (self._rng.randrange(20, 200) << 18))
        return max(Tso(self._rng.choice(late) - 1), self._ticks[pchannel])
