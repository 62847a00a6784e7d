"""A real Pulsar that wants to know who reads, by token or certificate, over TLS or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pulsar
import pytest

from cdc_core.errors import SourceUnavailable
from cdc_core.model.channel import VChannel
from cdc_core.model.position import Position
from cdc_core.settings import Settings
from cdc_core.source.base import Queue
from cdc_core.source.hub import Hub
from cdc_core.source.opening import open_source_queue
from cdc_core.source.pulsar_log import client_log
from deploy.local import Pulsar, PulsarSecurity
from tests.certificates import Authority, Certificate
from tests.contract.guarded import reads, until
from tests.servers import or_skip

pytestmark = pytest.mark.contract

TOPIC = "by-dev-rootcoord-dml_0"
ROLE = "reader"


@dataclass(frozen=True)
class Guarded:
    """A broker on which `ROLE` may consume and nothing else; who signed its certificate, and somebody else."""

    server: Pulsar
    security: PulsarSecurity
    client: Certificate
    stranger: Certificate
    trusted: Path
    foreign: Path
    nonsense: Path

    def queue(self, **given: str | Path) -> Queue:
        """`given` are the settings CDC_SOURCE_PULSAR_*; over TLS with `ca_cert`, at the host `host`."""
        address = f"pulsar+ssl://{self.server.tls_address}" if "ca_cert" in given else f"pulsar://{self.server.address}"
        uri = address.replace("127.0.0.1", str(given.pop("host", "127.0.0.1")))
        values = {f"source_pulsar_{name}": value for name, value in given.items()}
        return open_source_queue(Settings(_env_file=None, source_mq=uri, **values))  # type: ignore[call-arg, arg-type]

    @property
    def token(self) -> dict[str, str | Path]:
        return {"auth_plugin": "token", "auth_params": f"token:{self.security.token(ROLE)}"}

    def certificate(self, own: Certificate) -> dict[str, str | Path]:
        return {"auth_plugin": "tls", "auth_params": f"tlsCertFile:{own.pem},tlsKeyFile:{own.key}"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Holds one message."""
    directory = tmp_path_factory.mktemp("guarded-pulsar")
    trusted, foreign = Authority(directory / "trusted"), Authority(directory / "foreign")
    own = trusted.sign("pulsar.test")
    security = PulsarSecurity(own.pem, own.key, trusted.pem, b"thirty-two bytes that are secret")
    nonsense = directory / "nonsense.pem"
    nonsense.write_text("this is no certificate\n")
    with or_skip(lambda: Pulsar(directory / "pulsar", security=security)) as server:
        server.admin("POST", f"namespaces/public/default/permissions/{ROLE}", ["consume"])
        _write(server, security, b"a message")
        yield Guarded(server, security, trusted.sign(ROLE), foreign.sign(ROLE), trusted.pem, foreign.pem, nonsense)


def _write(server: Pulsar, security: PulsarSecurity, payload: bytes) -> None:
    client = pulsar.Client(
        f"pulsar://{server.address}", pulsar.AuthenticationToken(security.token()), logger=client_log()
    )
    client.create_producer(f"persistent://public/default/{TOPIC}").send(payload)
    client.close()


def test_a_token_reads(guarded: Guarded) -> None:
    """One whose role may consume in the namespace, and nothing else."""
    reads(guarded.queue(**guarded.token), TOPIC)


def test_a_token_in_a_file_reads(guarded: Guarded, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(guarded.security.token(ROLE) + "\n")
    reads(guarded.queue(auth_plugin="token", auth_params=f"file://{tmp_path / 'token'}"), TOPIC)


def test_a_token_reads_over_tls(guarded: Guarded) -> None:
    reads(guarded.queue(**guarded.token, ca_cert=guarded.trusted), TOPIC)


def test_a_certificate_reads(guarded: Guarded) -> None:
    reads(guarded.queue(**guarded.certificate(guarded.client), ca_cert=guarded.trusted), TOPIC)


REFUSED = "refuses the credentials: see CDC_SOURCE_PULSAR_AUTH_PLUGIN"
NOT_TRUSTED = "certificate is not trusted: see CDC_SOURCE_PULSAR_CA_CERT"
TLS_FAILS = "TLS fails: see CDC_SOURCE_MQ"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda _: {}, REFUSED),
        (lambda g: {**g.token, "auth_params": "token:x"}, REFUSED),
        (
            lambda g: {**g.token, "auth_params": f"token:{replace(g.security, secret=b'other' * 8).token(ROLE)}"},
            REFUSED,
        ),
        (lambda g: {**g.token, "auth_params": f"token:{g.security.token('nobody')}"}, f"{REFUSED}.*not authorized"),
        (lambda g: {**g.token, "auth_params": "file:///no/token"}, "a file cannot be read.*PULSAR_AUTH_PARAMS"),
        (lambda g: {**g.token, "ca_cert": g.foreign}, NOT_TRUSTED),
        (lambda g: {**g.token, "ca_cert": g.trusted, "host": "localhost"}, f"{NOT_TRUSTED}.*not valid for 'localhost'"),
        (lambda g: {**g.token, "ca_cert": g.nonsense}, f"{TLS_FAILS}.*no certificate"),
        (lambda g: {**g.certificate(g.stranger), "ca_cert": g.trusted}, TLS_FAILS),
        (lambda g: {**g.certificate(replace(g.client, pem=g.nonsense)), "ca_cert": g.trusted}, TLS_FAILS),
        (
            lambda g: {**g.certificate(replace(g.client, key=g.client.locked("secret"))), "ca_cert": g.trusted},
            "PULSAR_AUTH_PARAMS.*the key has a password",
        ),
    ],
    ids=[
        "none",
        "no token",
        "another secret",
        "another role",
        "no file",
        "foreign authority",
        "another host",
        "no authority",
        "stranger",
        "no certificate",
        "locked key",
    ],
)
def test_what_is_wrong_is_told_with_the_setting_to_look_at(
    guarded: Guarded, wrong: Callable[[Guarded], dict[str, str | Path]], told: str
) -> None:
    with closing(guarded.queue(**wrong(guarded))) as queue, pytest.raises(SourceUnavailable, match=told) as asked:
        queue.topics()
    assert guarded.security.token(ROLE) not in str(asked.value)


def test_who_comes_without_tls_to_where_it_is_spoken_is_told(guarded: Guarded) -> None:
    settings = Settings(_env_file=None, source_mq=f"pulsar://{guarded.server.tls_address}")  # type: ignore[call-arg]
    with (
        closing(open_source_queue(settings)) as queue,
        pytest.raises(SourceUnavailable, match=r"hangs up.*pulsar\+ssl"),
    ):
        queue.topics()


def test_wrong_credentials_are_the_trouble_of_who_reads(guarded: Guarded) -> None:
    with closing(guarded.queue()) as queue, closing(Hub(queue)) as hub:
        hub.subscribe(VChannel.parse(f"{TOPIC}_1v0"), Position(TOPIC, b""))
        until(lambda: hub.trouble)
        assert REFUSED in (hub.trouble or "")
