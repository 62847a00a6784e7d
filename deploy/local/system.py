"""The project's own processes on this machine: web, workers and perhaps Flower."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.api_client import Api, Refused
from deploy.local.own_process import ROOT, Flower, OwnProcess, Web, Worker, procfile


class System:
    """Web, workers and perhaps Flower against the servers of `environment`; a context manager.

    with Stack(Path("servers")) as stack, System(Path("ours"), stack.environment()) as system:
        task = system.api.create(milvus_connect_param={"uri": stack.target.uri}, collection_infos=[{"name": "*"}])
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        workers: int = 2,
        slots: int = 100,
        *,
        flower: bool = False,
    ) -> None:
        """Starts nothing yet; `environment` as `Stack.environment` makes it, more settings may be added."""
        self.directory = directory.absolute()
        self.environment = {**environment, "CDC_WORKER_SLOTS": str(slots)}
        self.web = Web(self.directory / "web", self.environment)
        self.flower = Flower(self.directory / "flower", self.environment) if flower else None
        self.workers: list[Worker] = []
        for _ in range(workers):
            self._another_worker()
        self.api = Api(self.web.address)

    @property
    def processes(self) -> list[OwnProcess]:
        return [self.web, *self.workers, *([self.flower] if self.flower else [])]

    def start(self) -> Self:
        """Start what is not running, all at once, and wait until all are ready; raises StartFailed."""
        with ThreadPoolExecutor(max_workers=len(self.processes)) as threads:
            list(threads.map(lambda process: process.start().wait_ready(), self.processes))
        return self

    def add_worker(self) -> Worker:
        """One more, started and ready."""
        return self._another_worker().start().wait_ready()

    def stop(self) -> None:
        """SIGTERM to all at once, and wait."""
        with ThreadPoolExecutor(max_workers=len(self.processes)) as threads:
            list(threads.map(lambda process: process.stop(), self.processes))

    def kill(self) -> None:
        """SIGKILL to all."""
        for process in self.processes:
            process.kill()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.kill()
            self._release_ports()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._release_ports()

    def _another_worker(self) -> Worker:
        name = f"worker-{len(self.workers)}"
        worker = Worker(name, self.directory / name, self.environment)
        self.workers.append(worker)
        return worker

    def _release_ports(self) -> None:
        for process in self.processes:
            process.release_ports()


__all__ = ["ROOT", "Api", "Flower", "OwnProcess", "Refused", "System", "Web", "Worker", "procfile"]
