"""Fixtures with real servers: started when a test first asks, kept for the session, ended with it.

A server that cannot be had on this machine skips the test, and fails it in CI (environment variable CI): there a
skipped test would be taken for a passed one.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import pytest

from deploy.local import (
    Etcd,
    Kafka,
    KafkaSecurity,
    Milvus,
    MilvusLite,
    MilvusOptions,
    Nats,
    Pulsar,
    Redis,
    Stack,
    Unavailable,
)
from tests.certificates import Authority

KAFKA_USER = ("writer", "not-a-secret")
"""Name and password."""

# Seconds. A killed Milvus answers queries about twice this later, instead of 35 s; a test must not suspend one longer.
_SESSION_TTL = 10

_Running = TypeVar("_Running", bound=AbstractContextManager[object])


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis of the session; tests keep apart by key or database."""
    with or_skip(lambda: Redis(tmp_path_factory.mktemp("redis"))) as server:
        yield server


@pytest.fixture(scope="session")
def etcd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """An etcd of the session; tests keep apart by prefix."""
    with or_skip(lambda: Etcd(tmp_path_factory.mktemp("etcd"))) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka of the session; tests keep apart by topic."""
    with or_skip(lambda: Kafka(tmp_path_factory.mktemp("kafka"))) as server:
        yield server


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One that wants a user (`KAFKA_USER`) at its listener SASL_PLAINTEXT, and lets everybody in at the open one."""
    directory = tmp_path_factory.mktemp("secured-kafka")
    own = Authority(directory / "authority").sign("kafka.test")
    keystore = directory / "keystore.pem"
    keystore.write_text(own.key.read_text() + own.pem.read_text())
    with or_skip(lambda: Kafka(directory / "kafka", security=KafkaSecurity(*KAFKA_USER, keystore))) as server:
        yield server


@pytest.fixture(scope="session")
def pulsar_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulsar]:
    """A Pulsar of the session; tests keep apart by namespace."""
    with or_skip(lambda: Pulsar(tmp_path_factory.mktemp("pulsar"))) as server:
        yield server


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """A NATS server of the session; tests keep apart by stream."""
    with or_skip(lambda: Nats(tmp_path_factory.mktemp("nats"))) as server:
        yield server


@pytest.fixture(scope="module")
def standby_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """A standby that is ticked by hand; the stacks' standbys are ticked by who replicates to them, and nobody else.

    For one module: a collection that was dropped by API alone lets a later flush hang.
    """
    options = MilvusOptions(name="alone", standby=True, session_ttl=_SESSION_TTL)
    with or_skip(lambda: Milvus(tmp_path_factory.mktemp("standby"), options)) as server:
        yield server


@pytest.fixture(scope="session")
def ordinary_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """A Milvus with ordinary settings, for what writes to it by its ordinary API; tests keep apart by collection."""
    options = MilvusOptions(name="ordinary", session_ttl=_SESSION_TTL)
    with or_skip(lambda: Milvus(tmp_path_factory.mktemp("ordinary"), options)) as server:
        yield server


@pytest.fixture(scope="session")
def lite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusLite]:
    """A Milvus Lite in a process of its own; tests keep apart by collection."""
    with or_skip(lambda: MilvusLite(tmp_path_factory.mktemp("lite"))) as server:
        yield server


@pytest.fixture(scope="session")
def rocksmq_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A source on RocksMQ, a standby and a Redis; tests keep apart by collection."""
    with or_skip(lambda: Stack(tmp_path_factory.mktemp("rocksmq-stack"), session_ttl=_SESSION_TTL)) as stack:
        yield stack


@pytest.fixture(scope="session")
def kafka_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A source on Kafka, a standby and a Redis; tests keep apart by collection."""
    with or_skip(lambda: Stack(tmp_path_factory.mktemp("kafka-stack"), "kafka", session_ttl=_SESSION_TTL)) as stack:
        yield stack


@pytest.fixture(scope="session")
def pulsar_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A source on Pulsar, a standby and a Redis; tests keep apart by collection."""
    with or_skip(lambda: Stack(tmp_path_factory.mktemp("pulsar-stack"), "pulsar", session_ttl=_SESSION_TTL)) as stack:
        yield stack


@pytest.fixture(scope="session")
def natsmq_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A source on natsmq, a standby and a Redis; tests keep apart by collection."""
    with or_skip(lambda: Stack(tmp_path_factory.mktemp("natsmq-stack"), "natsmq", session_ttl=_SESSION_TTL)) as stack:
        yield stack


def etcd_of(stack: Stack) -> Etcd:
    """The etcd that both Milvus of it share; without one, the test is skipped or, in CI, failed."""

    def shared() -> Etcd:
        if stack.etcd is None:
            raise Unavailable("no etcd of its own: both Milvus run one inside")
        return stack.etcd

    return or_skip(shared)


def or_skip(make: Callable[[], _Running]) -> _Running:
    """What `make` makes; without the server, the test is skipped or, in CI, failed."""
    try:
        return make()
    except Unavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have every server: {reason}")
        pytest.skip(str(reason))
