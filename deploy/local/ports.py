"""Ports that stay with a data directory.

A server that is started again must come back on its old ports, also from another process days later: clients and
the server's own metadata remember them. So the ports are chosen once and written beside the data.
"""

import fcntl
import json
import os
import random
import socket
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from deploy.local.errors import Unavailable

# Below Linux's range for outgoing connections (32768 and up): a port from there could be taken by a client
# while its server is down between a kill and a restart.
CANDIDATES = range(20_000, 32_000)


class Ports:
    """The named ports of one server, held against every other process of this package until it ends."""

    def __init__(self, numbers: Mapping[str, int], locks: list[int]) -> None:
        self._numbers = dict(numbers)
        self._locks = locks

    @classmethod
    def of(cls, directory: Path, names: Iterable[str], given: Mapping[str, int | None] | None = None) -> Self:
        """The ports of `directory`: what is written there, else what is given, else free ones.

        Raises Unavailable when a written or given port is held by another process of this package.
        """
        file = directory / "ports.json"
        known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        known.update({name: port for name, port in (given or {}).items() if port is not None})
        numbers: dict[str, int] = {}
        locks: list[int] = []
        for name in names:
            numbers[name], lock = _take(known[name]) if name in known else _take_free()
            locks.append(lock)
        directory.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(known | numbers, indent=1) + "\n")
        return cls(numbers, locks)

    def __getitem__(self, name: str) -> int:
        return self._numbers[name]

    def release(self) -> None:
        """Let other processes have these ports; idempotent."""
        while self._locks:
            os.close(self._locks.pop())


def _take(port: int) -> tuple[int, int]:
    lock = _lock(port)
    if lock is None:
        raise Unavailable(
            f"port {port} belongs to another running process of deploy.local: "
            f"end that one, or use another data directory"
        )
    return port, lock


def _take_free() -> tuple[int, int]:
    for port in random.sample(CANDIDATES, len(CANDIDATES)):
        lock = _lock(port)
        if lock is None:
            continue
        if _can_listen(port):
            return port, lock
        os.close(lock)
    raise Unavailable(f"no free port between {CANDIDATES.start} and {CANDIDATES.stop}")


def _lock(port: int) -> int | None:
    """Hold `port` by a file lock, which the kernel drops when this process dies; None if another has it."""
    folder = Path(tempfile.gettempdir()) / f"milvus-cdc-workers-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    handle = os.open(folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _can_listen(port: int) -> bool:
    """Try every address, not only the loopback: Milvus listens on all of them."""
    with socket.socket() as listener:
        try:
            listener.bind(("", port))
        except OSError:
            return False
    return True
