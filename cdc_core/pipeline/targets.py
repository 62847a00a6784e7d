"""The targets of one process."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from cdc_core.errors import CdcError
from cdc_core.model.connect import Connect, MilvusConnect
from cdc_core.pipeline.target import Target
from cdc_core.pipeline.transport import Transport
from cdc_core.sink.base import TargetCatalog
from cdc_core.sink.milvus_tls import ages

CHECK_SECONDS = 5.0
"""How long a target may take to say whether it lets us in, beside the time of connecting."""

log = structlog.get_logger(__name__)

_Way = tuple[Connect, tuple[int, ...]]
"""How a target is reached: credentials, TLS files, and when those were last changed."""


class Targets:
    """One connection to each target, shared by all tasks with it. Thread-safe."""

    def __init__(
        self,
        open_target: Callable[[Connect], tuple[Transport, TargetCatalog]],
        new: Callable[[str, Transport, TargetCatalog], Target],
    ) -> None:
        self._open = open_target
        self._new = new
        self._lock = threading.Lock()
        self._changing = threading.Lock()
        self._targets: dict[str, Target] = {}
        self._ways: dict[str, _Way] = {}

    def all(self) -> list[Target]:
        with self._lock:
            return list(self._targets.values())

    def find(self, identity: str) -> Target | None:
        return self._targets.get(identity)

    def known(self, connect: Connect) -> Target:
        """As it is reached now; does not block. :raises TaskStopped: its TLS files cannot be read."""
        with self._lock:
            target = self._targets.get(connect.identity)
            if target is None:
                target = self._new(connect.identity, *self._open(connect))
                self._targets[connect.identity] = target
                self._ways[connect.identity] = _way(connect)
            return target

    def reach(self, connect: Connect) -> Target:
        """The same for who brings a way of its own: where the present one does not lead there any more (another
        task's wrong password, a certificate that was renewed), and this one does, it takes its place. May block some
        seconds.

        :raises TargetUnavailable, TaskStopped: neither leads there; the words are this one's.
        """
        target = self.known(connect)
        if self._ways[connect.identity] != _way(connect):
            with self._changing:
                if self._ways[connect.identity] != _way(connect) and not _leads(target.transport):
                    self._change(target, connect)
        return target

    def close(self) -> None:
        for target in self.all():
            target.close()

    def _change(self, target: Target, connect: Connect) -> None:
        way = _way(connect)
        transport, catalog = self._open(connect)
        try:
            transport.check(CHECK_SECONDS)
        except BaseException:
            transport.close()
            catalog.close()
            raise
        log.info("target_reached_anew", target=target.identity)
        target.reconnect(transport, catalog)
        self._ways[connect.identity] = way


def _way(connect: Connect) -> _Way:
    return connect, ages(connect.dial_config) if isinstance(connect, MilvusConnect) else ()


def _leads(transport: Transport) -> bool:
    try:
        transport.check(CHECK_SECONDS)
    except CdcError:
        return False
    return True
