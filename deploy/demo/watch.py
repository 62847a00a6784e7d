"""How far the standby is, sampled beside the work."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pymilvus.exceptions import MilvusException

from deploy.local.compare import Side
from deploy.local.errors import LocalServerError
from deploy.local.system import Api

_PERIOD = 0.5  # seconds; each sample costs a count of every collection on both sides


@dataclass(frozen=True, slots=True)
class Sample:
    """One look; a collection that is not there or not loaded has None, `lag` is in seconds."""

    rows: dict[str, tuple[int | None, int | None]]
    lag: float | None

    @property
    def source(self) -> int:
        return sum(pair[0] or 0 for pair in self.rows.values())

    @property
    def target(self) -> int:
        return sum(pair[1] or 0 for pair in self.rows.values())


class Watch:
    """A thread that samples and shows; a context manager. Never disturbs the work: what cannot be asked is None."""

    def __init__(
        self, source: Side, target: Side, collections: Sequence[str], api: Api, show: Callable[[Sample], None]
    ) -> None:
        self._sides = (source, target)
        self._collections = collections
        self._api = api
        self._show = show
        self._stop = threading.Event()
        self._awake = threading.Event()
        self._awake.set()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Ask nothing meanwhile: what is measured is not to be disturbed."""
        self._awake.clear()
        try:
            yield
        finally:
            self._awake.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._awake.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        while not self._stop.wait(_PERIOD):
            self._awake.wait()
            if not self._stop.is_set():
                self._show(self._sample())

    def _sample(self) -> Sample:
        source, target = self._sides
        rows = {name: (_count(source, name), _count(target, name)) for name in self._collections}
        return Sample(rows, _lag(self._api))


def _count(side: Side, collection: str) -> int | None:
    with contextlib.suppress(MilvusException):
        return side.count(collection)
    return None


def _lag(api: Api) -> float | None:
    """Of the vchannel that is furthest behind: everything older than this is on the standby, and recorded as done."""
    with contextlib.suppress(LocalServerError, OSError):
        times = [position["time"] for position in api.position()["positions"]]
        return max(0.0, time.time() - min(times) / 1000) if times else None
    return None
