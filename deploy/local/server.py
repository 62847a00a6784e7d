"""The base of every server that runs on this machine for the demo and the tests."""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from deploy.local.errors import StartFailed
from deploy.local.ports import Ports
from deploy.local.process import Command, spawn

_PROBE_INTERVAL = 0.1  # seconds; servers here take 0.1 to 15 s, so this adds little
_LOG_TAIL = 30  # lines shown when a start fails


class Server(ABC):
    """A real server process with its data, ports and log in one directory.

    The life of one object is that of the data: `start`, `stop`, `kill` and `start` again keep data and ports.
    The process dies with its parent, however that ends. A subclass says what to run and when it is ready.
    Not for use by several threads at once, but any thread may use it.
    """

    start_timeout: ClassVar[float] = 60.0  # seconds until ready, generous: two cores may be shared by many
    stop_grace: ClassVar[float] = 10.0  # seconds between SIGTERM and SIGKILL
    advice: ClassVar[str] = "Read the log, mend the cause and start it again."

    def __init__(self, name: str, directory: Path, ports: Ports) -> None:
        self.name = name
        self.directory = directory
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _prepare(self) -> None:
        """Write the configuration and what else the process needs; called before each start."""

    @abstractmethod
    def _command(self) -> Command:
        """What to run."""

    @abstractmethod
    def _answers(self) -> bool:
        """One probe of the running server; may raise OSError or HTTPException for "not yet"."""

    @property
    def log_path(self) -> Path:
        """Both outputs of every run so far."""
        return self.directory / f"{self.name}.log"

    @property
    def alive(self) -> bool:
        """The process runs, perhaps not ready or suspended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the running process; StartFailed if there is none."""
        if self._process is None or not self.alive:
            raise StartFailed(f"{self.name} is not running: call start()")
        return self._process.pid

    def start(self) -> Self:
        """Start the process and return at once; nothing happens if it is running."""
        if not self.alive:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._prepare()
            self._process = spawn(self._command(), self.directory, self.log_path)
        return self

    def wait_ready(self, timeout: float | None = None) -> Self:
        """Block until the server does its work; StartFailed if it ends or `timeout` seconds pass."""
        seconds = self.start_timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        while not self._probe():
            if time.monotonic() > deadline:
                raise self._failure(f"is not ready after {seconds:.0f} s")
            self._pause()
        return self

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after the grace period; idempotent."""
        if self._process is None or not self.alive:
            return
        self._process.terminate()
        with contextlib.suppress(StartFailed):  # it has ended already
            self.resume_process()  # a suspended process would not see the SIGTERM
        try:
            self._process.wait(self.stop_grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone; idempotent."""
        if self._process is not None and self.alive:
            self._process.kill()
            self._process.wait()

    def restart(self) -> Self:
        """Stop, start on the same data and ports, and wait until ready."""
        self.stop()
        return self.start().wait_ready()

    def suspend(self) -> None:
        """SIGSTOP: connections stay open and nobody answers, as with a host that hangs."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # a moment later every thread has stopped

    def resume_process(self) -> None:
        """SIGCONT, the end of `suspend`."""
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        try:
            return self.start().wait_ready()
        except BaseException:
            self.kill()
            self.release_ports()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.release_ports()

    def release_ports(self) -> None:
        """Let other processes have the ports: this object is done with for good. Idempotent."""
        self._ports.release()

    def _probe(self) -> bool:
        if not self.alive:
            raise self._failure("ended before it was ready")
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self._answers()
        return False

    def _pause(self) -> None:
        """The time between two probes, cut short by the end of the process."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PROBE_INTERVAL)

    def _failure(self, what: str) -> StartFailed:
        lines = self.log_path.read_text(errors="replace").splitlines() if self.log_path.exists() else []
        tail = "\n".join(f"    {line[:400]}" for line in lines[-_LOG_TAIL:])
        return StartFailed(f"{self.name} {what}. {self.advice}\n  {self.log_path} ends with:\n{tail}")
