"""The targets that take rows by key under one face. Another one is a class here and a line in test_row_sink.py."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from pymilvus import MilvusClient

from cdc_core.codec.keys import Key
from cdc_core.model.connect import MilvusConnect, SinkKind
from cdc_core.sink.base import RowSink, TargetCatalog, TargetCollection
from cdc_core.sink.memory import Fault
from cdc_core.sink.memory_keyed import MemoryKeyedTarget
from cdc_core.sink.milvus_catalog import MilvusCatalog
from cdc_core.sink.milvus_client import MilvusChannel
from cdc_core.sink.milvus_manner import ByKey
from cdc_core.sink.milvus_rows import MilvusRows
from deploy.local import Milvus, MilvusLite
from tests.contract.targets import index

Held = Mapping[tuple[str, Key], Mapping[str, Any]]
"""(partition, primary key) -> the other columns. The partition is '' where a partition key chooses it."""

VECTORS = {"v": "L2", "bits": "HAMMING"}


class RowTarget(Protocol):
    """A row sink and a catalog, and what a test wants to see of the rows."""

    sink: RowSink
    catalog: TargetCatalog
    keys_are_by_partition: bool
    """Whether a key may be in several partitions, a row each, as at a source; else it is where it was written last."""

    def open(self, collection: TargetCollection) -> None:
        """Make it ready to be read."""
        ...

    def held(self, collection: TargetCollection) -> Held:
        """All rows, as they are after every call that was answered; fails when a key is in a partition twice."""
        ...

    def restart(self) -> None:
        """Kill it and start it again; calls fail for a while."""
        ...

    def hanging(self) -> AbstractContextManager[None]:
        """It does not answer, and may do later what it was asked meanwhile."""
        ...

    def close(self) -> None: ...


class InMemory:
    """`RowTarget` without a server."""

    keys_are_by_partition = True

    def __init__(self) -> None:
        self.sink = self.catalog = self.memory = MemoryKeyedTarget()

    def open(self, collection: TargetCollection) -> None:
        """It always is."""

    def held(self, collection: TargetCollection) -> Held:
        found = self.memory.rows(collection.database, collection.name)
        assert len(found) == len(self.memory.stored(collection.database, collection.name).rows)
        return {place: _without_key(row) for place, row in found.items()}

    def restart(self) -> None:
        self.memory.faults.extend([Fault.UNAVAILABLE, Fault.AMBIGUOUS, Fault.PARTIAL])

    @contextmanager
    def hanging(self) -> Iterator[None]:
        self.memory.faults.append(Fault.AMBIGUOUS)
        yield

    def close(self) -> None:
        """Nothing to close."""


class AnyMilvus:
    """`RowTarget` over a server with ordinary settings."""

    def __init__(self, server: Milvus | MilvusLite) -> None:
        self.server = server
        self.channel = MilvusChannel(MilvusConnect(uri=server.uri, token=server.token, sink=SinkKind.SDK))
        self.is_lite = isinstance(server, MilvusLite)
        self.keys_are_by_partition = not self.is_lite
        self.sink = MilvusRows(self.channel)
        self.catalog = MilvusCatalog(self.channel, ByKey())
        self.client = MilvusClient(server.uri, token=server.token)

    def open(self, collection: TargetCollection) -> None:
        described = self.client.describe_collection(collection.name)
        for field in described["fields"]:
            if metric := VECTORS.get(field["name"]):
                self.catalog.apply(index(collection.database, collection.name, field["name"], metric))
        self.client.load_collection(collection.name)

    def held(self, collection: TargetCollection) -> Held:
        fields = self.client.describe_collection(collection.name)["fields"]
        by_key = any(field.get("is_partition_key") for field in fields)
        # Waits until all is visible; what is read then sees at least as much, and need not wait again.
        (counted,) = self.client.query(collection.name, "", ["count(*)"], consistency_level="Strong")
        found: dict[tuple[str, Key], Mapping[str, Any]] = {}
        for partition in [None] if by_key else self.client.list_partitions(collection.name):
            found |= self._held(collection, partition)
        assert counted["count(*)"] == len(found), "a key is in a partition twice"
        return found

    def restart(self) -> None:
        self.server.kill()
        self.server.start().wait_ready()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        self.server.suspend()
        try:
            yield
        finally:
            self.server.resume_process()

    def close(self) -> None:
        self.client.close()
        self.channel.close()

    def _held(self, collection: TargetCollection, partition: str | None) -> dict[tuple[str, Key], Mapping[str, Any]]:
        named = [partition] if partition else None
        rows = self.client.query(
            collection.name, "", ["*"], limit=16_000, partition_names=named, consistency_level="Eventually"
        )
        return {(partition or "", row["id"]): _without_key(row) for row in rows}


def _without_key(row: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: _plain(value) for name, value in row.items() if name not in ("id", "$meta")}
    return found | (json.loads(bytes(row["$meta"])) if "$meta" in row else {})  # type: ignore[call-overload]


def _plain(value: Any) -> Any:
    """As comparable as can be: bytes of JSON are what they say, vectors and arrays are lists."""
    if isinstance(value, bytes):
        try:
            return json.loads(value)
        except ValueError:
            return value
    if isinstance(value, str | int | float | Mapping):
        return value
    values = list(value)
    if len(values) == 1 and isinstance(values[0], bytes):
        return values[0]
    return [each.item() if hasattr(each, "item") else each for each in values]
