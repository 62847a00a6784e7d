"""The queues of the contract tests, each with the hands that write to it, trim it, and take it down."""

from __future__ import annotations

import itertools
import uuid
from pathlib import Path
from typing import Protocol

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from rocksdict import Options, Rdict

from cdc_core.source.base import Queue
from cdc_core.source.kafka import KafkaQueue
from cdc_core.source.memory import MemoryQueue
from cdc_core.source.natsmq import NatsmqQueue
from cdc_core.source.rocksmq import RocksmqQueue
from cdc_core.source.sequence import to_message_id, to_number
from deploy.local import Kafka, Nats
from tests.contract.streams import Streams


class Broker(Protocol):
    """What a contract test needs beside the queue itself."""

    queue: Queue

    def topic(self) -> str:
        """A new name; the topic does not exist."""
        ...

    def append(self, topic: str, payload: bytes) -> bytes:
        """Make the topic if missing; the message id."""
        ...

    def trim(self, topic: str, before: bytes) -> None: ...

    def take_down(self) -> None: ...

    def bring_back(self) -> None: ...

    def close(self) -> None: ...


class MemoryBroker:
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


class KafkaBroker:
    """A real Kafka; down means kill -9."""

    def __init__(self, server: Kafka) -> None:
        self._server = server
        self.queue = KafkaQueue(server.address)
        settings = {"bootstrap.servers": server.address, "log.connection.close": False}
        self._producer = Producer({**settings, "message.max.bytes": 16 << 20, "linger.ms": 0})
        self._admin = AdminClient(settings)

    def topic(self) -> str:
        return _new_name()

    def append(self, topic: str, payload: bytes) -> bytes:
        if topic not in self._admin.list_topics(timeout=10).topics:
            self._admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)
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


class RocksmqBroker:
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


class NatsmqBroker:
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
