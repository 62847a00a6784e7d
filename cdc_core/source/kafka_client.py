"""One connection to Kafka: how it is tuned, and the questions asked of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from cdc_core.errors import SourceUnavailable
from cdc_core.source.sequence import Bounds

logger = logging.getLogger(__name__)

PARTITION = 0
_ANSWER_SECONDS = 5.0
"""How long a question to the brokers may take; answers come in milliseconds from a healthy cluster."""

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
        self.brokers = brokers
        self.trouble: str | None = None
        self.consumer = Consumer(
            {**_OPTIONS, **options, "bootstrap.servers": brokers, "error_cb": self._note}, logger=logger
        )

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
            found: dict[str, Any] = self.consumer.list_topics(only, timeout=timeout).topics
        except KafkaException as error:
            raise self.unavailable(error) from error
        self.trouble = None
        return frozenset(name for name, topic in found.items() if topic.error is None and PARTITION in topic.partitions)

    def unavailable(self, error: object) -> SourceUnavailable:
        return SourceUnavailable(f"Kafka at {self.brokers} does not answer: {error}")

    def _note(self, error: KafkaError) -> None:
        """Transport errors are not fatal: the client reconnects by itself; we only remember that it has to."""
        logger.debug("kafka: %s", error)
        self.trouble = error.str()
