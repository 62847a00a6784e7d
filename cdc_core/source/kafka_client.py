"""One connection to Kafka: how it is tuned, and the questions asked of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from cdc_core.errors import SourceUnavailable
from cdc_core.source.sequence import Bounds

_VAGUE = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 -- names of librdkafka's codes
"""It follows what says why, and comes alone where a broker hangs up without a word."""
_ADVICE = {
    KafkaError._AUTHENTICATION: "it refuses the credentials: see CDC_SOURCE_KAFKA_USERNAME, CDC_SOURCE_KAFKA_PASSWORD "  # noqa: SLF001
    "and CDC_SOURCE_KAFKA_MECHANISM",
    KafkaError._SSL: "TLS fails: see CDC_SOURCE_KAFKA_PROTOCOL and CDC_SOURCE_KAFKA_CA_CERT",  # noqa: SLF001
    _VAGUE: "is it running at CDC_SOURCE_MQ? Where it wants a user or TLS, see CDC_SOURCE_KAFKA_PROTOCOL",
}
_REFUSALS = _ADVICE.keys() - {_VAGUE}
_HANDSHAKE = "in state SSL_HANDSHAKE"
"""In the text of a connection that ended there: what a broker without TLS does, if its answer is not seen first."""

logger = logging.getLogger(__name__)

PARTITION = 0
_ANSWER_SECONDS = 5.0
"""How long a question to the brokers may take; answers come in milliseconds from a healthy cluster."""

_FIRST_SECONDS = 1.0
"""Of it: after so long the client is asked why, and one that was refused does not go on waiting."""

NO_SUCH_TOPIC = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}  # noqa: SLF001 -- names of librdkafka's codes
)

_OPTIONS: Mapping[str, str | int | bool] = {
    "group.id": "milvus-cdc",  # required by the client; no group is joined and nothing is committed
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # never jump
    "allow.auto.create.topics": False,
    # Memory: what is fetched ahead, over all topics of a client. A message larger than these still passes, alone.
    "queued.max.messages.kbytes": 8 << 10,
    "fetch.message.max.bytes": 1 << 20,
    "fetch.max.bytes": 4 << 20,
    "message.max.bytes": 1 << 20,  # of what we would write: nothing; fetch.max.bytes may not be below it
    "receive.message.max.bytes": 64 << 20,
    # Latency: the broker answers as soon as there is a byte; a topic that is added waits for the answer under way.
    "fetch.min.bytes": 1,
    "fetch.wait.max.ms": 100,
    "fetch.queue.backoff.ms": 5,  # after the local queue was full
    "fetch.error.backoff.ms": 100,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1000,  # a restarted broker is found again within a second
    "socket.keepalive.enable": True,
    "log.connection.close": False,
    "log_level": 2,  # a broker that is down is told by SourceUnavailable, not by a line for each attempt
}


class KafkaClient:
    """A librdkafka consumer and the questions asked of it. Thread-safe, but for `close`."""

    def __init__(self, brokers: str, options: Mapping[str, str]) -> None:
        """Does not connect yet. :raises SourceUnavailable: librdkafka does not take the options, or a file of them."""
        self.brokers = brokers
        self.trouble: str | None = None
        self._refused = False
        given = {**_OPTIONS, **options, "bootstrap.servers": brokers, "error_cb": self._note}
        try:
            self.consumer = Consumer(given, logger=logger)
        except KafkaException as error:
            raise SourceUnavailable(
                f"the settings CDC_SOURCE_KAFKA_* are not right for Kafka's client: {error.args[0].str()}"
            ) from error

    def bounds(self, pchannel: str) -> Bounds | None:
        """What the topic holds; None when there is no such topic. May block some seconds.

        :raises SourceUnavailable: the brokers do not answer.
        """
        if pchannel not in self.topics(pchannel):
            return None
        try:
            first, end = self.consumer.get_watermark_offsets(TopicPartition(pchannel, PARTITION), _ANSWER_SECONDS)
        except KafkaException as error:
            if error.args[0].code() in NO_SUCH_TOPIC:
                return None
            raise self.unavailable(error) from error
        return Bounds(first, end)

    def topics(self, only: str | None = None, timeout: float = _ANSWER_SECONDS) -> frozenset[str]:
        """The names of all topics, or of that one if it exists. May block for `timeout` seconds.

        :raises SourceUnavailable: the brokers do not answer.
        """
        try:
            found = self._ask(only, timeout)
        except KafkaException as error:
            self._listen()
            raise self.unavailable(error) from error
        self.trouble, self._refused = None, False
        return frozenset(name for name, topic in found.items() if topic.error is None and PARTITION in topic.partitions)

    def unavailable(self, error: KafkaException) -> SourceUnavailable:
        return SourceUnavailable(f"Kafka at {self.brokers} does not answer: {self.trouble or error.args[0].str()}")

    def _ask(self, only: str | None, timeout: float) -> dict[str, Any]:
        first = min(timeout, _FIRST_SECONDS)
        try:
            return self.consumer.list_topics(only, timeout=first).topics  # type: ignore[no-any-return]
        except KafkaException:
            self._listen()
            if self._refused or first == timeout:
                raise
        return self.consumer.list_topics(only, timeout=timeout - first).topics  # type: ignore[no-any-return]

    def _listen(self) -> None:
        """A question that timed out says no more than that; what the client has met meanwhile comes by polling.

        Only while no topic is assigned, where no message can be taken by it: a reader of topics polls by itself.
        """
        if not self.consumer.assignment():
            self.consumer.poll(0)

    def _note(self, error: KafkaError) -> None:
        """Transport errors are not fatal: the client reconnects by itself; we only remember that it has to."""
        logger.debug("kafka: %s", error)
        if self.trouble is None or error.code() != _VAGUE:
            advice = _ADVICE.get(KafkaError._SSL if _HANDSHAKE in error.str() else error.code())  # noqa: SLF001
            self.trouble = f"{advice} ({error.str()})" if advice else error.str()
            self._refused = error.code() in _REFUSALS
