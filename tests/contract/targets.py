"""The targets under one face: a real standby and its twin in memory, and a Kafka topic as far as it has objects."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

from pymilvus import MilvusClient

from cdc_core.codec import rewrite
from cdc_core.codec.operation import REQUESTS, Operation, OperationKind
from cdc_core.codec.protobuf import common_pb2, milvus_pb2
from cdc_core.errors import TargetUnavailable
from cdc_core.model.address import Address
from cdc_core.model.connect import KafkaConnect, MilvusConnect
from cdc_core.model.timestamp import ZERO, Tso
from cdc_core.pipeline.transport import Keyed
from cdc_core.sink.base import Sink, TargetCatalog, TargetCollection
from cdc_core.sink.kafka_catalog import KafkaCatalog
from cdc_core.sink.kafka_rows import KafkaRows, form_of
from cdc_core.sink.kafka_writer import KafkaWriter
from cdc_core.sink.memory import MemoryTarget
from cdc_core.sink.milvus_catalog import MilvusCatalog
from cdc_core.sink.milvus_client import MilvusChannel
from cdc_core.sink.milvus_replicate import MilvusReplicate
from cdc_core.sink.notes import MemoryNotes
from deploy.local import Kafka, Milvus

TIMEOUT = 10.0
_names = itertools.count()


class Target(Protocol):
    """A sink and a catalog, and what a test wants to see of the rows."""

    sink: Sink
    catalog: TargetCatalog

    def load(self, collection: TargetCollection) -> None:
        """Make it ready for queries."""
        ...

    def count(self, collection: TargetCollection) -> int:
        """Rows that a query counts now; equal keys count as often as they are there."""
        ...

    def keys(self, collection: TargetCollection) -> list[Any]:
        """The primary keys (field `id`) that a query finds, sorted."""
        ...


class Times:
    """Timestamps above everything that was ticked, and ticks on every channel."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._last = ZERO

    def next(self) -> Tso:
        """The first of a fresh grid cell."""
        self._last = Tso.of(max(Tso.of(int(time.time() * 1000)), self._last).ceil().ms, 1)
        return self._last

    def tick(self) -> Tso:
        """Tick every channel at or beyond everything that `next` gave."""
        tick = self._last = max(self._last, Tso.of(int(time.time() * 1000))).ceil()
        pchannels = self._target.catalog.pchannels()
        assert self._target.sink.tick_all(dict.fromkeys(pchannels, tick), TIMEOUT) == {}
        return tick


@contextmanager
def flowing(times: Times) -> Iterator[None]:
    """Ticks while the block runs, as in a replication that goes on: a flush waits for them."""
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.2):
            times.tick()

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def drop(target: Target, times: Times, dropped: TargetCollection) -> None:
    """By API and then by a message into each channel: without it a standby's data node keeps the channels for ever,
    and later flushes of other collections hang."""
    target.catalog.drop_collection(dropped.database, dropped.name, times.next())
    for shard, vchannel in enumerate(dropped.vchannels):
        at = times.next()
        message = rewrite.drop_collection_message(address(dropped, shard), 0, at)
        target.sink.send(vchannel.pchannel, [message], begin=at, end=at, tick=at, timeout=TIMEOUT)


def apply_until_taken(catalog: TargetCatalog, wanted: Operation) -> None:
    """As an engine does it: again while the target says that it cannot now."""
    give_up = time.monotonic() + 90
    while True:
        try:
            return catalog.apply(wanted)
        except TargetUnavailable:
            if time.monotonic() > give_up:
                raise


def operation(kind: OperationKind, database: str = "", *collections: str, **fields: Any) -> Operation:
    request = REQUESTS[kind](**fields)
    return Operation(kind, database, collections, Tso.of(int(time.time() * 1000)), 1, request, b"", 1)


def index(database: str, name: str, field: str = "v", metric: str = "L2") -> Operation:
    kind = "BIN_FLAT" if metric == "HAMMING" else "FLAT"
    parameters = {"index_type": kind, "metric_type": metric, "params": "{}"}
    pairs = [common_pb2.KeyValuePair(key=key, value=value) for key, value in parameters.items()]
    return operation(
        OperationKind.CREATE_INDEX, database, name, field_name=field, index_name=f"of_{field}", extra_params=pairs
    )


def address(target: TargetCollection, shard: int = 0, partition: str = "_default") -> Address:
    vchannel = target.vchannels[shard].name
    return Address(target.id, vchannel, target.name, target.database, target.partitions.get(partition, -1), partition)


def fresh(word: str) -> str:
    """A name that no other test has."""
    return f"{word}_{time.time_ns() // 1000 % 10**9}_{next(_names)}"


class InMemory:
    """`Target` without a server."""

    def __init__(self) -> None:
        self.sink = self.catalog = self.memory = MemoryTarget()

    def load(self, collection: TargetCollection) -> None:
        self.catalog.apply(index(collection.database, collection.name))
        self.catalog.apply(operation(OperationKind.LOAD_COLLECTION, collection.database, collection.name))

    def count(self, collection: TargetCollection) -> int:
        return len(self.memory.rows(collection.database, collection.name))

    def keys(self, collection: TargetCollection) -> list[Any]:
        return sorted({row["id"] for row in self.memory.rows(collection.database, collection.name)})  # type: ignore[type-var]


class RealStandby:
    """`Target` over a standby Milvus, reached by `connect` where its address and token are not enough."""

    def __init__(self, server: Milvus, connect: MilvusConnect | None = None) -> None:
        self.server = server
        self._connect = connect or MilvusConnect(uri=server.uri, token=server.token)
        self.channel = MilvusChannel(self._connect)
        self.sink = MilvusReplicate(self.channel)
        self.catalog = MilvusCatalog(self.channel)
        self._times = Times(self)
        self._queries: dict[str, MilvusClient] = {}

    def load(self, collection: TargetCollection) -> None:
        self.catalog.apply(index(collection.database, collection.name))
        self.catalog.apply(operation(OperationKind.LOAD_COLLECTION, collection.database, collection.name))
        request = milvus_pb2.GetLoadStateRequest(db_name=collection.database, collection_name=collection.name)
        give_up = time.monotonic() + 60
        while self.channel.call("GetLoadState", request).state != common_pb2.LoadStateLoaded:
            assert time.monotonic() < give_up, f"{collection.name} is not loaded"
            self._times.tick()
            time.sleep(0.2)

    def count(self, collection: TargetCollection) -> int:
        found = self._client(collection).query(
            collection.name, filter="", output_fields=["count(*)"], consistency_level="Eventually"
        )
        return int(found[0]["count(*)"])

    def keys(self, collection: TargetCollection) -> list[Any]:
        return sorted(row["id"] for row in self.rows(collection))

    def rows(self, collection: TargetCollection) -> list[dict[str, Any]]:
        client = self._client(collection)
        return list(
            client.query(collection.name, filter="", output_fields=["*"], limit=10_000, consistency_level="Eventually")
        )

    def close(self) -> None:
        for client in self._queries.values():
            client.close()
        self.channel.close()

    def _client(self, collection: TargetCollection) -> MilvusClient:
        if collection.database not in self._queries:
            files = {name: value for name, value in asdict(self._connect.dial_config).items() if value}
            self._queries[collection.database] = MilvusClient(
                self.server.uri, token=self._connect.auth_token, db_name=collection.database, **files
            )
        return self._queries[collection.database]


class RealTopic:
    """`Target` over a Kafka topic, less its rows."""

    def __init__(self, server: Kafka) -> None:
        connect = KafkaConnect(server.address, fresh("objects"))
        writer, form = KafkaWriter(connect), form_of(connect)
        self.catalog = KafkaCatalog(writer, form, MemoryNotes())
        self.sink: Any = Keyed(KafkaRows(writer, form, self.catalog.key_field))

    def load(self, collection: TargetCollection) -> None:
        self.catalog.apply(index(collection.database, collection.name))
        self.catalog.apply(operation(OperationKind.LOAD_COLLECTION, collection.database, collection.name))

    def close(self) -> None:
        self.sink.close()
