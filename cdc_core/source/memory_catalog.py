"""A source's catalog in memory: the twin for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from collections.abc import Collection as Ids

from cdc_core.errors import SourceUnavailable
from cdc_core.model.catalog import DEFAULT_DATABASE, Catalog, Collection, Database, Serving
from cdc_core.source.subscribers import Subscribers


class MemoryCatalog:
    """Objects are put and removed by hand; every change is a revision."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._catalog = Catalog(0, {1: Database(1, DEFAULT_DATABASE, {})}, {})
        self._serving: dict[int, Serving] = {}
        self._subscribers = Subscribers()
        self._available = True

    def put_collection(self, collection: Collection) -> None:
        """New, or in place of the one with that id."""
        with self._lock:
            self._replace(collections={**self._catalog.collections, collection.id: collection})
        self._subscribers.wake()

    def remove_collection(self, collection_id: int) -> None:
        """Unknown is fine."""
        with self._lock:
            left = {id_: one for id_, one in self._catalog.collections.items() if id_ != collection_id}
            self._replace(collections=left)
        self._subscribers.wake()

    def put_database(self, database: Database) -> None:
        """New, or in place of the one with that id."""
        with self._lock:
            self._replace(databases={**self._catalog.databases, database.id: database})
        self._subscribers.wake()

    def remove_database(self, database_id: int) -> None:
        """Unknown is fine."""
        with self._lock:
            self._replace(databases={id_: one for id_, one in self._catalog.databases.items() if id_ != database_id})
        self._subscribers.wake()

    def put_serving(self, collection_id: int, serving: Serving) -> None:
        """In place of what served it."""
        self._serving[collection_id] = serving

    def set_available(self, available: bool) -> None:
        """While not, `refresh` raises SourceUnavailable."""
        self._available = available

    def current(self) -> Catalog:
        return self._catalog

    def refresh(self) -> Catalog:
        if not self._available:
            raise SourceUnavailable("the catalog in memory was told to be unavailable")
        return self._catalog

    def serving(self, collections: Ids[int]) -> Mapping[int, Serving]:
        self.refresh()
        return {number: found for number, found in self._serving.items() if number in collections}

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        return self._subscribers.add(callback)

    def close(self) -> None:
        """Nothing to let go of."""

    def _replace(
        self, databases: dict[int, Database] | None = None, collections: dict[int, Collection] | None = None
    ) -> None:
        old = self._catalog
        self._catalog = Catalog(
            old.revision + 1,
            old.databases if databases is None else databases,
            old.collections if collections is None else collections,
        )
