"""Servers that are away for a while, and who starts again what ends by that."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from deploy.local import Server

_LOOK_SECONDS = 0.5


@contextmanager
def killed(server: Server) -> Iterator[None]:
    """Connections are refused; afterwards it is started again as it was."""
    server.kill()
    yield
    server.start().wait_ready()


@contextmanager
def hung(server: Server) -> Iterator[None]:
    """Connections stay open, and nobody answers."""
    server.suspend()
    try:
        yield
    finally:
        server.resume_process()


class Operator:
    """Starts again those that end, as systemd would; a context manager. Nobody else may start or end them meanwhile."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.started: list[str] = []
        self._servers = servers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            for server in self._servers:
                if not server.alive:
                    self.started.append(server.name)
                    server.start()
