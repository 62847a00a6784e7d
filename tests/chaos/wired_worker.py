"""A worker whose ways to Redis, to the target and to the source's etcd can be cut, each alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import redis

from cdc_core.coordination.leases import LEASE_MS
from deploy.local.system import Worker
from tests.chaos.tunnel import Tunnel
from tests.chaos.wire import Wire

WRITES = b"tenant"
"""A column of every collection that the tests make: in each insert, and in each collection's schema."""

FENCE_SECONDS = LEASE_MS / 1000
"""So long after its last renewal a worker writes nothing any more."""


class WiredWorker(Worker):
    """Its `state` leads to Redis, that of the state and that of the broker, which are one; its `target` to Milvus,
    and to `etcd`, which leads on. A context manager; starts nothing by itself."""

    def __init__(self, name: str, directory: Path, environment: Mapping[str, str], seed: int) -> None:
        direct = environment["CDC_REDIS_URL"]
        self.state = Wire(urlsplit(direct).port or 0, seed=seed)
        self.target = Tunnel(seed=seed, mark=WRITES)
        self.etcd = Wire(int(environment["CDC_SOURCE_ETCD_ENDPOINTS"].rpartition(":")[2]), seed=seed)
        by_wire = {
            key: environment[key].replace(f":{urlsplit(direct).port}/", f":{self.state.port}/")
            for key in ("CDC_REDIS_URL", "CDC_BROKER_URL")
        }
        by_wire["CDC_SOURCE_ETCD_ENDPOINTS"] = f"127.0.0.1:{self.etcd.port}"
        proxy = {"grpc_proxy": f"http://127.0.0.1:{self.target.port}"}
        super().__init__(name, directory, {**environment, **by_wire, **proxy})
        self._state = redis.Redis.from_url(direct, decode_responses=True)
        self._wires = ExitStack()

    @property
    def wrote_ago(self) -> float:
        """Seconds since it last wrote rows to the target, or made something there."""
        return time.monotonic() - self.target.marked

    def __enter__(self) -> Self:
        self._wires.enter_context(self.state)
        self._wires.enter_context(self.target)
        self._wires.enter_context(self.etcd)
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._wires.close()
