"""The queues of the contract tests, each with the hands that write to it, trim it, and take it down."""

from __future__ import annotations

import itertools
import time
import uuid
from pathlib import Path
from typing import Any, Protocol

import pulsar
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from rocksdict import Options, Rdict

from cdc_core.codec.wire import number_field
from cdc_core.source.base import Queue
from cdc_core.source.kafka import KafkaQueue
from cdc_core.source.memory import MemoryQueue
from cdc_core.source.natsmq import NatsmqQueue
from cdc_core.source.pulsar import PulsarQueue
from cdc_core.source.pulsar_cluster import PulsarCluster
from cdc_core.source.pulsar_id import PulsarId
from cdc_core.source.pulsar_log import client_log
from cdc_core.source.rocksmq import RocksmqQueue
from cdc_core.source.sequence import to_message_id, to_number
from deploy.local import Kafka, Nats, Pulsar
from tests.contract.streams import Streams

_TRIM_SECONDS = 20.0
"""Retention is looked at when asked, and removes in the background."""


class Broker(Protocol):
    """What a contract test needs beside the queue itself."""

    queue: Queue

    def topic(self) -> str:
        """A new name; the topic does not exist."""
        ...

    def append(self, topic: str, payload: bytes) -> bytes:
        """Make the topic if missing; the message id."""
        ...

    def cut(self, topic: str) -> None:
        """What is written from now on can be parted from what is there: `trim` before the next message may follow."""
        ...

    def trim(self, topic: str, before: bytes) -> None: ...

    def behind(self, message_id: bytes, by: int) -> bytes:
        """The id that the message `by` places behind it has, or would have."""
        ...

    def gap(self, wanted: bytes, first: bytes) -> str:
        """A pattern of how `PositionTrimmed` tells it."""
        ...

    def take_down(self) -> None: ...

    def bring_back(self) -> None: ...

    def close(self) -> None: ...


class NumberedBroker:
    """What is the same for queues whose ids are numbers."""

    def cut(self, topic: str) -> None:
        """Every place will do."""

    def behind(self, message_id: bytes, by: int) -> bytes:
        return to_message_id(to_number(message_id) + by)

    def gap(self, wanted: bytes, first: bytes) -> str:
        start, end = to_number(wanted), to_number(first)
        return f"{start}.*{end}.*{end - start} messages"


class MemoryBroker(NumberedBroker):
    def __init__(self) -> None:
        self.queue = MemoryQueue()
        self.append = self.queue.append
        self.trim = self.queue.trim

    def topic(self) -> str:
        return _new_name()

    def take_down(self) -> None:
        self.queue.set_available(False)

    def bring_back(self) -> None:
        self.queue.set_available(True)

    def close(self) -> None:
        self.queue.close()


class KafkaBroker(NumberedBroker):
    """A real Kafka; down means kill -9."""

    def __init__(self, server: Kafka) -> None:
        self._server = server
        self.queue = KafkaQueue(server.address)
        settings = {"bootstrap.servers": server.address, "log.connection.close": False}
        self._producer = Producer({**settings, "message.max.bytes": 16 << 20, "linger.ms": 0})
        self._admin = AdminClient(settings)
        self._made: set[str] = set()

    def topic(self) -> str:
        return _new_name()

    def append(self, topic: str, payload: bytes) -> bytes:
        if topic not in self._made:
            self._admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)
            self._made.add(topic)
        offsets: list[int] = []
        self._producer.produce(
            topic, payload, partition=0, on_delivery=lambda _, message: offsets.append(message.offset())
        )
        assert self._producer.flush(30) == 0
        return to_message_id(offsets[0])

    def trim(self, topic: str, before: bytes) -> None:
        for trimmed in self._admin.delete_records([TopicPartition(topic, 0, to_number(before))]).values():
            trimmed.result(10)

    def take_down(self) -> None:
        self._server.kill()

    def bring_back(self) -> None:
        self._server.start().wait_ready()

    def close(self) -> None:
        self.queue.close()


class PulsarBroker:
    """A namespace of a real Pulsar, written to as Milvus does: zstd, no batches. Down means kill -9."""

    def __init__(self, server: Pulsar) -> None:
        self._server = server
        self._namespace = f"public/cdc-{uuid.uuid4().hex[:8]}"
        server.admin("PUT", f"namespaces/{self._namespace}", {})
        self._keep(-1)
        self.cluster = PulsarCluster(f"pulsar://{server.address}", namespace=self._namespace.partition("/")[2])
        self.queue = PulsarQueue(self.cluster)
        self.client = pulsar.Client(self.cluster.url, logger=client_log())
        self._producers: dict[str, pulsar.Producer] = {}

    def topic(self) -> str:
        return _new_name()

    def append(self, topic: str, payload: bytes) -> bytes:
        if topic not in self._producers:
            self._producers[topic] = self.client.create_producer(
                self.cluster.topic(topic), compression_type=pulsar.CompressionType.ZSTD, batching_enabled=False
            )
        message_id: bytes = self._producers[topic].send(payload).serialize()
        return message_id

    def cut(self, topic: str) -> None:
        """Its next message begins a new ledger."""
        self._server.admin("PUT", f"persistent/{self._namespace}/{topic}/unload")

    def trim(self, topic: str, before: bytes) -> None:
        """Whole ledgers, as retention does it."""
        first = PulsarId.parse(before).ledger
        self._keep(0)
        deadline = time.monotonic() + _TRIM_SECONDS
        while self.ledgers(topic)[0] < first:
            assert time.monotonic() < deadline, f"Pulsar does not trim {topic}"
            self._server.admin("POST", f"persistent/{self._namespace}/{topic}/trim")
            time.sleep(0.05)

    def ledgers(self, topic: str) -> list[int]:
        found = self._server.admin("GET", f"persistent/{self._namespace}/{topic}/internalStats")
        return [ledger["ledgerId"] for ledger in found["ledgers"]]

    def subscriptions(self, topic: str) -> dict[str, Any]:
        found: dict[str, Any] = self._server.admin("GET", f"persistent/{self._namespace}/{topic}/stats")[
            "subscriptions"
        ]
        return found

    def behind(self, message_id: bytes, by: int) -> bytes:
        last = PulsarId.parse(message_id)
        return number_field(1, last.ledger) + number_field(2, last.entry + by)

    def gap(self, wanted: bytes, first: bytes) -> str:
        return f"{PulsarId.parse(wanted)}.*{PulsarId.parse(first)}"

    def take_down(self) -> None:
        self._server.kill()

    def bring_back(self) -> None:
        """With a new producer: the old one waits ever longer between its attempts to connect."""
        self._server.start().wait_ready()
        self.client.close()
        self._producers.clear()
        self.client = pulsar.Client(self.cluster.url, logger=client_log())

    def close(self) -> None:
        self.queue.close()
        self.client.close()

    def _keep(self, minutes: int) -> None:
        policy = {"retentionTimeInMinutes": minutes, "retentionSizeInMB": minutes}
        self._server.admin("POST", f"namespaces/{self._namespace}/retention", policy)


class RocksmqBroker(NumberedBroker):
    """A RocksDB of RocksMQ's layout, written by this process as its primary; down means that it is not there."""

    def __init__(self, directory: Path) -> None:
        self._data, self._meta = directory / "rocksmq", directory / "rocksmq_meta_kv"
        families = {"default": Options(raw_mode=True), "properties": Options(raw_mode=True)}
        options = Options(raw_mode=True)
        options.create_missing_column_families(True)
        self._primary = Rdict(str(self._data), options=options, column_families=families)
        self._topics = Rdict(str(self._meta), options=Options(raw_mode=True))
        self._ids = itertools.count(450_000_000_000_000_000, 3)  # of one allocator for all topics, with holes
        self.queue = RocksmqQueue(self._data)

    def topic(self) -> str:
        return _new_name()

    def append(self, topic: str, payload: bytes) -> bytes:
        number = next(self._ids)
        self._topics[f"topic_id/{topic}".encode()] = b"1"
        self._primary[f"{topic}/{number}".encode()] = payload
        return to_message_id(number)

    def trim(self, topic: str, before: bytes) -> None:
        self._primary.delete_range(f"{topic}/".encode(), f"{topic}/{to_number(before)}".encode())

    def take_down(self) -> None:
        self._data.rename(self._data.with_suffix(".away"))

    def bring_back(self) -> None:
        self._data.with_suffix(".away").rename(self._data)

    def close(self) -> None:
        self.queue.close()
        self._primary.close()
        self._topics.close()


class NatsmqBroker(NumberedBroker):
    """A real NATS server with streams as Milvus makes them; down means kill -9."""

    def __init__(self, server: Nats) -> None:
        self._server = server
        self._streams = Streams(server.address)
        self.queue = NatsmqQueue(server.address)

    def topic(self) -> str:
        return _new_name()

    def append(self, topic: str, payload: bytes) -> bytes:
        return to_message_id(self._streams.append(topic, payload))

    def trim(self, topic: str, before: bytes) -> None:
        self._streams.trim(topic, to_number(before))

    def take_down(self) -> None:
        self._streams.close()
        self._server.kill()

    def bring_back(self) -> None:
        self._server.start().wait_ready()
        self._streams = Streams(self._server.address)

    def close(self) -> None:
        self.queue.close()
        self._streams.close()


def _new_name() -> str:
    return f"by-dev-rootcoord-dml_{uuid.uuid4().hex[:12]}"
