"""Questions to a server that only a working one answers."""

import http.client
import json
import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Any

_TIMEOUT = 2.0  # seconds; everything is on this machine, a longer silence means "not yet"
_CALL_TIMEOUT = 30.0  # seconds


def http_get(port: int, path: str, headers: Mapping[str, str] = {}) -> tuple[int, bytes]:
    """Status and body of a GET on the loopback; raises OSError or HTTPException. No proxy setting is obeyed."""
    return _http(port, "GET", path, None, headers, _TIMEOUT)


def http_json(
    port: int, method: str, path: str, content: object = None, headers: Mapping[str, str] = {}
) -> tuple[int, bytes]:
    """The same with a body of JSON, for calls that do something and may take a while."""
    body = None if content is None else json.dumps(content)
    return _http(port, method, path, body, {"Content-Type": "application/json", **headers}, _CALL_TIMEOUT)


def _http(
    port: int, method: str, path: str, body: str | None, headers: Mapping[str, str], timeout: float
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def speaks_tls(port: int) -> bool:
    """Whether it greets in TLS, or refuses us for having no certificate of our own. Its own is looked at by nobody."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT) as link:
        try:
            context.wrap_socket(link).close()
        except ssl.SSLError as error:
            return "ALERT" in str(error)
    return True


def redis_ping(port: int) -> bool:
    """PONG: an error reply (still loading its file) is a no."""
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT) as link:
        link.sendall(b"PING\r\n")
        return link.recv(64).startswith(b"+PONG")


def kafka_brokers(port: int) -> int:
    """How many brokers a metadata request (API key 3, version 0) names; an empty list of topics makes none.

    https://kafka.apache.org/protocol#The_Messages_Metadata
    """
    request = struct.pack(">hhihi", 3, 0, 1, -1, 0)
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT) as link:
        link.sendall(struct.pack(">i", len(request)) + request)
        answer = link.recv(12, socket.MSG_WAITALL)
    if len(answer) < 12:
        return 0
    _size, _correlation, brokers = struct.unpack(">iii", answer)
    return int(brokers)


def nats_info(port: int) -> dict[str, Any]:
    """What a NATS server says of itself to everyone who connects."""
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT) as link, link.makefile("rb") as lines:
        word, _, info = lines.readline().partition(b" ")
    found: dict[str, Any] = json.loads(info) if word == b"INFO" else {}
    return found
