"""A real Kafka of one node (KRaft: broker and controller in one process)."""

import subprocess
from pathlib import Path
from typing import ClassVar

from deploy.local.errors import StartFailed
from deploy.local.kafka_security import GUARDED, KafkaProtocol, KafkaSecurity
from deploy.local.maven import Artifact, jars, java_program, require_java
from deploy.local.ports import Ports
from deploy.local.probes import kafka_brokers
from deploy.local.process import Command
from deploy.local.server import Server

VERSION = "3.9.1"
_CACHED_AS = f"kafka-{VERSION}"
ARTIFACTS = (
    Artifact("org.apache.kafka", "kafka_2.13", VERSION),
    Artifact("org.slf4j", "slf4j-reload4j", "1.7.36"),  # without a binding Kafka logs nothing
)
_CLUSTER_ID = "bWlsdnVzLWNkYy1sb2NhbA"  # any 22 characters that do not begin with "-"
_MESSAGE_BYTES = 16 << 20  # Milvus sends up to 10 MiB
_LOG4J = """log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c %m%n
log4j.logger.kafka.server.KafkaRaftServer=INFO
"""


def kafka_jars() -> Path:
    """Kafka and all it needs (46 MB), downloaded the first time; raises Unavailable."""
    return jars(_CACHED_AS, ARTIFACTS)


def require_kafka() -> None:
    """Raises Unavailable when this machine cannot run it; downloads nothing."""
    require_java(_CACHED_AS)


class Kafka(Server):
    """One broker that makes topics on demand and keeps everything, also through a kill.

    With `security` it has listeners that want a user or TLS, beside the open one.
    """

    advice: ClassVar[str] = "It wants Java 17 and about 0.3 GB of memory."

    def __init__(self, directory: Path, port: int | None = None, security: KafkaSecurity | None = None) -> None:
        """Downloads the server the first time; raises Unavailable. A directory keeps the security it began with."""
        self._java, self._jars = java_program(), kafka_jars()
        self._security = security
        directory = directory.absolute()
        names = ["broker", "controller", *(GUARDED if security else ())]
        super().__init__("kafka", directory, Ports.of(directory, names, {"broker": port}))

    @property
    def port(self) -> int:
        return self._ports["broker"]

    @property
    def address(self) -> str:
        """For clients, as "host:port"."""
        return f"127.0.0.1:{self.port}"

    def address_of(self, protocol: KafkaProtocol) -> str:
        """Of the listener that speaks it, as "host:port"; KeyError without `security`."""
        return self.address if protocol == "PLAINTEXT" else f"127.0.0.1:{self._ports[protocol]}"

    def _properties(self) -> dict[str, object]:
        controller = f"127.0.0.1:{self._ports['controller']}"
        guarded = {protocol: self.address_of(protocol) for protocol in GUARDED} if self._security else {}
        listeners = ",".join(f"{name}://{address}" for name, address in {"PLAINTEXT": self.address, **guarded}.items())
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"{listeners},CONTROLLER://{controller}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": ",".join(
                ["CONTROLLER:PLAINTEXT", "PLAINTEXT:PLAINTEXT", *(f"{name}:{name}" for name in guarded)]
            ),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self.directory / "data",
            "auto.create.topics.enable": "true",
            "num.partitions": 1,
            "default.replication.factor": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "message.max.bytes": _MESSAGE_BYTES,
            "replica.fetch.max.bytes": _MESSAGE_BYTES,
            "socket.request.max.bytes": 2 * _MESSAGE_BYTES,
            "log.retention.ms": -1,
            "log.retention.bytes": -1,
            # The controller takes a killed broker for alive until its session ends, and lets it back only then.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            **(self._security.settings(guarded) if self._security else {}),
        }

    def _prepare(self) -> None:
        properties = "".join(f"{name}={value}\n" for name, value in self._properties().items())
        self._properties_file.write_text(properties)
        self._log4j_file.write_text(_LOG4J)
        if not (self.directory / "data" / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        tool = [*self._jvm(), "kafka.tools.StorageTool", "format", "--ignore-formatted"]
        tool += ["-t", _CLUSTER_ID, "-c", str(self._properties_file)]
        tool += self._security.scram_user() if self._security else []
        done = subprocess.run(tool, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StartFailed(f"kafka's storage in {self.directory} was not formatted:\n{done.stdout}{done.stderr}")

    def _command(self) -> Command:
        return Command([*self._jvm(), "kafka.Kafka", str(self._properties_file)])

    def _jvm(self) -> list[str]:
        log4j = f"-Dlog4j.configuration=file:{self._log4j_file}"
        return [self._java, "-Xmx512m", log4j, "-cp", f"{self._jars}/*"]

    @property
    def _properties_file(self) -> Path:
        return self.directory / "server.properties"

    @property
    def _log4j_file(self) -> Path:
        return self.directory / "log4j.properties"

    def _answers(self) -> bool:
        return kafka_brokers(self.port) == 1
