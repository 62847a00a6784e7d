"""A broker at `rediss://`: nothing is said to it in the clear, nor to whoever cannot show that it is the broker."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from celery import Celery

from api.tickets import Tickets
from cdc_core.settings import Settings
from tests.certificates import Authority, Certificate
from workers.config import celery_config

pytestmark = pytest.mark.integration

HELLO = b"\x16"
"""A record of TLS that is a handshake."""
_SECONDS = 10


class Listener:
    """Takes connections and keeps what each says first; speaks TLS with a certificate, else it only listens."""

    def __init__(self, certificate: Certificate | None = None) -> None:
        self.heard: list[bytes] = []
        self._some = threading.Event()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if self._context and certificate:
            self._context.load_cert_chain(certificate.pem, certificate.key)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(_SECONDS)

    def first(self) -> bytes:
        assert self._some.wait(_SECONDS)
        return self.heard[0]

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                taken, _ = self._server.accept()
                with contextlib.suppress(OSError), taken:
                    taken.settimeout(_SECONDS)
                    self._hear(taken)
                self._some.set()

    def _hear(self, taken: socket.socket) -> None:
        if self._context is None:
            self.heard.append(taken.recv(1))
            return
        with self._context.wrap_socket(taken, server_side=True) as secured:
            self.heard.append(secured.recv(100))


def _by_the_api(url: str) -> None:
    tickets = Tickets(url)
    tickets.enqueue("one")
    tickets.close()


def _by_a_worker(url: str) -> None:
    app = Celery()
    app.config_from_object(celery_config(Settings(source_mq="kafka://one:1", broker_url=url), "w"))
    with contextlib.suppress(OSError, app.connection_for_read().connection_errors), app.connection_for_read() as broker:
        broker.connect()
    app.close()


@pytest.fixture(params=[_by_the_api, _by_a_worker])
def connect(request: pytest.FixtureRequest) -> Callable[[str], None]:
    found: Callable[[str], None] = request.param
    return found


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Certificate]:
    """Who signs, and the broker's own."""
    authority = Authority(tmp_path_factory.mktemp("papers"))
    return authority.pem, authority.sign("broker.test")


def test_the_first_byte_is_that_of_tls(connect: Callable[[str], None]) -> None:
    with Listener() as broker:
        connect(f"rediss://:secret@127.0.0.1:{broker.port}/0")
        assert broker.first() == HELLO


def test_an_authority_of_ones_own_is_named_in_the_url(
    connect: Callable[[str], None], papers: tuple[Path, Certificate]
) -> None:
    authority, own = papers
    with Listener(own) as broker:
        connect(f"rediss://:secret@127.0.0.1:{broker.port}/0?ssl_ca_certs={authority}")
        assert b"secret" in broker.first()


def test_a_certificate_that_nobody_trusts_is_told_nothing(
    connect: Callable[[str], None], papers: tuple[Path, Certificate]
) -> None:
    with Listener(papers[1]) as broker:
        connect(f"rediss://:secret@127.0.0.1:{broker.port}/0")
    assert broker.heard == []
