"""A connection to etcd that outlives its servers.

pyetcd keeps a failed endpoint out for minutes and its watches die quietly, so here a client is a throw-away:
one endpoint, one channel; after any failure the next call makes a new one, at the next endpoint.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pyetcd
from pyetcd import etcdrpc

from cdc_core.errors import SourceUnavailable

_ANSWER_SECONDS = 5.0
_PAGE_KEYS = 2000
_ALIVE_SECONDS = 10
"""Between keep-alive pings; etcd refuses clients that ping more often than every 5 s."""
_CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", _ALIVE_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", 5000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", -1),
    # Without this all channels of the process share a connection, and its back-off of up to two minutes.
    ("grpc.use_local_subchannel_pool", 1),
]


_Answer = TypeVar("_Answer")


class Compacted(Exception):
    """etcd no longer has the revision that was asked for: read again."""


@dataclass(frozen=True, slots=True)
class EtcdSecurity:
    """Who we are: user and password, and the paths of PEM files. With `ca_cert` the connection is TLS."""

    user: str | None = None
    password: str | None = None
    ca_cert: str | None = None
    cert_key: str | None = None
    cert_cert: str | None = None

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """:raises OSError: a file cannot be read."""
        files = (self.ca_cert, self.cert_key, self.cert_cert)
        return grpc.ssl_channel_credentials(*(Path(file).read_bytes() if file else None for file in files))


@dataclass(frozen=True, slots=True)
class Keys:
    """What a range held at `revision`; `total` counts all its keys, also those that were not asked for."""

    revision: int
    entries: list[tuple[bytes, bytes]]
    total: int


class Watch:
    """Every change of a range since a revision. Iterate in one thread, `cancel` from any."""

    def __init__(self, call: Any, let_go: Callable[[], None]) -> None:
        self._call = call
        self._let_go = let_go

    def __iter__(self) -> Iterator[Any]:
        """Lists of `mvccpb.Event`, each with all events of its revisions.

        :raises Compacted: the start revision is gone.
        :raises SourceUnavailable: the watch ended, whatever the reason.
        """
        try:
            for response in self._call:
                if response.compact_revision:
                    raise Compacted
                if response.canceled:
                    break
                if response.events:
                    yield response.events
        except grpc.RpcError as error:
            self._let_go()
            raise SourceUnavailable(f"the watch on etcd was lost: {error.code().name}") from error
        self._let_go()
        raise SourceUnavailable("etcd ended the watch")

    def cancel(self) -> None:
        self._call.cancel()


class EtcdClient:
    """`endpoints` as `host:port[,host:port]`, each perhaps with `http://` or `https://`. Thread-safe."""

    def __init__(self, endpoints: str, security: EtcdSecurity) -> None:
        """:raises ValueError: no endpoint."""
        self._endpoints = [endpoint.strip() for endpoint in endpoints.split(",") if endpoint.strip()]
        if not self._endpoints:
            raise ValueError("no etcd endpoint: expected host:port[,host:port]")
        self._security = security
        self._lock = threading.Lock()
        self._client: pyetcd.MultiEndpointEtcd3Client | None = None
        self._closed = False

    def read(self, prefix: bytes, newer_than: int = 0) -> Keys:
        """All keys under `prefix` at one revision, or only those changed after `newer_than`; linearizable.

        :raises SourceUnavailable: no endpoint answers.
        """
        return self._try_each(lambda client: _read(client, prefix, newer_than))

    def watch(self, prefix: bytes, revision: int) -> Watch:
        """Every change under `prefix` from that revision on. :raises SourceUnavailable:"""
        create = etcdrpc.WatchCreateRequest(key=prefix, range_end=_end_of(prefix), start_revision=revision)
        request = etcdrpc.WatchRequest(create_request=create)
        return self._try_each(lambda client: Watch(_stream(client, request), lambda: self._drop_if(client)))

    def close(self) -> None:
        """Ends what is under way with SourceUnavailable."""
        with self._lock:
            self._closed = True
            self._drop()

    def _try_each(self, ask: Callable[[Any], _Answer]) -> _Answer:
        """Ask one endpoint after the other, once more the first: its connection or its token may just have aged."""
        trouble: BaseException | None = None
        for _ in range(len(self._endpoints) + 1):
            client = None
            try:
                client = self._connected()
                return ask(client)
            except (grpc.RpcError, pyetcd.Etcd3Exception, ValueError, OSError) as error:
                trouble = error
                self._drop_if(client)
        raise SourceUnavailable(f"etcd at {','.join(self._endpoints)} does not answer: {_text(trouble)}") from trouble

    def _connected(self) -> Any:
        with self._lock:
            if self._closed:
                raise ValueError("closed")
            if self._client is None:
                self._client = self._connect(self._endpoints[0])
            return self._client

    def _connect(self, endpoint: str) -> Any:
        scheme, _, address = endpoint.rpartition("://")
        host, _, port = address.rstrip("/").rpartition(":")
        secure = scheme == "https" or self._security.ca_cert is not None
        credentials = self._security.channel_credentials() if secure else None
        one = pyetcd.Endpoint(host, int(port), secure, credentials, opts=_CHANNEL_OPTIONS)
        try:
            return pyetcd.MultiEndpointEtcd3Client([one], _ANSWER_SECONDS, self._security.user, self._security.password)
        except BaseException:
            one.close()
            raise

    def _drop_if(self, client: Any) -> None:
        """Let go of it, unless another thread has done so already; the next call takes the next endpoint."""
        with self._lock:
            if client is self._client:
                self._drop()

    def _drop(self) -> None:
        """Holding the lock. The endpoint goes to the end of the list."""
        self._endpoints.append(self._endpoints.pop(0))
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()


def _read(client: Any, prefix: bytes, newer_than: int) -> Keys:
    """In pages, all of the first one's revision."""
    end, revision, start, total = _end_of(prefix), 0, prefix, 0
    entries: list[tuple[bytes, bytes]] = []
    newer = newer_than + 1 if newer_than else None
    while True:
        page = client.get_response(
            start, range_end=end, limit=_PAGE_KEYS, revision=revision or None, min_mod_revision=newer
        )
        if not revision:
            revision, total = page.header.revision, page.count
        entries += ((pair.key, pair.value) for pair in page.kvs)
        if not page.more or not page.kvs:
            return Keys(revision, entries, total)
        start = page.kvs[-1].key + b"\0"


def _stream(client: Any, request: Any) -> Any:
    """The requests end after the first; the answers do not."""
    stub = etcdrpc.WatchStub(client.channel)
    return stub.Watch(iter([request]), credentials=client.call_credentials, metadata=client.metadata)


def _end_of(prefix: bytes) -> bytes:
    """The first key behind all that begin with it; it never ends with 0xff here."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _text(error: BaseException | None) -> str:
    """Of gRPC's error, which pyetcd wraps in one that says less."""
    for cause in (error, error.__context__ if error else None):
        if isinstance(cause, grpc.Call):
            return f"{cause.code().name}: {cause.details()}"
    return f"{type(error).__name__} {error}".strip()
