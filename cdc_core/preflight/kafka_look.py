"""Looks at a Kafka target. Blocks some seconds at most; an error stands where the answer would be."""

from __future__ import annotations

from cdc_core.model.connect import KafkaConnect
from cdc_core.preflight.facts import KafkaFacts, answer_of
from cdc_core.preflight.target_look import ANSWER_SECONDS
from cdc_core.sink.kafka_cluster import KafkaCluster


def look_at_kafka(connect: KafkaConnect) -> KafkaFacts:
    """Makes no topic; one that is missing is asked for with `validate_only`."""
    cluster = KafkaCluster(connect)
    topic = answer_of(lambda: cluster.topic(ANSWER_SECONDS))
    missing = answer_of(lambda: cluster.may_make_topic(ANSWER_SECONDS)) if topic is None else None
    return KafkaFacts(topic, missing)
