"""From an address to a queue.

Only the one that is asked for is imported: the clients of all of them take 16 MB of every process.
"""

from __future__ import annotations

from collections.abc import Mapping

from cdc_core.source.base import Queue

_READABLE = (
    "kafka://host:port[,host:port], pulsar://host:port or pulsar+ssl://host:port, "
    "rocksmq:///directory (Milvus' rocksmq.path) and nats://host:port (its natsmq.server.port)"
)


def open_queue(uri: str, options: Mapping[str, str] = {}) -> Queue:
    """The queue at `kafka://host:port[,host:port]`, `pulsar://`, `pulsar+ssl://`, `rocksmq:///directory` or `nats://`.

    Does not connect yet. `options` are, for Kafka, its client's (librdkafka's names), for its security settings; for
    Pulsar those of `PulsarCluster.of`.
    :raises ValueError: no such kind of queue, no address, or wrong options.
    """
    scheme, separator, address = uri.partition("://")
    if not separator or not address.strip("/"):
        raise ValueError(f"{uri!r} is no address of a message queue: expected {_READABLE}")
    if scheme == "kafka":
        from cdc_core.source.kafka import KafkaQueue

        return KafkaQueue(address.rstrip("/"), options)
    if scheme in ("pulsar", "pulsar+ssl"):
        from cdc_core.source.pulsar import PulsarQueue
        from cdc_core.source.pulsar_cluster import PulsarCluster

        return PulsarQueue(PulsarCluster.of(uri.rstrip("/"), options))
    if scheme == "rocksmq":
        from cdc_core.source.rocksmq import RocksmqQueue

        return RocksmqQueue(address)
    if scheme == "nats":
        from cdc_core.source.natsmq import NatsmqQueue

        return NatsmqQueue(address.rstrip("/"))
    raise ValueError(f"a queue of the kind {scheme!r} cannot be read: this version reads {_READABLE}")
