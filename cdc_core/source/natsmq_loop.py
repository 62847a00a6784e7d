"""A thread that runs asyncio for callers that do not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")
_AGAIN_SECONDS = 0.1


class LoopThread:
    """One event loop in one thread, which runs while somebody holds it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    def hold(self) -> None:
        """Start it if nobody holds it yet."""
        with self._lock:
            self._holders += 1
            if self._thread is None:
                running = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(running,), name="natsmq", daemon=True)
                self._thread.start()
                running.wait()

    def let_go(self) -> None:
        """End it if nobody else holds it; waits for its end."""
        with self._lock:
            self._holders -= 1
            if self._thread and not self._holders:
                self.soon(self._stop.set)
                self._thread.join()
                self._thread = None

    def call(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Run it there and wait for its answer; what it raises is raised here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def soon(self, step: Callable[[], object]) -> None:
        """Have it done there; does not wait."""
        self._loop.call_soon_threadsafe(step)

    def _run(self, running: threading.Event) -> None:
        asyncio.run(self._until_stopped(running))

    async def _until_stopped(self, running: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        running.set()
        await self._stop.wait()


async def end(task: asyncio.Task[None]) -> None:
    """Cancel it and wait for its end. Until Python 3.12 `wait_for` may swallow a cancellation, so it is repeated."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_AGAIN_SECONDS)
