"""The topic of a Kafka target, read back, and what its readers make of it."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

_DOCUMENT = Path(__file__).parent.parent / "docs" / "kafka-target.md"
_READ_SECONDS = 30.0


class KafkaTopic:
    """Of one test; `partitions` 0: whoever writes to it makes it."""

    def __init__(self, address: str, partitions: int = 0, **config: str) -> None:
        self.address = address
        self.name = f"target-{uuid.uuid4().hex[:12]}"
        self.admin = AdminClient({"bootstrap.servers": address, "log_level": 2})
        if partitions:
            made = self.admin.create_topics([NewTopic(self.name, partitions, 1, config=config)])
            made[self.name].result(30)

    @property
    def exists(self) -> bool:
        return self.name in self.admin.list_topics(timeout=10).topics

    def messages(self) -> list[Message]:
        """All that it holds now: partition by partition, in order."""
        options = {"group.id": "test", "fetch.wait.max.ms": 10, "log_level": 2}
        consumer = Consumer({"bootstrap.servers": self.address, **options})
        try:
            partitions = self.admin.list_topics(self.name, timeout=10).topics[self.name].partitions
            places = [TopicPartition(self.name, number, 0) for number in partitions]
            left = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
            consumer.assign(places)
            found: list[Message] = []
            while len(found) < left:
                message = consumer.poll(_READ_SECONDS)
                assert message is not None, f"{self.name} holds {left} messages, and after {len(found)} nothing comes"
                assert message.error() is None, message.error()
                found.append(message)
        finally:
            consumer.close()
        return sorted(found, key=lambda message: (message.partition(), message.offset()))

    def changes(self) -> list[dict[str, Any]]:
        """Of format `rows`."""
        return [json.loads(message.value()) for message in self.messages()]

    def tables(self) -> dict[str, dict[tuple[str, Any], dict[str, Any]]]:
        """By collection id what a reader has that follows the document: partition and key to row."""
        reader = example()
        for message in self.messages():
            reader["apply"](json.loads(message.value()), message.partition())
        found: dict[str, dict[tuple[str, Any], dict[str, Any]]] = {}
        for (_, number), rows in reader["tables"].items():
            assert not found.get(number, {}).keys() & rows.keys(), "a row in two partitions of the topic"
            found.setdefault(number, {}).update(rows)
        return found


def example() -> dict[str, Any]:
    """The names that the reader in docs/kafka-target.md defines, new."""
    code = re.search(r"```python\n(.*?)```", _DOCUMENT.read_text(), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    return names
