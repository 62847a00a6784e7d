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
    try:
        yield
    finally:
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
    """Starts again those that end, as systemd would; a context manager. Nobody else may start or end them meanwhile.

    At its end all of them are ready, or it raises why not.
    """

    def __init__(self, servers: Sequence[Server]) -> None:
        self.started: list[str] = []
        self._servers = servers
        self._failed: Exception | None = None
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
        try:
            self._look()  # one may have ended since the last look
            for server in self._servers:
                server.wait_ready()
        except Exception as failed:
            self._failed = self._failed or failed
        if self._failed and error:
            error.add_note(f"a server was not started again: {self._failed}")
        elif self._failed:
            raise self._failed

    def _run(self) -> None:
        try:
            while not self._stop.wait(_LOOK_SECONDS):
                self._look()
        except Exception as failed:
            self._failed = failed

    def _look(self) -> None:
        for server in self._servers:
            if not server.alive:
                self.started.append(server.name)
                server.start()
