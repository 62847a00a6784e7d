"""A Milvus Lite in a file (a directory, in fact), served inside this process. Source: milvus-lite 3.2.

`milvus-lite` is optional. Its server is started here rather than by its `server_manager`, which only says that it did
not work, not that another process has the file.
"""

from __future__ import annotations

import importlib
import threading
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import structlog

from cdc_core.errors import TargetUnavailable, TaskStopped
from cdc_core.model.connect import MilvusConnect
from cdc_core.sink.milvus_client import CALL_TIMEOUT, MilvusChannel

_GRACE_SECONDS = 2.0
"""For calls under way when it ends."""
_PACKAGE = "milvus_lite"

log = structlog.get_logger(__name__)


class LiteChannel(MilvusChannel):
    """Calls to a Milvus Lite; its server is started with the first one, which takes a second or, with many rows,
    several, and is ended by `close`. Thread-safe.

    Every call raises `TargetUnavailable` as long as another process has the file.
    """

    def __init__(self, connect: MilvusConnect, call_timeout: float = CALL_TIMEOUT) -> None:
        """Does not block. :raises TaskStopped: milvus-lite is not installed."""
        if find_spec(_PACKAGE) is None:
            raise TaskStopped("the target is a Milvus Lite file, and milvus-lite is missing: pip install milvus-lite")
        self.address = connect.address
        self._connect = connect
        self._call_timeout = call_timeout
        self._lock = threading.Lock()
        self._served: _Served | None = None
        self._inner: MilvusChannel | None = None
        self._is_closed = False

    def wait_ready(self) -> None:
        self._opened().wait_ready()

    def call(self, method: str, request: Any, timeout: float | None = None) -> Any:
        return self._opened().call(method, request, timeout)

    def start(self, method: str, request: Any, timeout: float) -> grpc.Future:
        return self._opened().start(method, request, timeout)

    def answer(self, method: str, started: grpc.Future) -> Any:
        return self._opened().answer(method, started)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            inner, self._inner, served, self._served = self._inner, None, self._served, None
        if inner:
            inner.close()
        if served:
            served.close()

    def _opened(self) -> MilvusChannel:
        with self._lock:
            if self._is_closed:
                raise TargetUnavailable(f"{self.address} is closed")
            if self._inner is None:
                self._served = _Served(Path(self.address))
                uri = f"http://127.0.0.1:{self._served.port}"
                self._inner = MilvusChannel(replace(self._connect, uri=uri), self._call_timeout)
                log.info("milvus_lite_serves", file=self.address, uri=uri)
            return self._inner


class _Served:
    """A running server of one file."""

    def __init__(self, path: Path) -> None:
        """:raises TargetUnavailable: another process has the file, or it cannot be opened now."""
        server = importlib.import_module(f"{_PACKAGE}.adapter.grpc.server")
        errors = importlib.import_module(f"{_PACKAGE}.exceptions")
        try:
            self._server, self._database, self.port = server.start_server_in_thread(str(path.absolute()), "127.0.0.1")
        except errors.DataDirLockedError as error:
            raise TargetUnavailable(
                f"{path} is open in another process: only one worker process may open a Milvus Lite file, run one"
            ) from error
        except Exception as error:  # of its storage: whatever it says is shown
            raise TargetUnavailable(f"{path} cannot be opened on this host: {error}") from error

    def close(self) -> None:
        self._server.stop(grace=_GRACE_SECONDS).wait()
        self._database.close()
