"""Waiting for what another process does: until it says so, or a little later anyway."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cdc_core.coordination.wake import WakeBus


class Waiter:
    """Wakes on messages of the bus that begin with one of `words`, and when `wake` is called."""

    def __init__(self, bus: WakeBus, *words: str) -> None:
        self._event = threading.Event()
        self._words = words
        self._end: Callable[[], None] = bus.listen(self._heard)

    def _heard(self, message: str) -> None:
        if message.startswith(self._words):
            self._event.set()

    def wake(self) -> None:
        self._event.set()

    def wait(self, timeout: float) -> None:
        """Until something was said since the last `wait`, `timeout` seconds at most."""
        self._event.wait(timeout)
        self._event.clear()

    def close(self) -> None:
        self._end()
