"""Who wants to be woken."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Subscribers:
    """Callbacks; one that fails hurts nobody but itself. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callable[[], None]] = {}

    def add(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Answers how to remove it again."""
        key = object()
        with self._lock:
            self._callbacks[key] = callback
        return lambda: self._remove(key)

    def wake(self) -> None:
        """Call each once, in this thread."""
        with self._lock:
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            try:
                callback()
            except Exception:
                logger.exception("a subscriber failed")

    def _remove(self, key: object) -> None:
        with self._lock:
            self._callbacks.pop(key, None)
