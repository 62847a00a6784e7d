"""The wire itself, between a client and a server that says everything back."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.chaos.wire import Mode, Wire

pytestmark = pytest.mark.chaos

SILENCE = 0.3  # seconds in which an answer would have come


class Echo:
    """Says back what it is told, to everybody."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=self._listener.accept()[:1], daemon=True).start()

    def _answer(self, link: socket.socket) -> None:
        with link, suppress(OSError):
            while told := link.recv(1024):
                link.sendall(told)


@pytest.fixture
def wire() -> Iterator[Wire]:
    echo = Echo()
    with Wire(echo.port, seed=3, mark=b"needle") as wire:
        yield wire
    echo.close()


def dialled(wire: Wire) -> socket.socket:
    return socket.create_connection(("127.0.0.1", wire.port), 2.0)


def said_back(link: socket.socket, word: bytes) -> bytes:
    """b"" when the connection has ended; TimeoutError when nothing is said."""
    try:
        link.sendall(word)
        return heard(link, len(word))
    except ConnectionError:
        return b""


def heard(link: socket.socket, count: int) -> bytes:
    """So many bytes, less when the connection ends before."""
    found = b""
    while len(found) < count and (piece := link.recv(count - len(found))):
        found += piece
    return found


def test_it_passes_everything_both_ways_and_an_end_too(wire: Wire) -> None:
    """What does this test do? Much goes there and back, then one side has said all.

    How? Two MB, read while they are sent; the end of one direction is the end of the other, which echoes it.
    """
    much = bytes(range(256)) * 8192
    with dialled(wire) as link:
        sender = threading.Thread(target=link.sendall, args=(much,))
        sender.start()
        assert heard(link, len(much)) == much
        sender.join()
        link.shutdown(socket.SHUT_WR)
        assert link.recv(1) == b""


def test_silence_ends_no_connection(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does this test do? A connection that nobody speaks on stays.

    How? For longer than the wire waits for the server at the beginning.
    """
    monkeypatch.setattr("tests.chaos.wire._CONNECT_SECONDS", SILENCE / 3)
    with dialled(wire) as link:
        assert said_back(link, b"one") == b"one"
        time.sleep(SILENCE)
        assert said_back(link, b"two") == b"two"


def test_swallowing_tells_nobody_and_what_lost_bytes_ends_with_it(wire: Wire) -> None:
    """What does this test do? A half-open connection is silent, not closed; so is a new one.

    How? A word is said on an old and a new connection; afterwards both have ended, an idle one goes on.
    """
    with dialled(wire) as old, dialled(wire) as idle:
        assert [said_back(link, b"one") for link in (old, idle)] == [b"one", b"one"]
        wire.turn(Mode.SWALLOW)
        with dialled(wire) as new:
            for link in (old, new):
                link.settimeout(SILENCE)
                with pytest.raises(TimeoutError):
                    said_back(link, b"lost")
            wire.turn(Mode.PASS)
            assert [said_back(link, b"two") for link in (old, new, idle)] == [b"", b"", b"two"]


def test_a_cut_ends_old_connections_and_new_ones_until_it_is_mended(wire: Wire) -> None:
    """What does this test do? Nothing gets through a cut wire, and everybody is told.

    How? A word on a connection from before, and on one from meanwhile.
    """
    with dialled(wire) as old:
        assert said_back(old, b"one") == b"one"
        wire.turn(Mode.CUT)
        assert said_back(old, b"lost") == b""
    with dialled(wire) as new:
        assert said_back(new, b"lost") == b""
    wire.turn(Mode.PASS)
    with dialled(wire) as mended:
        assert said_back(mended, b"two") == b"two"


def test_delay_loses_and_reorders_nothing(wire: Wire) -> None:
    """What does this test do? Words that are late come in the order in which they were said.

    How? Each is said before the one before it is back.
    """
    wire.turn(Mode.DELAY)
    words = [f"{number:04}".encode() for number in range(5)]
    with dialled(wire) as link:
        for word in words:
            link.sendall(word)
            time.sleep(0.01)
        assert heard(link, 20) == b"".join(words)


def test_it_sees_its_mark_when_it_gets_through_and_not_when_it_is_lost(wire: Wire) -> None:
    """What does this test do? It knows when a word went to the server, also in two pieces.

    How? The word is swallowed first, then said half by half.
    """
    wire.turn(Mode.SWALLOW)
    with dialled(wire) as link:
        link.settimeout(SILENCE)
        with pytest.raises(TimeoutError):
            said_back(link, b"needle")
    wire.turn(Mode.PASS)
    with dialled(wire) as link:
        assert said_back(link, b"a nee") == b"a nee"
        assert wire.marked == 0.0
        before = time.monotonic()
        assert said_back(link, b"dle in hay") == b"dle in hay"
        assert wire.marked >= before
