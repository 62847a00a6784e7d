"""What a look at a real Kafka finds; it makes nothing."""

from __future__ import annotations

import pytest

from cdc_core.errors import TargetUnavailable, TaskStopped
from cdc_core.model.connect import KafkaConnect, KafkaSasl
from cdc_core.preflight.facts import KafkaFacts
from cdc_core.preflight.kafka_look import look_at_kafka
from cdc_core.sink.kafka_cluster import Topic
from deploy.local import Kafka
from tests.kafka_topic import KafkaTopic
from tests.servers import KAFKA_USER

pytestmark = pytest.mark.contract


def test_a_topic_that_is_there(kafka_server: Kafka) -> None:
    topic = KafkaTopic(kafka_server.address, 3, **{"max.message.bytes": "20000"})
    assert look_at_kafka(KafkaConnect(topic.address, topic.name)) == KafkaFacts(Topic(topic.name, 3, 20_000))


def test_a_topic_that_is_missing_and_may_be_made(kafka_server: Kafka) -> None:
    topic = KafkaTopic(kafka_server.address)
    assert look_at_kafka(KafkaConnect(topic.address, topic.name)) == KafkaFacts(None)
    assert not topic.exists


def test_a_wrong_password_and_a_name_that_is_none(kafka_server: Kafka, secured_kafka: Kafka) -> None:
    sasl = KafkaSasl(KAFKA_USER[0], "wrong-secret")
    address = secured_kafka.address_of("SASL_PLAINTEXT")
    facts = look_at_kafka(KafkaConnect(address, "t", enable_sasl=True, sasl=sasl))
    assert isinstance(facts.topic, TaskStopped)
    assert "wrong-secret" not in str(facts.topic)
    facts = look_at_kafka(KafkaConnect(kafka_server.address, "no topic"))
    assert isinstance(facts.topic, TaskStopped)


def test_nobody_there() -> None:
    facts = look_at_kafka(KafkaConnect("127.0.0.1:1", "t"))
    assert isinstance(facts.topic, TargetUnavailable)
    assert facts.missing is None
