"""Something changed, look now: best effort, over Redis pub/sub. Whoever misses it looks by itself a little later."""

from __future__ import annotations

import threading
from collections.abc import Callable

import redis
import structlog

log = structlog.get_logger(__name__)


Listener = Callable[[str], None]


class WakeBus:
    """One listening thread per process. Who listens for one message gets no other, so hundreds of them cost nothing;
    all others get every message (`reconcile`, `gate <key>`, ...).
    """

    def __init__(self, client: redis.Redis, channel: str) -> None:
        self._client = client
        self._channel = channel
        self._lock = threading.Lock()
        self._listeners: dict[str, tuple[Listener, ...]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wake", daemon=True)

    def listen(self, listener: Listener, message: str = "") -> Callable[[], None]:
        """Call it with each such message, '' is any, in the bus' thread, so it must be quick; the answer ends that."""
        with self._lock:
            self._listeners[message] = (*self._listeners.get(message, ()), listener)
        return lambda: self._forget(listener, message)

    def _forget(self, listener: Listener, message: str) -> None:
        with self._lock:
            left = tuple(each for each in self._listeners[message] if each is not listener)
            if left:
                self._listeners[message] = left
            else:
                del self._listeners[message]

    def start(self) -> None:
        self._thread.start()

    def publish(self, message: str) -> None:
        """Best effort: a Redis that does not answer is no error here."""
        try:
            self._client.publish(self._channel, message)
        except redis.RedisError as error:
            log.debug("wake_not_sent", error=str(error))

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except redis.RedisError as error:
                log.warning("wake_bus_lost", error=str(error))
                self._stop.wait(1.0)

    def _follow(self) -> None:
        with self._client.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
            pubsub.subscribe(self._channel)
            while not self._stop.is_set():
                message = pubsub.get_message(timeout=1.0)
                if message:
                    self._tell(message["data"])

    def _tell(self, text: str) -> None:
        for listener in (*self._listeners.get("", ()), *self._listeners.get(text, ())):
            try:
                listener(text)
            except Exception:
                log.exception("wake_listener_failed", message=text)
