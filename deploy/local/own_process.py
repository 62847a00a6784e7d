"""One process of ours on this machine, run by the Procfile's own command."""

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import redis

from cdc_core.coordination.client import connect
from cdc_core.coordination.workers import Workers
from cdc_core.names import Keys
from deploy.local.ports import Ports
from deploy.local.probes import http_get
from deploy.local.process import Command
from deploy.local.server import Server

ROOT = Path(__file__).resolve().parents[2]


def procfile() -> dict[str, str]:
    """Process name -> shell command."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines) if command}


class OwnProcess(Server):
    """One line of the Procfile, run with `environment` and nothing else: it sees no `.env`."""

    start_timeout: ClassVar[float] = 60.0
    line: ClassVar[str]

    def __init__(self, name: str, directory: Path, environment: Mapping[str, str], ports: Ports) -> None:
        self.environment = dict(environment)
        super().__init__(name, directory, ports)

    def terminate(self, timeout: float = 60.0) -> float:
        """SIGTERM and nothing harder; the seconds until it had ended. Raises subprocess.TimeoutExpired."""
        began = time.monotonic()
        if self._process is not None and self.alive:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout)
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL to it and its children at once, as when a host or a container ends: gunicorn's would live on."""
        if self._process is not None and self.alive:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def exit_code(self) -> int | None:
        """Of the last run, None while it runs; below zero is the signal that ended it."""
        return None if self._process is None else self._process.poll()

    def _prepare(self) -> None:
        """Nothing: all settings are in the environment."""

    def _command(self) -> Command:
        """By a shell, as in production (the worker's name holds `$$`), which becomes the process itself."""
        programs = Path(sys.executable).parent
        environment = {
            "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",  # every stack in the log, should a library crash
        }
        return Command(["/bin/sh", "-c", f"exec {procfile()[self.line]}"], environment | self.environment)


class Web(OwnProcess):
    """The API."""

    line: ClassVar[str] = "web"

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        ports = Ports.of(directory, ["http"])
        self.address = f"127.0.0.1:{ports['http']}"
        super().__init__("web", directory, {**environment, "CDC_HTTP_ADDRESS": self.address}, ports)

    def _answers(self) -> bool:
        return http_get(self._ports["http"], "/readyz")[0] == 200


class Worker(OwnProcess):
    """One worker process."""

    line: ClassVar[str] = "worker"
    stop_grace: ClassVar[float] = 30.0  # it settles, checkpoints and releases; a SIGKILL would cost a take-over

    def __init__(self, name: str, directory: Path, environment: Mapping[str, str]) -> None:
        super().__init__(name, directory, environment, Ports({}, []))
        self._state = connect(environment["CDC_REDIS_URL"])

    @property
    def id(self) -> str | None:
        """Of the present incarnation, as in `cdc:worker:<id>`; None until it has said that it is alive."""
        pid = str(self.pid)
        found = (state.id for state in Workers(self._state, Keys()).alive() if state.fields.get("pid") == pid)
        return next(found, None)

    def _answers(self) -> bool:
        try:
            return self.id is not None
        except redis.RedisError:
            return False


class Flower(OwnProcess):
    """Celery's own web interface."""

    line: ClassVar[str] = "flower"

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        ports = Ports.of(directory, ["http"])
        super().__init__("flower", directory, {**environment, "FLOWER_PORT": str(ports["http"])}, ports)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports['http']}"

    def _answers(self) -> bool:
        return http_get(self._ports["http"], "/healthcheck")[0] == 200
