"""Judgements about the target, a Kafka topic. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cdc_core.codec.protobuf import schema_pb2
from cdc_core.errors import CdcError, Retryable
from cdc_core.model.connect import KafkaConnect, VectorFormat
from cdc_core.preflight.check import Check, failed_by, listed, not_looked_at, passed, warned
from cdc_core.preflight.facts import Chosen, KafkaFacts

_UNREACHABLE_ADVICE = "start the brokers, or mend kafka_connect_param.address and sasl.security_protocol"
_REFUSING_ADVICE = "mend kafka_connect_param: the topic's name, and sasl with a user that may describe and write it"
_TOPIC_ADVICE = "make the topic, or let the user make it"
_SIZE_ADVICE = "raise the topic's max.message.bytes, or give extension.vectors base64"

_TYPE = schema_pb2.DataType
_ENVELOPE = 600
"""Bytes of a message beside the row; names are short."""
_NUMBER, _JSON = 24, 65_536
"""Bytes: the longest number, and what a Milvus takes as one JSON value."""
_BITS = {_TYPE.BinaryVector: 1, _TYPE.Float16Vector: 16, _TYPE.BFloat16Vector: 16, _TYPE.FloatVector: 32}
"""Of one dimension."""


def reachable(facts: KafkaFacts) -> Check:
    """The brokers answer and take the credentials."""
    if isinstance(facts.topic, CdcError):
        advice = _UNREACHABLE_ADVICE if isinstance(facts.topic, Retryable) else _REFUSING_ADVICE
        return failed_by("target", facts.topic, advice)
    return passed("target", "Kafka answers and takes the credentials")


def topic(facts: KafkaFacts, connect: KafkaConnect) -> Check:
    """It is there, or can be made."""
    found = facts.topic
    if isinstance(found, CdcError):
        return not_looked_at("topic", "Kafka did not answer")
    if found is not None:
        return passed("topic", f"{found.name!r} has {found.partitions} partitions")
    if isinstance(facts.missing, CdcError):
        return failed_by("topic", facts.missing, _TOPIC_ADVICE)
    return passed("topic", f"{connect.topic!r} will be made, with the brokers' own number of partitions")


def message_size(facts: KafkaFacts, connect: KafkaConnect, collections: Sequence[Chosen]) -> Check:
    """Of the largest rows that the collections' schemas allow."""
    if isinstance(facts.topic, CdcError):
        return not_looked_at("message_size", "Kafka did not answer")
    limit = facts.topic.max_bytes if facts.topic else None
    if limit is None:
        return passed("message_size", "what the topic takes is not known")
    sizes = {each.name: row_bytes(each, connect.vectors) for each in collections}
    if large := sorted(name for name, size in sizes.items() if size > limit):
        message = f"rows may be up to {max(sizes.values())} bytes, the topic takes {limit}: {listed(large)}"
        return warned("message_size", message, _SIZE_ADVICE)
    return passed("message_size", f"the topic takes {limit} bytes, as much as any row")


def row_bytes(chosen: Chosen, vectors: VectorFormat) -> int:
    """The most that a row takes as a message, before compression."""
    schema = schema_pb2.CollectionSchema.FromString(chosen.collection.schema)
    return _ENVELOPE + sum(_field_bytes(field, vectors) for field in schema.fields)


def _field_bytes(field: Any, vectors: VectorFormat) -> int:
    found = {pair.key: int(pair.value) for pair in field.type_params if pair.value.isdecimal()}
    if field.data_type in _BITS:
        size = found.get("dim", 0) * _BITS[field.data_type] // 8
        numbers = size if field.data_type == _TYPE.BinaryVector else found.get("dim", 0)
        return size * 4 // 3 if vectors is VectorFormat.BASE64 else numbers * _NUMBER
    if field.data_type == _TYPE.JSON:
        return _JSON
    text = found.get("max_length", 0)
    return found.get("max_capacity", 1) * max(text, _NUMBER)
