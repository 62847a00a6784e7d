"""A wire to a server of this machine that can be cut: a TCP proxy that does what networks do.

with Wire(redis.port) as wire:
    client = connect(f"redis://127.0.0.1:{wire.port}/0")
    wire.turn(Mode.SWALLOW)
"""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Self

_CHUNK = 1 << 16
_CONNECT_SECONDS = 5.0


class Mode(Enum):
    """What becomes of the bytes, in both directions."""

    PASS = auto()
    DELAY = auto()
    """Each piece comes a little later, and in order: `Wire.delay` says how much at most."""
    SWALLOW = auto()
    """They are read and thrown away; nobody is told, connections stay open, new ones are accepted: half open."""
    CUT = auto()
    """Connections are ended, new ones at once."""


class Wire:
    """A context manager; listens on a free port of the loopback for as long as it lives.

    `mark` is looked for in what clients send; `marked` is when it last got through (time.monotonic), 0 for never.
    """

    def __init__(self, port: int, *, seed: int = 0, delay: float = 0.2, mark: bytes = b"") -> None:
        self.marked = 0.0
        self.mark = mark
        self._server = port
        self._delay = delay
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._mode = Mode.PASS
        self._links: list[_Link] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def turn(self, mode: Mode) -> None:
        """From now on. A connection that has lost bytes is of no use any more, and is ended when others can be had."""
        with self._lock:
            self._mode = mode
            ended = [link for link in self._links if mode is Mode.CUT or (link.damaged and mode is not Mode.SWALLOW)]
        for link in ended:
            link.end()

    def dial(self, client: socket.socket) -> socket.socket:  # noqa: ARG002 # of who asks his client where to
        """The server's end of a new connection. Raises OSError."""
        return socket.create_connection(("127.0.0.1", self._server), _CONNECT_SECONDS)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="wire", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._listener.close()
        self.turn(Mode.CUT)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), name="wire", daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        """One connection, to its end."""
        link = _Link(client)
        with self._lock:
            self._links.append(link)
            refused = self._mode is Mode.CUT
        try:
            if not refused:
                server = link.server = self.dial(client)
                server.settimeout(None)  # it may be silent for long
                back = threading.Thread(target=self._pump, args=(link, server, client), name="wire", daemon=True)
                back.start()
                self._pump(link, client, server)
                back.join()
        except OSError:
            pass  # the server is away: so is this connection
        finally:
            link.end()
            with self._lock:
                self._links.remove(link)

    def _pump(self, link: _Link, giver: socket.socket, taker: socket.socket) -> None:
        upward, rest = giver is link.client, b""
        try:
            while piece := giver.recv(_CHUNK):
                if not self._may_pass(link):
                    continue
                taker.sendall(piece)
                if upward and self.mark:
                    rest = self._look(rest + piece)
        except OSError:
            pass  # ended, by them or by us
        link.shut(taker)

    def _may_pass(self, link: _Link) -> bool:
        if self._mode is Mode.DELAY:
            with self._lock:
                seconds = self._rng.uniform(0, self._delay)
            time.sleep(seconds)
        link.damaged = link.damaged or self._mode is Mode.SWALLOW
        return not link.damaged

    def _look(self, sent: bytes) -> bytes:
        """Answers what may be the beginning of a mark."""
        if self.mark in sent:
            self.marked = time.monotonic()
            return b""
        return sent[-len(self.mark) :]


@dataclass(eq=False, slots=True)
class _Link:
    """One connection; `damaged` when bytes of it were thrown away."""

    client: socket.socket
    server: socket.socket | None = None
    damaged: bool = False

    def shut(self, taker: socket.socket) -> None:
        """No more bytes come for it; a damaged one is left as it is, for half open means that nobody is told."""
        if not self.damaged:
            with suppress(OSError):
                taker.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """At both ends. Idempotent."""
        for side in (self.client, self.server):
            if side is not None:
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)  # wakes who waits for bytes
                side.close()
