"""Child processes that cannot outlive this one.

Linux can send a child a signal when its parent dies (prctl PR_SET_PDEATHSIG). "Parent" there is the *thread* that
forked, so every child is forked by one daemon thread that lives as long as this process, whoever asks.
"""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

# Runs in the child before the server: ask for SIGKILL (1 is PR_SET_PDEATHSIG), then become the server. The parent
# may have died before the request was made; then nobody would send the signal, so look once more.
_BECOME_SERVER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is run; `environment` is added to a small clean one, nothing is inherited."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def spawn(command: Command, directory: Path, log: Path) -> subprocess.Popen[bytes]:
    """Run `command` in `directory` with both outputs appended to `log`; raises OSError."""
    order = _Order(command, directory, log)
    _midwife().orders.put(order)
    return order.born.result()


def environment_of(command: Command) -> dict[str, str]:
    """What the server sees. Milvus takes *every* variable for a setting, hence nothing of the caller's passes."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "JAVA_HOME")
    return {name: os.environ[name] for name in kept if name in os.environ} | dict(command.environment)


@dataclass(slots=True)
class _Order:
    command: Command
    directory: Path
    log: Path
    born: "Future[subprocess.Popen[bytes]]" = field(default_factory=Future)

    def carry_out(self) -> None:
        try:
            self.born.set_result(self._popen())
        except OSError as error:
            self.born.set_exception(error)

    def _popen(self) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-I", "-S", "-c", _BECOME_SERVER, str(os.getpid()), *self.command.arguments]
        with self.log.open("ab") as output:
            return subprocess.Popen(
                arguments,
                cwd=self.directory,
                env=environment_of(self.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches the terminal's whole group: the servers are to end in the order we choose.
                start_new_session=True,
            )


class _Midwife(threading.Thread):
    """The thread that forks all servers; as a daemon thread it ends with the process and not before."""

    def __init__(self) -> None:
        super().__init__(name="deploy-local-spawn", daemon=True)
        self.orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self.process = os.getpid()
        self.start()

    def run(self) -> None:
        while True:
            self.orders.get().carry_out()


_lock = threading.Lock()
_current: _Midwife | None = None


def _midwife() -> _Midwife:
    """The one of this process: after a fork the parent's thread is not there any more."""
    global _current
    with _lock:
        if _current is None or _current.process != os.getpid():
            _current = _Midwife()
        return _current
