"""Plays a script: the changes at a real source, the troubles on our processes."""

from __future__ import annotations

import random
import time
from contextlib import closing
from typing import Any

from pymilvus import MilvusClient
from pymilvus.client.cache import GlobalCache

from deploy.local.system import Worker
from tests.replication import Replication
from tests.soak.script import Step
from tests.workload import DIMENSION, SHAPES, Shape, make_collection

_SECONDS = 60.0


class Player:
    """`prefix` comes before every database's name, so that scripts do not meet."""

    def __init__(self, replication: Replication, task: str, prefix: str) -> None:
        self._replication = replication
        self._task = task
        self._prefix = prefix
        self._clients: dict[str, MilvusClient] = {}
        self._shapes: dict[tuple[str, str], Shape] = {}

    def play(self, step: Step) -> None:
        getattr(self, step.do)(*step.args)

    def database(self, name: str) -> str:
        """As the servers know it."""
        return f"{self._prefix}{name}"

    def close(self) -> None:
        """All of it is dropped at the source."""
        for name, client in self._clients.items():
            for collection in client.list_collections():
                for alias in client.describe_collection(collection)["aliases"]:
                    client.drop_alias(alias)
                client.drop_collection(collection, timeout=_SECONDS)
            client.close()
            self._replication.source.drop_database(self.database(name))
        self._clients = {}

    # of the source

    def create_database(self, name: str) -> None:
        self._replication.source.create_database(self.database(name))
        self._clients[name] = self._replication.source_of(self.database(name))

    def drop_database(self, name: str) -> None:
        with closing(self._clients.pop(name)):
            self._replication.source.drop_database(self.database(name))

    def create_collection(self, database: str, name: str, shape: int) -> None:
        self._shapes[database, name] = SHAPES[shape]
        make_collection(self._clients[database], name, SHAPES[shape])

    def drop_collection(self, database: str, name: str) -> None:
        self._clients[database].drop_collection(name, timeout=_SECONDS)

    def rename_collection(self, database: str, name: str, new: str) -> None:
        self._shapes[database, new] = self._shapes.pop((database, name))
        self._clients[database].rename_collection(name, new, timeout=_SECONDS)
        GlobalCache.schema.clear()  # pymilvus keeps the schema that another collection of the new name had

    def create_alias(self, database: str, name: str, alias: str) -> None:
        self._clients[database].create_alias(name, alias, timeout=_SECONDS)

    def alter_alias(self, database: str, name: str, alias: str) -> None:
        self._clients[database].alter_alias(name, alias, timeout=_SECONDS)

    def drop_alias(self, database: str, alias: str) -> None:
        self._clients[database].drop_alias(alias, timeout=_SECONDS)

    def create_partition(self, database: str, name: str, partition: str) -> None:
        self._clients[database].create_partition(name, partition, timeout=_SECONDS)

    def drop_partition(self, database: str, name: str, partition: str) -> None:
        self._clients[database].release_partitions(name, [partition], timeout=_SECONDS)
        self._clients[database].drop_partition(name, partition, timeout=_SECONDS)

    def create_index(self, database: str, name: str, metric: str) -> None:
        index = self._clients[database].prepare_index_params()
        index.add_index("vector", index_type="FLAT", metric_type=metric, index_name="vector")
        self._clients[database].create_index(name, index, timeout=_SECONDS)

    def drop_index(self, database: str, name: str) -> None:
        self._clients[database].drop_index(name, "vector", timeout=_SECONDS)

    def load(self, database: str, name: str) -> None:
        self._clients[database].load_collection(name, timeout=_SECONDS)

    def release(self, database: str, name: str) -> None:
        self._clients[database].release_collection(name, timeout=_SECONDS)

    def flush(self, database: str, name: str) -> None:
        self._clients[database].flush(name, timeout=_SECONDS)

    def insert(self, database: str, name: str, partition: str, keys: list[int], seed: int) -> None:
        shape = self._shapes[database, name]
        where = None if shape.partition_key else partition
        self._clients[database].insert(name, _rows(shape, keys, seed), partition_name=where, timeout=_SECONDS)

    def upsert(self, database: str, name: str, partition: str, keys: list[int], seed: int) -> None:
        shape = self._shapes[database, name]
        where = None if shape.partition_key else partition
        self._clients[database].upsert(name, _rows(shape, keys, seed), partition_name=where, timeout=_SECONDS)

    def delete_keys(self, database: str, name: str, partition: str, keys: list[int]) -> None:
        shape = self._shapes[database, name]
        where = None if shape.partition_key else partition or None
        found = [_key(shape, key) for key in keys]
        self._clients[database].delete(name, ids=found, partition_name=where, timeout=_SECONDS)

    def delete_matching(self, database: str, name: str, tenant: int) -> None:
        self._clients[database].delete(name, filter=f"tenant == {tenant}", timeout=_SECONDS, consistency_level="Strong")

    # of ours

    def end_worker(self, number: int, how: str) -> None:
        getattr(self._worker(number), how)()

    def start_worker(self, number: int) -> None:
        self._worker(number).start().wait_ready()

    def pause(self) -> None:
        self._replication.api.pause(self._task)

    def resume(self) -> None:
        self._replication.api.resume(self._task)

    def rest(self, seconds: float) -> None:
        """So that steps meet a replication in every state of its work."""
        time.sleep(seconds)

    def _worker(self, number: int) -> Worker:
        return self._replication.system.workers[number]


def _key(shape: Shape, key: int) -> Any:
    return f"k{key:07}" if shape.varchar_key else key


def _rows(shape: Shape, keys: list[int], seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    rows = []
    for key in keys:
        row: dict[str, Any] = {
            "tenant": rng.randint(0, 40),
            "text": f"t{rng.randint(0, 9999)}",
            "vector": [rng.random() for _ in range(DIMENSION)],
        }
        if not shape.auto_id:
            row["id"] = _key(shape, key)
        if shape.dynamic:
            row["more"] = {"depth": rng.randint(0, 9)}
        rows.append(row)
    return rows
