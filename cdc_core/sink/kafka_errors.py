"""Kafka's errors as ours."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from cdc_core.errors import CdcError, Refused, TargetUnavailable, TaskStopped

# ruff: noqa: SLF001 -- names of librdkafka's codes

CREDENTIALS = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
    }
)
RIGHTS = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})
TOPIC = frozenset({KafkaError.TOPIC_EXCEPTION, KafkaError.POLICY_VIOLATION, KafkaError.INVALID_REPLICATION_FACTOR})
TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE, KafkaError.RECORD_LIST_TOO_LARGE})
INVALID = frozenset({KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP})
NOT_SENT = frozenset({KafkaError._PURGE_QUEUE, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
"""It was refused before it left this process."""


def of_error(error: KafkaError, what: str) -> CdcError:
    """`what` was tried, as the subject of a sentence. Pure."""
    code, told = error.code(), f"{what}: {error.str()}"
    if code in CREDENTIALS:
        return TaskStopped(f"{told}; mend username, password, mechanisms and security_protocol in a new task")
    if code in RIGHTS:
        return TaskStopped(f"{told}; allow the user to describe and write the topic, then resume")
    if code in TOPIC:
        return TaskStopped(f"{told}; make the topic, or name another one")
    if code in TOO_LARGE:
        return Refused(f"{told}; raise max.message.bytes of the topic, or make the task with vectors in base64")
    if code in INVALID:
        return Refused(told)
    return TargetUnavailable(told, unclear=code not in NOT_SENT)


def of_exception(error: KafkaException, what: str) -> CdcError:
    """Of a call; nothing was sent by it."""
    found = of_error(error.args[0], what)
    return TargetUnavailable(str(found)) if isinstance(found, TargetUnavailable) else found
