"""The address of the source's message queue, looked at before anybody dials it."""

from __future__ import annotations

from cdc_core.model.connect import Endpoint

QUEUES = (
    "kafka://host:port[,host:port], pulsar://host:port, pulsar+ssl://host:port, rocksmq:///directory or "
    "nats://host:port"
)

_CREDENTIALS = {
    "kafka": "use CDC_SOURCE_KAFKA_USERNAME and CDC_SOURCE_KAFKA_PASSWORD",
    "pulsar": "use CDC_SOURCE_PULSAR_AUTH_PLUGIN and CDC_SOURCE_PULSAR_AUTH_PARAMS",
    "pulsar+ssl": "use CDC_SOURCE_PULSAR_AUTH_PLUGIN and CDC_SOURCE_PULSAR_AUTH_PARAMS",
    "nats": "Milvus' natsmq asks for none",
}
"""By kind of a queue that has a host: where they belong. Addresses are told in logs and reasons."""


def check_queue_uri(text: str) -> str:
    """The same text. :raises ValueError: it is none; says what was expected, never what was given."""
    expected = f"expected {QUEUES}"
    scheme, _, rest = text.partition("://")
    if scheme == "rocksmq":
        if not rest.startswith("/"):
            raise ValueError(f"{expected}; the directory of RocksMQ is absolute")
        return text
    if scheme not in _CREDENTIALS or not rest:
        raise ValueError(expected)
    if "@" in rest:
        raise ValueError(f"credentials do not belong into it; {_CREDENTIALS[scheme]}")
    for server in rest.rstrip("/").split(","):
        if not _has_port(server):
            raise ValueError(expected)
    return text


def _has_port(server: str) -> bool:
    try:
        return Endpoint.bare(server, 0).port != 0
    except ValueError:
        return False
