"""Real servers on one machine, without containers: the demo's and the tests' Milvus pair and what it needs.

    with Stack(Path("data")) as stack:
        MilvusClient(stack.source.uri)

Everything is an ordinary child process with its data, log and ports in one directory.
"""

from deploy.local.errors import LocalServerError, StartFailed, Unavailable
from deploy.local.etcd import Etcd
from deploy.local.kafka import Kafka
from deploy.local.kafka_security import KafkaProtocol, KafkaSecurity
from deploy.local.milvus import Milvus
from deploy.local.milvus_config import MilvusOptions, MilvusTls
from deploy.local.nats_server import Nats
from deploy.local.pulsar import Pulsar
from deploy.local.pulsar_security import PulsarSecurity
from deploy.local.redis_server import Redis
from deploy.local.server import Server
from deploy.local.stack import Stack

__all__ = [
    "Etcd",
    "Kafka",
    "KafkaProtocol",
    "KafkaSecurity",
    "LocalServerError",
    "Milvus",
    "MilvusOptions",
    "MilvusTls",
    "Nats",
    "Pulsar",
    "PulsarSecurity",
    "Redis",
    "Server",
    "Stack",
    "StartFailed",
    "Unavailable",
]
