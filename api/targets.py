"""Targets, looked at before a task is made."""

from __future__ import annotations

import threading
from dataclasses import replace

from cdc_core.model.connect import MilvusConnect
from cdc_core.preflight.target_look import ANSWER_SECONDS, OpenTarget
from cdc_core.sink.milvus_catalog import MilvusCatalog
from cdc_core.sink.milvus_client import MilvusChannel
from cdc_core.sink.milvus_replicate import MilvusReplicate
from cdc_core.sink.milvus_tls import ages
from cdc_core.sink.milvus_version import server_version

_OPEN = 32
"""Connections kept, so that a client that makes up addresses does not fill the process."""


class LiveTargets:
    """Targets by their connection parameters. Thread-safe.

    One that was opened stays open, as the source's catalog does and for the same reason; the oldest goes when there
    are too many.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[MilvusConnect, tuple[int, ...]], OpenTarget] = {}

    def open(self, connect: MilvusConnect) -> OpenTarget:
        """Does not block. :raises TaskStopped: a TLS file cannot be read on this host."""
        key = (connect, ages(connect.dial_config))
        with self._lock:
            found = self._open.pop(key, None) or _open(connect)
            self._open[key] = found
            if len(self._open) > _OPEN:
                oldest = next(iter(self._open))
                self._open.pop(oldest).sink.close()
            return found


def _open(connect: MilvusConnect) -> OpenTarget:
    channel = MilvusChannel(replace(connect, connect_timeout=int(ANSWER_SECONDS)), ANSWER_SECONDS)
    return OpenTarget(MilvusReplicate(channel), MilvusCatalog(channel), lambda: server_version(channel, ANSWER_SECONDS))
