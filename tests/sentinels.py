"""A Redis with a replica, and a Sentinel that makes the replica the master when the Redis is gone."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local import Redis
from deploy.local.ports import Ports
from deploy.local.probes import redis_ping
from deploy.local.process import Command
from deploy.local.redis_server import redis_program
from deploy.local.server import Server

MASTER = "of-the-tests"


class Replica(Redis):
    """Follows another Redis."""

    def __init__(self, directory: Path, leader: Redis) -> None:
        super().__init__(directory)
        self._leader = leader

    def _command(self) -> Command:
        command = super()._command()
        return Command([*command.arguments, "--replicaof", "127.0.0.1", str(self._leader.port)])


class Sentinel(Server):
    """One, which alone decides; it takes a second to call a Redis dead."""

    def __init__(self, directory: Path, watched: Redis) -> None:
        super().__init__("sentinel", directory, Ports.of(directory, ["sentinel"], {"sentinel": None}))
        self._watched = watched

    @property
    def port(self) -> int:
        return self._ports["sentinel"]

    def _prepare(self) -> None:
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {self.directory}",
            f"sentinel monitor {MASTER} 127.0.0.1 {self._watched.port} 1",
            f"sentinel down-after-milliseconds {MASTER} 1000",
            f"sentinel failover-timeout {MASTER} 5000",
        ]
        (self.directory / "sentinel.conf").write_text("\n".join(lines))

    def _command(self) -> Command:
        return Command([redis_program(), str(self.directory / "sentinel.conf"), "--sentinel"])

    def _answers(self) -> bool:
        return redis_ping(self.port)


class Watched:
    """All three; a context manager."""

    def __init__(self, directory: Path) -> None:
        self.master = Redis(directory / "master")
        self.replica = Replica(directory / "replica", self.master)
        self.sentinel = Sentinel(directory / "sentinel", self.master)

    def url(self, database: int = 0) -> str:
        """Of whichever is the master."""
        return f"sentinel://127.0.0.1:{self.sentinel.port}/{database}?master={MASTER}"

    def __enter__(self) -> Self:
        for server in (self.master, self.replica, self.sentinel):
            server.start().wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in (self.sentinel, self.replica, self.master):
            server.stop()
            server.release_ports()
