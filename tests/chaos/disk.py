"""A disk of so many bytes, that of a server; a context manager."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local import Unavailable


class Disk:
    """A file system of its own, in memory. Only root may mount one: elsewhere it is Unavailable."""

    def __init__(self, directory: Path, size: int) -> None:
        directory.mkdir()
        self.directory = directory
        self._filler = directory / "filler"
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise Unavailable(f"no disk of its own can be mounted, which root may: {made.stderr.strip()}")

    @property
    def free(self) -> int:
        """Bytes."""
        found = os.statvfs(self.directory)
        return found.f_bavail * found.f_frsize

    def fill(self, room: int) -> None:
        """Until so many bytes are left."""
        with self._filler.open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, self.free - room)

    def clear(self) -> None:
        """The end of `fill`."""
        self._filler.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["umount", "--lazy", str(self.directory)], check=True)
