"""A seeded random workload on a source Milvus: rows, partitions and collections that come, change and go.

    with Workload(stack.source.uri, seed=7, collections=4) as work:
        work.run(operations=400)
    for name in work.names: ...

What the rows are in the end is for the comparison of both servers to say: a call that fails (a source that was killed)
may have been done all the same.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import grpc
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

DIMENSION = 8
DEFAULT_PARTITION = "_default"
_PAUSE = 0.15  # seconds between two operations on a collection, at most; about ten a second each
_AFTER_ERROR = 0.5
_MOST_PARTITIONS = 4
_CALL_SECONDS = 60.0
_MEND_SECONDS = 240.0
_FAILED = (MilvusException, grpc.RpcError)
"""How a call fails: pymilvus lets gRPC's own error through when one of a server that hangs takes too long."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a collection is like; `drops`: it is dropped and made again under the same name now and then."""

    shards: int = 1
    varchar_key: bool = False
    auto_id: bool = False
    partitions: bool = False
    partition_key: bool = False
    dynamic: bool = False
    drops: bool = False


SHAPES = (
    Shape(shards=2, partitions=True),
    Shape(varchar_key=True, dynamic=True),
    Shape(shards=4, partitions=True, dynamic=True),
    Shape(auto_id=True, partitions=True),
    Shape(shards=2, partition_key=True),
    Shape(shards=2, drops=True, partitions=True),
    Shape(varchar_key=True, auto_id=True),
    Shape(shards=2, varchar_key=True, partitions=True),
)
"""The n-th collection has the n-th of them, round about."""


def make_collection(client: MilvusClient, name: str, shape: Shape, *, load: bool = True) -> None:
    """With an index, and loaded."""
    schema = client.create_schema(auto_id=shape.auto_id, enable_dynamic_field=shape.dynamic)
    if shape.varchar_key:
        schema.add_field("id", DataType.VARCHAR, max_length=64, is_primary=True)
    else:
        schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("tenant", DataType.INT64, is_partition_key=shape.partition_key)
    schema.add_field("text", DataType.VARCHAR, max_length=64)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    more = {"num_partitions": 8} if shape.partition_key else {}
    client.create_collection(name, schema=schema, num_shards=shape.shards, timeout=_CALL_SECONDS, **more)
    index_and_load(client, name, load=load)


def index_and_load(client: MilvusClient, name: str, *, load: bool = True) -> None:
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_index(name, index, timeout=_CALL_SECONDS)
    if load:
        client.load_collection(name, timeout=_CALL_SECONDS)


class Workload:
    """Each collection has a thread; a context manager that makes them, and drops them when it ends."""

    def __init__(
        self,
        uri: str,
        seed: int,
        collections: int = 4,
        *,
        database: str = "default",
        shapes: Sequence[Shape] = SHAPES,
        drops: bool = True,
        most_rows: int = 150,
    ) -> None:
        """`most_rows` of one insert; without `drops` no collection is dropped before the end."""
        prefix = f"w{seed}_{uuid.uuid4().hex[:6]}"
        self.actors = [
            _Actor(
                lambda: MilvusClient(uri=uri, db_name=database),
                f"{prefix}_{number}",
                shape if drops else replace(shape, drops=False),
                random.Random(seed * 1000 + number),
                most_rows,
            )
            for number, shape in zip(range(collections), itertools.cycle(shapes), strict=False)
        ]
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def names(self) -> list[str]:
        return [actor.name for actor in self.actors]

    @property
    def errors(self) -> list[str]:
        """What calls failed, and why."""
        return [error for actor in self.actors for error in actor.errors]

    @property
    def done(self) -> int:
        """Operations that succeeded."""
        return sum(actor.done for actor in self.actors)

    def create(self) -> Self:
        """Make the collections, each with some rows."""
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda actor: actor.begin(), self.actors))
        return self

    def run(self, operations: int) -> None:
        """About so many, spread over the collections; returns when they are done."""
        self._begin(operations // len(self.actors) or 1)
        self._join()

    def start(self) -> None:
        """Until `stop`."""
        self._stop.clear()
        self._begin(None)

    def stop(self) -> None:
        """Returns when nobody writes any more, and all collections can be read, also after a trouble of the source."""
        self._stop.set()
        self._join()
        for actor in self.actors:
            actor.mend()

    def run_for(self, seconds: float) -> None:
        self.start()
        time.sleep(seconds)
        self.stop()

    def drop(self) -> None:
        """All collections."""
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda actor: actor.end(), self.actors))

    def __enter__(self) -> Self:
        return self.create()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.drop()

    def _begin(self, operations: int | None) -> None:
        self._threads = [
            threading.Thread(target=actor.work, args=(operations, self._stop), name=actor.name, daemon=True)
            for actor in self.actors
        ]
        for thread in self._threads:
            thread.start()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
        self._threads = []


class _Actor:
    """What one thread does to one collection."""

    def __init__(
        self, connect: Callable[[], MilvusClient], name: str, shape: Shape, rng: random.Random, most_rows: int
    ) -> None:
        self.name = name
        self.shape = shape
        self.errors: list[str] = []
        self.done = 0
        self._connect = connect
        self._client: MilvusClient | None = None
        self._rng = rng
        self._most_rows = most_rows
        self._next_key = 0
        self._keys: dict[str, list[Any]] = {}
        self._chances = self._weighed()

    @property
    def client(self) -> MilvusClient:
        self._client = self._client or self._connect()
        return self._client

    def begin(self) -> None:
        make_collection(self.client, self.name, self.shape)
        self._keys = {DEFAULT_PARTITION: []}
        self._insert()

    def work(self, operations: int | None, stop: threading.Event) -> None:
        for _ in itertools.count() if operations is None else range(operations):
            if stop.is_set():
                return
            do = self._rng.choices(list(self._chances), list(self._chances.values()))[0]
            try:
                do()
                self.done += 1
                stop.wait(self._rng.random() * _PAUSE)
            except _FAILED as error:
                self.errors.append(f"{self.name} {do.__name__}: {error}")
                stop.wait(_AFTER_ERROR)

    def mend(self) -> None:
        """A source that was killed may have left the collection half made, and loads it again for a while."""
        deadline = time.monotonic() + _MEND_SECONDS
        while self.errors and not self._is_readable():
            assert time.monotonic() < deadline, f"the source does not load {self.name}: {self.errors[-1]}"
            time.sleep(_AFTER_ERROR)

    def end(self) -> None:
        with suppress(*_FAILED):
            self.client.drop_collection(self.name, timeout=_CALL_SECONDS)
        self.client.close()

    def _is_readable(self) -> bool:
        try:
            if not self.client.has_collection(self.name, timeout=_CALL_SECONDS):
                make_collection(self.client, self.name, self.shape)
            elif not self.client.list_indexes(self.name):
                index_and_load(self.client, self.name)
            elif "NotLoad" in str(self.client.get_load_state(self.name)["state"]):
                self.client.load_collection(self.name, timeout=_CALL_SECONDS)
            self._read_all()
        except _FAILED as error:
            self.errors.append(f"{self.name} mend: {error}")
            return False
        return True

    def _read_all(self) -> None:
        partitions = [] if self.shape.partition_key else self.client.list_partitions(self.name)
        for named in (None, *([name] for name in partitions)):
            try:
                self.client.query(
                    self.name,
                    "",
                    ["count(*)"],
                    partition_names=named,
                    consistency_level="Strong",
                    timeout=_CALL_SECONDS,
                )
            except MilvusException as error:
                if f"{named and named[0]} not found" in str(error):
                    self._renew_cache()
                raise

    def _renew_cache(self) -> None:
        """A 2.3.5 proxy that comes up beside the create of a partition may miss it; another change mends that."""
        self._make_partition("mended")
        self._unmake_partition("mended")

    def _weighed(self) -> dict[Callable[[], None], float]:
        chances: dict[Callable[[], None], float] = {
            self._insert: 45,
            self._delete_keys: 15,
            self._delete_matching: 5,
            self._flush: 0.5,
        }
        if not self.shape.auto_id:
            chances[self._upsert] = 20
        if self.shape.partitions:
            chances |= {self._create_partition: 5, self._drop_partition: 3, self._recreate_partition: 2}
        if self.shape.drops:
            chances[self._recreate] = 2
        return chances

    def _insert(self) -> None:
        partition = self._rng.choice(list(self._keys))
        keys = [self._key() for _ in range(self._rng.randint(1, self._most_rows))]
        rows = [self._row(key) for key in keys]
        answer = self.client.insert(self.name, rows, partition_name=self._named(partition), timeout=_CALL_SECONDS)
        self._keys[partition] += list(answer["ids"]) if self.shape.auto_id else keys

    def _upsert(self) -> None:
        """Some that are there, some that are new."""
        partition, keys = self._some_keys(25)
        new = [self._key() for _ in range(self._rng.randint(0, 3))]
        if rows := [self._row(key) for key in (*keys, *new)]:
            self.client.upsert(self.name, rows, partition_name=self._named(partition), timeout=_CALL_SECONDS)
            self._keys[partition] += new

    def _delete_keys(self) -> None:
        """In its partition, or wherever it is."""
        partition, keys = self._some_keys(20)
        if keys:
            where = self._named(partition) if self._rng.random() < 0.5 else None
            self.client.delete(self.name, ids=keys, partition_name=where, timeout=_CALL_SECONDS)
            gone = set(keys)
            self._keys[partition] = [key for key in self._keys[partition] if key not in gone]

    def _delete_matching(self) -> None:
        self.client.delete(
            self.name, filter=f"tenant == {self._rng.randint(0, 40)}", timeout=_CALL_SECONDS, consistency_level="Strong"
        )

    def _create_partition(self) -> None:
        if len(self._keys) <= _MOST_PARTITIONS:
            self._make_partition(f"p{self._key_number()}")

    def _drop_partition(self) -> None:
        if name := self._own_partition():
            self._unmake_partition(name)

    def _recreate_partition(self) -> None:
        """Under the same name, and at once rows in it."""
        if name := self._own_partition():
            self._unmake_partition(name)
            self._make_partition(name)
            self._insert()

    def _recreate(self) -> None:
        """The collection, under the same name."""
        self.client.drop_collection(self.name, timeout=_CALL_SECONDS)
        make_collection(self.client, self.name, self.shape)
        self._keys = {DEFAULT_PARTITION: []}
        self._insert()

    def _flush(self) -> None:
        self.client.flush(self.name, timeout=_CALL_SECONDS)

    def _make_partition(self, name: str) -> None:
        self.client.create_partition(self.name, name, timeout=_CALL_SECONDS)
        self._keys[name] = []

    def _unmake_partition(self, name: str) -> None:
        """With whatever was written to it a moment ago."""
        del self._keys[name]
        self.client.release_partitions(self.name, [name], timeout=_CALL_SECONDS)
        self.client.drop_partition(self.name, name, timeout=_CALL_SECONDS)

    def _own_partition(self) -> str | None:
        own = [name for name in self._keys if name != DEFAULT_PARTITION]
        return self._rng.choice(own) if own else None

    def _some_keys(self, most: int) -> tuple[str, list[Any]]:
        partition = self._rng.choice(list(self._keys))
        keys = self._keys[partition]
        return partition, self._rng.sample(keys, min(len(keys), self._rng.randint(1, most)))

    def _named(self, partition: str) -> str | None:
        """A collection with a partition key lets nobody name one."""
        return None if self.shape.partition_key else partition

    def _key_number(self) -> int:
        self._next_key += 1
        return self._next_key

    def _key(self) -> Any:
        """Never used before."""
        number = self._key_number()
        return f"k{number:07}" if self.shape.varchar_key else number

    def _row(self, key: Any) -> dict[str, Any]:
        row: dict[str, Any] = {
            "tenant": self._rng.randint(0, 40),
            "text": f"t{self._rng.randint(0, 9999)}",
            "vector": [self._rng.random() for _ in range(DIMENSION)],
        }
        if not self.shape.auto_id:
            row["id"] = key
        if self.shape.dynamic:
            row["more"] = {"depth": self._rng.randint(0, 9), "on": self._rng.random() < 0.5}
        return row


def rows(count: int, start: int = 0) -> Iterator[dict[str, Any]]:
    """Plain ones for a collection of `Shape()`, keys `start` to `start + count - 1`."""
    for number in range(start, start + count):
        yield {"id": number, "tenant": number % 7, "text": f"row {number}", "vector": [number / 7] * DIMENSION}


__all__ = ["DEFAULT_PARTITION", "DIMENSION", "SHAPES", "Shape", "Workload", "make_collection", "rows"]
