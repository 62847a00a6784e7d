"""What of the state may only grow, watched while something is broken."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self, cast

import redis

from cdc_core.coordination.channels import ChannelStore
from cdc_core.names import Keys

_SECONDS = 0.1
"""Between two looks."""


class Ratchet:
    """Looks at all checkpoints and all ticks of the gates again and again (I5); a context manager, which fails when one
    of them went back, or when it has seen none.
    """

    def __init__(self, state: redis.Redis) -> None:
        self._state = state
        self._keys = Keys()
        self._channels = ChannelStore(state, self._keys)
        self._seen: dict[str, str] = {}
        self._back: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ratchet", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        assert not self._back, self._back
        assert error or self._seen

    def _run(self) -> None:
        while not self._stop.wait(_SECONDS):
            try:
                found = dict(self._look())
            except redis.RedisError:
                continue  # it is what is broken
            self._back += [
                f"{name} went back from {self._seen[name]} to {value or 'nothing'}"
                for name, value in found.items()
                if value < self._seen.get(name, "")
            ]
            self._seen |= found

    def _look(self) -> Iterator[tuple[str, str]]:
        for task in cast("set[str]", self._state.smembers(self._keys.tasks)):
            for each in self._channels.of_task(task):
                yield f"resolved of {each.key.member}", each.fields.get("resolved", "")
        for gate in self._state.scan_iter(match=self._keys.gate("*", "*"), count=1000):
            yield f"tick of {gate}", cast("str | None", self._state.hget(gate, "tick")) or ""
