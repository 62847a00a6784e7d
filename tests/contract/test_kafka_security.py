"""A real Kafka that wants a user, TLS or both, read with what the settings say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Producer

from cdc_core.errors import SourceUnavailable
from cdc_core.model.channel import VChannel
from cdc_core.model.position import Position
from cdc_core.settings import Settings
from cdc_core.source.base import Queue
from cdc_core.source.hub import Hub
from cdc_core.source.opening import open_source_queue
from deploy.local import Kafka, KafkaProtocol, KafkaSecurity
from tests.certificates import Authority
from tests.contract.guarded import PATIENCE, reads, until
from tests.servers import or_skip

pytestmark = pytest.mark.contract

TOPIC = "by-dev-rootcoord-dml_0"
USER = {"username": "reader", "password": "hunter2"}


@dataclass(frozen=True)
class Guarded:
    """A broker, who signed its certificate, and somebody else."""

    server: Kafka
    trusted: Path
    foreign: Path

    def queue(self, listener: KafkaProtocol, /, host: str = "127.0.0.1", **kafka: str | Path) -> Queue:
        """At that listener; `kafka` are the settings CDC_SOURCE_KAFKA_*."""
        given = {f"source_kafka_{name}": value for name, value in kafka.items()}
        port = self.server.address_of(listener).rpartition(":")[2]
        settings = Settings(_env_file=None, source_mq=f"kafka://{host}:{port}", **given)  # type: ignore[call-arg, arg-type]
        return open_source_queue(settings)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Holds one message; the open listener is the way in."""
    directory = tmp_path_factory.mktemp("guarded-kafka")
    trusted = Authority(directory / "trusted")
    own = trusted.sign("kafka.test")
    keystore = directory / "keystore.pem"
    keystore.write_text(own.key.read_text() + own.pem.read_text())
    security = KafkaSecurity(USER["username"], USER["password"], keystore)
    with or_skip(lambda: Kafka(directory / "kafka", security=security)) as server:
        producer = Producer({"bootstrap.servers": server.address})
        producer.produce(TOPIC, b"a message")
        assert producer.flush(PATIENCE) == 0
        yield Guarded(server, trusted.pem, Authority(directory / "foreign").pem)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_user_reads(guarded: Guarded, mechanism: str) -> None:
    reads(guarded.queue("SASL_PLAINTEXT", **USER, mechanism=mechanism), TOPIC)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_user_reads_over_tls(guarded: Guarded, mechanism: str) -> None:
    reads(guarded.queue("SASL_SSL", **USER, mechanism=mechanism, protocol="SASL_SSL", ca_cert=guarded.trusted), TOPIC)


def test_tls_alone_reads(guarded: Guarded) -> None:
    reads(guarded.queue("SSL", protocol="SSL", ca_cert=guarded.trusted), TOPIC)


REFUSED = "refuses the credentials: see CDC_SOURCE_KAFKA_USERNAME"
NOT_TRUSTED = "TLS fails: see CDC_SOURCE_KAFKA_PROTOCOL and CDC_SOURCE_KAFKA_CA_CERT.*could not be verified"
ANOTHER_NAME = "TLS fails: see CDC_SOURCE_KAFKA_PROTOCOL.*verify failed"
ANYTHING = r"is it running.*wants a user or TLS, see CDC_SOURCE_KAFKA_"


@pytest.mark.parametrize(
    ("listener", "wrong", "told"),
    [
        ("SASL_PLAINTEXT", lambda _: {**USER, "password": "x"}, REFUSED),
        ("SASL_PLAINTEXT", lambda _: {**USER, "password": "x", "mechanism": "SCRAM-SHA-256"}, REFUSED),
        (
            "SASL_PLAINTEXT",
            lambda _: {**USER, "mechanism": "SCRAM-SHA-512"},
            f"{REFUSED}.*supported mechanisms: PLAIN,",
        ),
        ("SASL_SSL", lambda guarded: {**USER, "protocol": "SASL_SSL", "ca_cert": guarded.foreign}, NOT_TRUSTED),
        ("SASL_SSL", lambda _: {**USER, "protocol": "SASL_SSL"}, NOT_TRUSTED),
        ("SSL", lambda g: {"protocol": "SSL", "ca_cert": g.trusted, "host": "localhost"}, ANOTHER_NAME),
        ("SSL", lambda _: {}, ANYTHING),
        (
            "PLAINTEXT",
            lambda guarded: {"protocol": "SSL", "ca_cert": guarded.trusted},
            "TLS fails: see CDC_SOURCE_KAFKA_PROTOCOL.*(PLAINTEXT broker|SSL_HANDSHAKE)",
        ),
    ],
    ids=["password", "SCRAM", "mechanism", "foreign", "usual authorities", "name", "no TLS", "TLS to the open one"],
)
def test_what_is_wrong_is_told_with_the_setting_to_look_at(
    guarded: Guarded, listener: KafkaProtocol, wrong: Callable[[Guarded], dict[str, str | Path]], told: str
) -> None:
    with closing(guarded.queue(listener, **wrong(guarded))) as queue:
        with pytest.raises(SourceUnavailable, match=told) as asked:
            queue.topics()
        assert USER["password"] not in str(asked.value)


def test_wrong_credentials_are_the_trouble_of_who_reads(guarded: Guarded) -> None:
    with (
        closing(guarded.queue("SASL_PLAINTEXT", **{**USER, "password": "x"})) as queue,
        closing(Hub(queue)) as hub,
    ):
        hub.subscribe(VChannel.parse(f"{TOPIC}_1v0"), Position(TOPIC, b""))
        until(lambda: hub.trouble)
        assert REFUSED in (hub.trouble or "")


def test_a_file_that_is_no_certificate_is_told(guarded: Guarded, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("this is no certificate\n")
    with closing(guarded.queue("SSL", protocol="SSL", ca_cert=nonsense)) as queue:
        with pytest.raises(SourceUnavailable, match=r"CDC_SOURCE_KAFKA_.*ssl\.ca\.location"):
            queue.topics()
        with pytest.raises(SourceUnavailable, match=r"CDC_SOURCE_KAFKA_.*ssl\.ca\.location"):
            queue.reader()
