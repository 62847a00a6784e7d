"""A real etcd of one node, for several Milvus to share."""

import json
import shutil
from pathlib import Path

from deploy.local.errors import Unavailable
from deploy.local.ports import Ports
from deploy.local.probes import http_get
from deploy.local.process import Command
from deploy.local.server import Server


def etcd_program() -> str:
    """The machine's etcd; raises Unavailable."""
    program = shutil.which("etcd")
    if program is None:
        raise Unavailable("no etcd on PATH: `apt install etcd-server`, or let Milvus run its own inside")
    return program


class Etcd(Server):
    """One etcd, empty at first."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        """Raises Unavailable."""
        self._program = etcd_program()
        directory = directory.absolute()
        super().__init__("etcd", directory, Ports.of(directory, ["client", "peer"], {"client": port}))

    @property
    def endpoint(self) -> str:
        """For clients, as "host:port"."""
        return f"127.0.0.1:{self._ports['client']}"

    def _prepare(self) -> None:
        """Nothing: all settings are arguments."""

    def _command(self) -> Command:
        client, peer = f"http://{self.endpoint}", f"http://127.0.0.1:{self._ports['peer']}"
        settings = {
            "name": "local",
            "data-dir": str(self.directory / "data"),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"local={peer}",
        }
        return Command([self._program, *(f"--{name}={value}" for name, value in settings.items())])

    def _answers(self) -> bool:
        status, body = http_get(self._ports["client"], "/health")
        return status == 200 and json.loads(body)["health"] == "true"
