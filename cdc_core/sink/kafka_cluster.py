"""The brokers of a Kafka target: how they are dialled, and the questions asked of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # names that it does export
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from cdc_core.errors import TargetUnavailable, TaskStopped
from cdc_core.model.connect import KafkaConnect
from cdc_core.sink import kafka_errors

DEFAULT_MECHANISM, DEFAULT_PROTOCOL = "PLAIN", "SASL_PLAINTEXT"
_MAX_BYTES = "max.message.bytes"
_SLICE_SECONDS = 1.0
"""A question is asked anew this often: that the credentials are refused is told between two of them."""
_MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})  # noqa: SLF001

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Topic:
    """`max_bytes` of one batch of messages; None when the brokers do not tell it to this user."""

    name: str
    partitions: int
    max_bytes: int | None


def options(connect: KafkaConnect) -> Mapping[str, Any]:
    """librdkafka's settings that every client of that target has."""
    found: dict[str, Any] = {
        "bootstrap.servers": connect.address,
        "allow.auto.create.topics": False,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,  # a restarted broker is found again within a second
        "socket.keepalive.enable": True,
        "log.connection.close": False,
        "log_level": 2,  # what goes wrong is told by errors
    }
    if connect.enable_sasl:
        found |= {
            "sasl.username": connect.sasl.username,
            "sasl.password": connect.sasl.password,
            "sasl.mechanisms": connect.sasl.mechanisms or DEFAULT_MECHANISM,
            "security.protocol": connect.sasl.security_protocol or DEFAULT_PROTOCOL,
        }
    return found


class KafkaCluster:
    """Thread-safe. A client is made for each question: they are asked once in a while.

    All raise `TargetUnavailable` when the brokers do not answer in time, and `TaskStopped` when they refuse the
    credentials or the topic.
    """

    def __init__(self, connect: KafkaConnect) -> None:
        self._connect = connect
        self._where = f"Kafka at {connect.address}"

    def topic(self, timeout: float) -> Topic | None:
        """The target's topic as it is; None when there is none."""
        return _Question(self._connect, self._where, timeout).topic()

    def made_topic(self, timeout: float) -> Topic:
        """The topic, made with the brokers' own numbers of partitions and replicas when it is missing."""
        question = _Question(self._connect, self._where, timeout)
        found = question.topic()
        if found is None:
            question.make()
        while found is None:
            found = question.topic()  # a new one is not on all brokers at once
        return found

    def may_make_topic(self, timeout: float) -> None:
        """Whether a missing topic could be made; makes none."""
        _Question(self._connect, self._where, timeout).make(validate_only=True)


class _Question:
    """One client and its deadline."""

    def __init__(self, connect: KafkaConnect, where: str, timeout: float) -> None:
        self._name = connect.topic
        self._where = where
        self._ends = time.monotonic() + timeout
        self._refused: KafkaError | None = None
        settings: dict[str, Any] = {**options(connect), "error_cb": self._note}
        try:
            self._admin = AdminClient(settings, logger=logger)
        except KafkaException as error:
            raise TaskStopped(f"{where} cannot be dialled: {error.args[0].str()}") from error

    def topic(self) -> Topic | None:
        found = self._metadata()
        if found.error is not None:
            if found.error.code() in _MISSING:
                return None
            raise kafka_errors.of_error(found.error, f"the topic {self._name!r}")
        return Topic(self._name, len(found.partitions), self._max_bytes()) if found.partitions else None

    def make(self, *, validate_only: bool = False) -> None:
        """Also when somebody else has made it meanwhile."""
        wanted = NewTopic(self._name, num_partitions=-1, replication_factor=-1)
        asked = self._admin.create_topics([wanted], request_timeout=self._left(), validate_only=validate_only)
        try:
            asked[self._name].result(self._left())
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                what = f"the topic {self._name!r} is missing and cannot be made"
                raise kafka_errors.of_exception(error, what) from error
        except TimeoutError:
            raise self._unavailable("no answer in time") from None

    def _metadata(self) -> Any:
        while True:
            try:
                return self._admin.list_topics(self._name, timeout=min(_SLICE_SECONDS, self._left())).topics[self._name]
            except KafkaException as error:
                self._admin.poll(0)  # serves `_note`
                if self._refused is not None:
                    raise kafka_errors.of_error(self._refused, self._where) from error
                if self._ends - time.monotonic() < 0.1:
                    raise self._unavailable(error.args[0].str()) from error

    def _max_bytes(self) -> int | None:
        resource = ConfigResource(ResourceType.TOPIC, self._name)
        try:
            found = self._admin.describe_configs([resource], request_timeout=self._left())[resource]
            return int(found.result(self._left())[_MAX_BYTES].value)
        except (KafkaException, TimeoutError, KeyError):
            return None  # it may be hidden from this user, who may write all the same

    def _left(self) -> float:
        """At least what a client takes for a time-out."""
        return max(self._ends - time.monotonic(), 0.1)

    def _note(self, error: KafkaError) -> None:
        if error.code() in kafka_errors.CREDENTIALS:
            self._refused = error

    def _unavailable(self, why: str) -> TargetUnavailable:
        return TargetUnavailable(f"{self._where} does not answer: {why}")
