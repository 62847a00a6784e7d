"""Waiting for what another process does: until it says so, or a little later anyway."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cdc_core.coordination.wake import WakeBus


class Waiter:
    """Wakes on that message of the bus, and when `wake` is called."""

    def __init__(self, bus: WakeBus, message: str) -> None:
        self._event = threading.Event()
        self._end: Callable[[], None] = bus.listen(lambda _message: self._event.set(), message)

    def wake(self) -> None:
        self._event.set()

    def wait(self, timeout: float) -> None:
        """Until something was said since the last `wait`, `timeout` seconds at most."""
        self._event.wait(timeout)
        self._event.clear()

    def close(self) -> None:
        self._end()
