"""The source, asked at each `create`."""

from __future__ import annotations

import threading
from contextlib import closing

from cdc_core.model.catalog import Catalog
from cdc_core.model.task import Beginning
from cdc_core.settings import Settings
from cdc_core.source.base import LiveCatalog, Queue
from cdc_core.source.beginning import begin_here
from cdc_core.source.opening import open_source_catalog, open_source_queue


class LiveSource:
    """The source that the settings name. Thread-safe.

    Its catalog is followed from the first create on, as long as the process lives: a gRPC channel that was opened and
    closed for each create has once ended the process with it (SIGSEGV in grpcio 1.85.1).
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._catalog: LiveCatalog | None = None

    def beginning(self) -> Beginning:
        """:raises SourceUnavailable:"""
        existing = self.refresh()
        with closing(self.queue()) as queue:
            return begin_here(existing, queue, self._settings.source_channel_prefix)

    def refresh(self) -> Catalog:
        """What exists, as new as this call. :raises SourceUnavailable:"""
        return self._followed().refresh()

    def queue(self) -> Queue:
        """Another connection to its queue, the caller's to close. :raises SourceUnavailable:"""
        return open_source_queue(self._settings)

    def _followed(self) -> LiveCatalog:
        with self._lock:
            self._catalog = self._catalog or open_source_catalog(self._settings)
            return self._catalog
