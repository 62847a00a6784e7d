"""Everything a replication needs on one machine: a source, a standby, Redis, and the broker between."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from deploy.local.etcd import Etcd
from deploy.local.kafka import Kafka
from deploy.local.milvus import Milvus
from deploy.local.milvus_config import MilvusOptions
from deploy.local.pulsar import Pulsar
from deploy.local.redis_server import Redis
from deploy.local.server import Server

StackQueue = Literal["rocksmq", "natsmq", "kafka", "pulsar"]


TARGET_CHANNELS = 64
"""Of the standby, more than any test has vchannels, and others than the source's 16. A 2.3.5 that is killed loses rows
that were not flushed when two vchannels share a channel: its message dispatchers of both are taken for equally far
before either has read anything, are merged, and what lies between their checkpoints is skipped."""


class Stack:
    """Two Milvus and what stands beside them; a context manager that starts and ends all of it.

    `queue` is the source's; the standby has its own RocksMQ, so that a broker that is killed hurts one side only.
    Both share one etcd where the machine has etcd, else (or with `embedded_etcd`) each runs its own inside.
    """

    def __init__(
        self,
        directory: Path,
        queue: StackQueue = "rocksmq",
        *,
        embedded_etcd: bool = False,
        target_channels: int = TARGET_CHANNELS,
        authorization: bool = False,
        session_ttl: int = 30,
    ) -> None:
        """Downloads what is missing; raises Unavailable when something cannot be had."""
        directory = directory.absolute()
        embedded_etcd = embedded_etcd or shutil.which("etcd") is None
        self.etcd = None if embedded_etcd else Etcd(directory / "etcd")
        self.kafka = Kafka(directory / "kafka") if queue == "kafka" else None
        self.pulsar = Pulsar(directory / "pulsar") if queue == "pulsar" else None
        self.redis = Redis(directory / "redis")
        shared = MilvusOptions(
            etcd=self.etcd.endpoint if self.etcd else None,
            authorization=authorization,
            session_ttl=session_ttl,
        )
        broker = self.kafka or self.pulsar
        self.source = Milvus(
            directory / "source", replace(shared, queue=queue, broker=broker.address if broker else None)
        )
        self.target = Milvus(
            directory / "target", replace(shared, name="standby", standby=True, dml_channels=target_channels)
        )

    @property
    def servers(self) -> list[Server]:
        """All of them, those that others need first."""
        return self._beside + self._pair

    @property
    def _beside(self) -> list[Server]:
        return [server for server in (self.redis, self.etcd, self.kafka, self.pulsar) if server is not None]

    @property
    def _pair(self) -> list[Server]:
        return [self.source, self.target]

    def start(self) -> Self:
        """Start all, as many at once as can be, and wait until all are ready; raises StartFailed."""
        try:
            _at_once(_start_and_wait, self._beside)
            _at_once(_start_and_wait, self._pair)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """End all, the pair before what it needs."""
        _at_once(Server.stop, self._pair)
        _at_once(Server.stop, self._beside)

    def kill(self) -> None:
        """End all at once."""
        for server in self.servers:
            server.kill()

    def environment(self) -> dict[str, str]:
        """The project's settings that point to these servers."""
        return {
            "CDC_REDIS_URL": self.redis.url(0),
            "CDC_BROKER_URL": self.redis.url(1),
            "CDC_SOURCE_ETCD_ENDPOINTS": self.source.etcd_endpoint,
            "CDC_SOURCE_ETCD_ROOT": self.source.etcd_root,
            "CDC_SOURCE_META_SUBPATH": "meta",
            "CDC_SOURCE_CHANNEL_PREFIX": self.source.channel_prefix,
            "CDC_SOURCE_MQ": self.source.mq_uri,
        }

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self._release_ports()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._release_ports()

    def _release_ports(self) -> None:
        for server in self.servers:
            server.release_ports()


def _at_once(do: Callable[[Server], None], servers: list[Server]) -> None:
    with ThreadPoolExecutor(max_workers=len(servers)) as threads:
        list(threads.map(do, servers))


def _start_and_wait(server: Server) -> None:
    server.start().wait_ready()
