"""The source's metadata, followed in its etcd."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from cdc_core.errors import SourceUnavailable
from cdc_core.model.catalog import Catalog, Serving
from cdc_core.source.catalog_records import CatalogRecords
from cdc_core.source.etcd import Compacted, EtcdClient, EtcdSecurity, Keys, Watch
from cdc_core.source.serving_records import INDEXES, LOADS, serving_of
from cdc_core.source.subscribers import Subscribers

logger = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.5
"""After a lost watch; one read of everything each time, so not too often."""
_ONE_BY_ONE = 20
"""So many ranges cost less than the records of some thousand collections."""
_DELETE = 1  # mvccpb.Event.DELETE


class SourceCatalog:
    """A live view: everything at one revision, then every change since.

    One thread reads and watches, as long as the object is open. While etcd is away the view stays as it was;
    afterwards everything is read again, so that nothing is missed, compaction or not.
    """

    def __init__(self, endpoints: str, root: str, meta_subpath: str, security: EtcdSecurity | None = None) -> None:
        """Does not wait for etcd. :raises ValueError: no endpoint."""
        self._meta = "/".join([*filter(None, (root.strip("/"), meta_subpath.strip("/"))), ""]).encode()
        self._prefix = self._meta + b"root-coord/"
        self._client = EtcdClient(endpoints, security or EtcdSecurity())
        self._lock = threading.Lock()
        self._records = CatalogRecords()
        self._revision = 0
        self._catalog: Catalog | None = None
        self._subscribers = Subscribers()
        self._watch: Watch | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="source-catalog", daemon=True)
        self._thread.start()

    def current(self) -> Catalog:
        with self._lock:
            if not self._revision:
                raise SourceUnavailable("the source's catalog has not been read yet")
            if self._catalog is None:
                self._catalog = self._records.catalog(self._revision)
            return self._catalog

    def refresh(self) -> Catalog:
        with self._lock:
            since = self._revision
        changed = self._client.read(self._prefix, newer_than=since) if since else None
        if changed is None or not self._merge(changed, since):
            self._load()
        return self.current()

    def serving(self, collections: Collection[int]) -> Mapping[int, Serving]:
        known = self.refresh().collections
        wanted = {number: known[number] for number in collections if number in known}
        return serving_of(self._values(INDEXES, wanted), self._values(LOADS, wanted), wanted)

    def _values(self, below: bytes, collections: Collection[int]) -> list[bytes]:
        """Of the records of a few collections one by one, else of all."""
        few = len(collections) <= _ONE_BY_ONE
        prefixes = [self._meta + below + b"%d" % number for number in collections] if few else [self._meta + below]
        return [value for prefix in prefixes for _, value in self._client.read(prefix).entries]

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        return self._subscribers.add(callback)

    def close(self) -> None:
        """Idempotent; its thread is gone afterwards."""
        self._closing.set()
        with self._lock:
            watch = self._watch
        if watch:
            watch.cancel()
        self._client.close()
        self._thread.join()

    def _follow(self) -> None:
        """The thread: read all, watch until that ends, again."""
        while not self._closing.is_set():
            try:
                self._watch_from(self._load())
            except Compacted:
                logger.info("etcd has compacted the revision to watch from; reading again")
            except SourceUnavailable as error:
                if not self._closing.is_set():
                    logger.warning("%s; the catalog stays at revision %d", error, self._revision)
            except Exception:
                logger.exception("the source's catalog cannot be followed; trying again")
            self._closing.wait(_AGAIN_SECONDS)

    def _load(self) -> int:
        """Read all of it; answers the revision."""
        with self._lock:
            before = self._revision
        keys = self._client.read(self._prefix)
        with self._lock:
            # A read that began later is newer, unless etcd itself went back (restored from a backup).
            if self._revision > before and keys.revision <= self._revision:
                return self._revision
            if keys.revision < before:
                logger.warning("etcd went back from revision %d to %d: it was restored", before, keys.revision)
            if keys.revision == before:
                return before
            self._records = CatalogRecords()
            for key, value in keys.entries:
                self._records.put(self._below(key), value)
            self._moved(keys.revision)
        self._subscribers.wake()
        return keys.revision

    def _watch_from(self, revision: int) -> None:
        watch = self._client.watch(self._prefix, revision + 1)
        with self._lock:
            self._watch = watch
        if self._closing.is_set():
            watch.cancel()
        for events in watch:
            self._apply(events)

    def _apply(self, events: Any) -> None:
        """All events of one answer: whole revisions."""
        with self._lock:
            new = [event for event in events if event.kv.mod_revision > self._revision]
            for event in new:
                if event.type == _DELETE:
                    self._records.delete(self._below(event.kv.key))
                else:
                    self._records.put(self._below(event.kv.key), event.kv.value)
            if new:
                self._moved(new[-1].kv.mod_revision)
        if new:
            self._subscribers.wake()

    def _merge(self, changed: Keys, since: int) -> bool:
        """Bring the view to the revision of `changed`: what was put since `since`, if nothing was deleted.

        Deletions do not show in such a read, but in the number of all keys: when the view, with the changed keys,
        has as many as etcd, then it has the same.
        """
        with self._lock:
            if changed.revision < since:
                return False
            if changed.revision <= self._revision:
                return True
            if (
                len(self._records) + self._records.would_add(self._below(key) for key, _ in changed.entries)
                != changed.total
            ):
                return False
            for key, value in changed.entries:
                self._records.put(self._below(key), value)
            self._moved(changed.revision)
        if changed.entries:
            self._subscribers.wake()
        return True

    def _moved(self, revision: int) -> None:
        """Holding the lock."""
        self._revision = revision
        self._catalog = None

    def _below(self, key: bytes) -> bytes:
        return key[len(self._prefix) :]
