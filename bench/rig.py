"""What every measurement stands on: a Milvus pair, our processes, one task for everything."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from pymilvus import DataType, MilvusClient

from cdc_core.model.channel import VChannel
from deploy.local import Stack
from deploy.local.stack import StackQueue
from deploy.local.system import OwnProcess, System

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KB = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """Of our processes: CPU seconds in all, and the largest resident memory of one of them in MB, now and ever."""

    cpu: float
    resident_mb: float
    peak_mb: float


class Rig:
    """A context manager; `source` and `target` are clients of the two Milvus."""

    def __init__(self, directory: Path, queue: StackQueue, workers: int = 2) -> None:
        self.stack = Stack(directory / "servers", queue, target_channels=16)  # as a Milvus comes
        self._directory = directory
        self._workers = workers
        self.system: System
        self.task = ""
        self.source: MilvusClient
        self.target: MilvusClient

    def __enter__(self) -> Self:
        self.stack.start()
        self.source, self.target = MilvusClient(self.stack.source.uri), MilvusClient(self.stack.target.uri)
        self.system = System(self._directory / "ours", self.stack.environment(), workers=self._workers).start()
        target = {"uri": self.stack.target.uri}
        self.task = self.system.api.create(milvus_connect_param=target, collection_infos=[{"name": "*"}])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.system.stop()
        self.stack.stop()

    def collection(self, name: str, dim: int, shards: int = 1, *, load: bool = True) -> str:
        """On the source with an int64 key and a vector; awaited on the target, loaded if it is loaded here."""
        schema = self.source.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        self.source.create_collection(name, schema=schema, num_shards=shards)
        if load:
            index = self.source.prepare_index_params()
            index.add_index("vector", index_type="FLAT", metric_type="L2")
            self.source.create_index(name, index)
            self.source.load_collection(name)
            until(lambda: self.count(name) == 0, f"{name} loaded on the target")
        else:
            until(lambda: self.target.has_collection(name), f"{name} on the target")
        return name

    def vchannel(self, collection: str) -> VChannel:
        """The only one of a collection of one shard; of those that are replicated."""
        number = self.source.describe_collection(collection)["collection_id"]
        found = [VChannel.parse(each["channel_name"]) for each in self.system.api.position(self.task)["positions"]]
        return next(each for each in found if each.collection_id == number)

    def count(self, collection: str) -> int:
        """count(*) on the target; -1 while it does not answer."""
        try:
            answer = self.target.query(
                collection, filter="", output_fields=["count(*)"], consistency_level="Eventually", timeout=5
            )
        except Exception:
            return -1
        return int(answer[0]["count(*)"])

    def usage(self) -> Usage:
        """Since the processes started."""
        own: list[OwnProcess] = self.system.processes
        pids = [pid for process in own if process.pid for pid in _family(process.pid)]
        return Usage(sum(map(_cpu, pids)), *(max(_mb(pid, field) for pid in pids) for field in ("VmRSS", "VmHWM")))


def rows(first: int, number: int, dim: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with keys from `first` on."""
    vectors = np.random.default_rng(seed + first).random((number, dim), dtype=np.float32)
    return [{"id": first + i, "vector": vectors[i].tolist()} for i in range(number)]


def until(condition: Callable[[], bool], what: str, seconds: float = 120.0, every: float = 0.02) -> float:
    """Seconds it took. :raises TimeoutError:"""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(every)
    return time.monotonic() - began


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _family(pid: int) -> list[int]:
    """A process and its children."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += _family(int(child))
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _mb(pid: int, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) / _PAGE_KB
