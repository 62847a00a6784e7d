"""Which topics a namespace holds, asked in Pulsar's binary protocol.

The official client has no such question, and whatever else it could ask about a missing topic makes that topic. One
connection a question: it is asked a few times at the beginning, and while a topic is missing or the cluster is away.
Frames and commands: https://pulsar.apache.org/docs/developing-binary-protocol/
"""

from __future__ import annotations

import socket
import ssl
import struct
from typing import Self

from cdc_core.codec import wire
from cdc_core.errors import SourceUnavailable, Undecodable
from cdc_core.source.pulsar_cluster import PulsarAuth, PulsarCluster
from cdc_core.source.pulsar_trouble import PulsarRefused, unavailable

# Commands; the number is also that of the field of `BaseCommand` with the command's content.
_CONNECT, _CONNECTED, _ERROR, _PING, _PONG, _GET_TOPICS, _TOPICS = 2, 3, 14, 18, 19, 32, 33

_PROTOCOL = 19  # of Pulsar 2.9; none of these commands has changed since
_FRAME_BYTES = 64 << 20
"""More is no answer of Pulsar."""


def topics_of(cluster: PulsarCluster, timeout: float) -> frozenset[str]:
    """The full names of all its persistent topics; may block some times `timeout` seconds.

    :raises SourceUnavailable: no host of the cluster answers, or it refuses.
    """
    problem: Exception | None = None
    for host, port in cluster.hosts:
        try:
            with _Link(cluster, host, port, timeout) as link:
                return link.topics(cluster.path)
        except (OSError, Undecodable, SourceUnavailable, PulsarRefused) as error:
            problem = error
    raise unavailable(cluster, problem) from problem


class _Link:
    """A connection to one broker or proxy; a context manager. Raises OSError, Undecodable."""

    def __init__(self, cluster: PulsarCluster, host: str, port: int, timeout: float) -> None:
        self._socket = socket.create_connection((host, port), timeout)
        try:
            if cluster.tls:
                self._socket = _trust(cluster).wrap_socket(self._socket, server_hostname=host)
            self._send(_CONNECT, _introduction(cluster.auth))
            self._await(_CONNECTED)
        except BaseException:
            self._socket.close()
            raise

    def topics(self, namespace: str) -> frozenset[str]:
        self._send(_GET_TOPICS, wire.number_field(1, 1) + wire.bytes_field(2, namespace.encode()))
        return frozenset(name.decode() for name in _texts(self._await(_TOPICS), 2))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _send(self, command: int, content: bytes) -> None:
        body = wire.number_field(1, command) + wire.bytes_field(command, content)
        self._socket.sendall(struct.pack(">II", len(body) + 4, len(body)) + body)

    def _await(self, wanted: int) -> bytes:
        """The content of that command. :raises PulsarRefused: an error came instead. :raises SourceUnavailable:"""
        while True:
            command, content = self._receive()
            if command == wanted:
                return content
            if command == _PING:
                self._send(_PONG, b"")
            elif command == _ERROR:
                raise PulsarRefused(_number(content, 2), b"; ".join(_texts(content, 3)).decode(errors="replace"))
            else:
                raise SourceUnavailable(f"it wants something that is not known here (command {command})")

    def _receive(self) -> tuple[int, bytes]:
        total, size = struct.unpack(">II", self._exactly(8))
        if not size + 4 <= total <= _FRAME_BYTES:
            raise Undecodable(f"this is not Pulsar: a frame of {total} bytes with a command of {size}")
        body = self._exactly(total - 4)[:size]
        command = _number(body, 1)
        return command, b"".join(_texts(body, command))

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            part = self._socket.recv(min(size - len(found), 1 << 16))
            if not part:
                raise ConnectionAbortedError("the connection was closed")
            found += part
        return bytes(found)


def _introduction(auth: PulsarAuth) -> bytes:
    content = wire.bytes_field(1, b"milvus-cdc") + wire.number_field(4, _PROTOCOL)
    if auth.kind:
        content += wire.bytes_field(5, auth.kind.encode()) + wire.bytes_field(3, _credentials(auth))
    return content


def _credentials(auth: PulsarAuth) -> bytes:
    if auth.kind == "token":
        return auth.token().encode()
    return ":".join(auth.user).encode() if auth.kind == "basic" else b""


def _trust(cluster: PulsarCluster) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=cluster.ca_cert or None)
    if cluster.auth.kind == "tls":
        context.load_cert_chain(*cluster.auth.cert_and_key, password=_no_password)
    return context


def _no_password() -> str:
    """Asked for by a key that has one: without this the terminal is asked."""
    raise PermissionError("the key has a password; expected one without")


def _number(content: bytes, wanted: int) -> int:
    """The first value of that field, 0 without one."""
    found = (wire.read_varint(content, start)[0] for number, _, _, start, _ in wire.fields(content) if number == wanted)
    return next(found, 0)


def _texts(content: bytes, wanted: int) -> list[bytes]:
    """Every value of that field."""
    return [
        content[start:end]
        for number, kind, _, start, end in wire.fields(content)
        if (number, kind) == (wanted, wire.BYTES)
    ]
