"""Rows that are large, and the memory that they take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pymilvus import DataType, MilvusClient

from deploy.local.system import Worker
from tests.workload import index_and_load

WIDE = 1024
"""Of a vector: 4 KB a row."""
CALL_ROWS = 2_000
"""8 MB."""


def make_wide(client: MilvusClient, name: str) -> None:
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=WIDE)
    client.create_collection(name, schema=schema, num_shards=1)
    index_and_load(client, name)


def wide_rows(count: int, start: int = 0) -> Iterator[dict[str, object]]:
    vectors = np.random.default_rng(start).random((count, WIDE), dtype=np.float32)
    for number, vector in enumerate(vectors, start):
        yield {"id": number, "vector": vector}


def resident(worker: Worker) -> int:
    """Bytes of memory that a process has now."""
    lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
