"""A real NATS server with JetStream, as a Milvus with the queue natsmq has one inside."""

import json
import os
import shutil
from pathlib import Path

from deploy.local.errors import Unavailable
from deploy.local.ports import Ports
from deploy.local.probes import nats_info
from deploy.local.process import Command
from deploy.local.server import Server

_PAYLOAD_BYTES = 64 << 20  # Milvus 2.3 gives its own 8 MiB, headers included


def nats_program() -> str:
    """The machine's nats-server; raises Unavailable. Debian keeps it where not every user's PATH leads."""
    program = shutil.which("nats-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        raise Unavailable("no nats-server on PATH: `apt install nats-server`")
    return program


class Nats(Server):
    """One NATS server that keeps its streams through a kill."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        """Raises Unavailable."""
        self._program = nats_program()
        directory = directory.absolute()
        super().__init__("nats", directory, Ports.of(directory, ["nats"], {"nats": port}))

    @property
    def address(self) -> str:
        """For clients, as "host:port"."""
        return f"127.0.0.1:{self._ports['nats']}"

    def _prepare(self) -> None:
        settings = {
            "host": "127.0.0.1",
            "port": self._ports["nats"],
            "max_payload": _PAYLOAD_BYTES,
            "max_pending": _PAYLOAD_BYTES,
            "jetstream": {"store_dir": str(self.directory / "data")},
        }
        self._settings_file.write_text(json.dumps(settings))

    def _command(self) -> Command:
        return Command([self._program, "--config", str(self._settings_file)])

    @property
    def _settings_file(self) -> Path:
        return self.directory / "nats.conf"

    def _answers(self) -> bool:
        """It listens only once its streams are recovered."""
        return nats_info(self._ports["nats"]).get("jetstream") is True
