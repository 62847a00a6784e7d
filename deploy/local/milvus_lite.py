"""A Milvus Lite in a process of its own."""

import sys
from importlib.util import find_spec
from pathlib import Path

import grpc

from deploy.local.errors import Unavailable
from deploy.local.ports import Ports
from deploy.local.process import Command
from deploy.local.server import Server

_ANSWER_SECONDS = 1.0


class MilvusLite(Server):
    """Its data is in the directory `data`; it keeps what it has acknowledged through a kill."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        """Raises Unavailable."""
        if find_spec("milvus_lite") is None:
            raise Unavailable("milvus-lite is not installed: `make install`")
        directory = directory.absolute()
        super().__init__("milvus-lite", directory, Ports.of(directory, ["lite"], {"lite": port}))

    @property
    def uri(self) -> str:
        """The address as pymilvus takes it."""
        return f"http://127.0.0.1:{self._ports['lite']}"

    @property
    def token(self) -> str:
        """It knows no users."""
        return ""

    def _prepare(self) -> None:
        """It wants nothing."""

    def _command(self) -> Command:
        program = str(Path(sys.executable).with_name("milvus-lite"))
        port = str(self._ports["lite"])
        return Command(
            [program, "server", "--data-dir", str(self.directory / "data"), "--host", "127.0.0.1", "--port", port]
        )

    def _answers(self) -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{self._ports['lite']}") as channel:
            try:
                grpc.channel_ready_future(channel).result(_ANSWER_SECONDS)
            except grpc.FutureTimeoutError:
                return False
        return True
