"""A wire that asks its client where to: an HTTP proxy for CONNECT, as gRPC takes one from `grpc_proxy`.

So one worker's way to the target can be cut without another address for that target.
"""

from __future__ import annotations

import socket

from tests.chaos.wire import Wire

_END = b"\r\n\r\n"


class Tunnel(Wire):
    """To servers of this machine, by port."""

    def __init__(self, *, seed: int = 0, delay: float = 0.2, mark: bytes = b"") -> None:
        super().__init__(0, seed=seed, delay=delay, mark=mark)

    def dial(self, client: socket.socket) -> socket.socket:
        """Raises OSError, also for another request."""
        request = b""
        while _END not in request:
            if not (piece := client.recv(1)):  # not a byte of what comes after it
                raise OSError("the client has gone")
            request += piece
        word, address, *_ = request.split()
        if word != b"CONNECT":
            raise OSError(f"no CONNECT: {request!r}")
        server = socket.create_connection(("127.0.0.1", int(address.rpartition(b":")[2])), 5.0)
        client.sendall(b"HTTP/1.1 200 OK" + _END)
        return server
