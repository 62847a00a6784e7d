"""RocksMQ's database, opened beside the running server.

A RocksDB secondary instance replays what the primary writes to its log; it never writes to the database. Keys are
`<topic>/<id in decimal>`. (github.com/milvus-io/milvus, internal/mq/mqimpl/rocksmq.)
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from rocksdict import AccessType, BlockBasedOptions, Cache, Options, Rdict, RdictIter

from cdc_core.errors import SourceUnavailable

logger = logging.getLogger(__name__)

_CACHE_BYTES = 64 << 20
"""Only taken as far as it is used: some 25 MB for 16 topics of large messages in 3 tables."""
_BLOCK_BYTES = 64 << 10
"""A guess at the mean block, as the cache wants to know."""


class Secondary:
    """A view of one RocksDB directory as of the last `catch_up`. Thread-safe.

    It opens when first needed, and anew after any error: the database may not exist yet, be replaced, or change
    under our hands for a moment (compaction, a new log file).
    """

    def __init__(self, directory: Path, column_families: tuple[str, ...]) -> None:
        self._directory = directory
        self._column_families = column_families
        self._lock = threading.RLock()
        self._scratch: str | None = None
        self._database: Rdict | None = None
        self._identity: object = None

    @contextlib.contextmanager
    def caught_up(self) -> Iterator[Rdict]:
        """The database, as new as it can be; others wait meanwhile.

        :raises SourceUnavailable: it cannot be read now, also when the body fails to read it.
        """
        with self._lock:
            try:
                database = self._open()
                database.try_catch_up_with_primary()
                yield database
            except Exception as error:  # rocksdict raises bare Exception
                if isinstance(error, SourceUnavailable):
                    raise
                self._drop()
                raise SourceUnavailable(f"RocksMQ at {self._directory} cannot be read now: {error}") from error

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _open(self) -> Rdict:
        identity = self._identify()
        if self._database is not None and identity != self._identity:
            logger.warning("RocksMQ at %s was replaced; opening it anew", self._directory)
            self._drop()
        if self._database is None:
            self._identity = identity
            self._scratch = tempfile.mkdtemp(prefix="milvus-cdc-rocksmq-")
            options = _options()
            self._database = Rdict(
                str(self._directory),
                options=options,
                column_families=dict.fromkeys(self._column_families, options),
                access_type=AccessType.secondary(self._scratch),
            )
        return self._database

    def _identify(self) -> tuple[int, int]:
        """What differs when the directory was removed and made again."""
        try:
            status = (self._directory / "IDENTITY").stat()
        except OSError as error:
            raise SourceUnavailable(
                f"no RocksMQ database at {self._directory}: it appears when Milvus has started; "
                f"the path must be Milvus' rocksmq.path, on the same machine or volume ({error.strerror})"
            ) from error
        return status.st_ino, status.st_mtime_ns

    def _drop(self) -> None:
        if self._database is not None:
            with contextlib.suppress(Exception):
                self._database.close()
            self._database = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None


class Topic:
    """The messages of one topic, through one iterator: a fresh one for each look, an old one shows what is gone."""

    def __init__(self, name: str, iterator: RdictIter) -> None:
        self._prefix = f"{name}/".encode()
        self._iterator = iterator

    def seek(self, number: int = 0) -> int | None:
        """Stand on the first message at or after it; its id."""
        # Ids are compared as text by the database, which is right for the 18 digits that a TSO has until 2090.
        self._iterator.seek(self._prefix + (str(number).encode() if number else b""))
        return self._here()

    def seek_last(self) -> int | None:
        """Stand on the last message; its id."""
        self._iterator.seek_for_prev(self._prefix + b"\xff")
        return self._here()

    def next(self) -> int | None:
        """Step to the next message; its id."""
        self._iterator.next()
        return self._here()

    def payload(self) -> bytes:
        payload: bytes = self._iterator.value()
        return payload

    def _here(self) -> int | None:
        if not self._iterator.valid():
            self._iterator.status()  # raises when it is an error that ended it
            return None
        key: bytes = self._iterator.key()
        return int(key[len(self._prefix) :]) if key.startswith(self._prefix) else None


def _options() -> Options:
    options = Options(raw_mode=True)
    # Each catch-up opens the tables anew, by default with 15 new threads a column family: 2 ms instead of 0.03.
    options.set_max_file_opening_threads(1)
    # Each seek to the end of a topic touches a block of every table, and blocks are as large as messages: with the
    # small default cache a seek takes 1.3 ms instead of 0.005.
    tables = BlockBasedOptions()
    tables.set_block_cache(Cache.new_hyper_clock_cache(_CACHE_BYTES, _BLOCK_BYTES))
    options.set_block_based_table_factory(tables)
    return options
