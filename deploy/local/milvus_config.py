"""The milvus.yaml of one local Milvus: the wheel's template with our settings in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from deploy.local.ports import Ports

Queue = Literal["rocksmq", "kafka", "pulsar", "natsmq"]

PORT_NAMES = (
    "proxy",
    "internal_proxy",
    "root_coord",
    "query_coord",
    "query_node",
    "index_node",
    "data_coord",
    "data_node",
    "metrics",
    "etcd_client",
    "etcd_peer",
    "nats",
)

# The wheel's own template language: `{{ name(type): default }}`.
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}")


@dataclass(frozen=True, slots=True)
class MilvusTls:
    """TLS at the proxy, files in PEM. With `two_way` only a client comes in whose certificate `ca_pem` has signed."""

    server_pem: Path
    server_key: Path
    ca_pem: Path
    two_way: bool = False


@dataclass(frozen=True, slots=True)
class MilvusOptions:
    """What a local Milvus is to be.

    `name` is its etcd root and its channels' prefix, so that several share an etcd or a broker. `standby` makes it
    a target of replication, which refuses ordinary writes. `broker` is "host:port" for the queues kafka and pulsar;
    without `etcd` ("host:port") it runs its own inside. `session_ttl` is in seconds: so long its roles are taken for
    alive after a kill, which delays its recovery (queries after 35 s with 30, after 10 s with 5), and so long it may
    be suspended before it gives itself up.
    """

    name: str = "by-dev"
    queue: Queue = "rocksmq"
    standby: bool = False
    broker: str | None = None
    etcd: str | None = None
    dml_channels: int = 16
    authorization: bool = False
    tls: MilvusTls | None = None
    session_ttl: int = 30
    log_level: str = "info"

    def __post_init__(self) -> None:
        if (self.broker is not None) != (self.queue in ("kafka", "pulsar")):
            raise ValueError(
                f"queue {self.queue!r} with broker {self.broker!r}: kafka and pulsar need one, others none"
            )


def etcd_config(ports: Ports) -> dict[str, str]:
    """The configuration file of the etcd inside Milvus: without it, it takes 2379 and 2380 and is alone here."""
    client, peer = f"http://127.0.0.1:{ports['etcd_client']}", f"http://127.0.0.1:{ports['etcd_peer']}"
    return {
        "name": "milvus",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"milvus={peer}",
    }


def milvus_config(template: Path, options: MilvusOptions, ports: Ports, data: Path) -> dict[str, Any]:
    """The whole configuration; every path in it is below `data`."""
    config: dict[str, Any] = yaml.safe_load(_PLACEHOLDER.sub("~", template.read_text()))
    settings = _components(ports) | _common(options, data) | _tls(options.tls)
    settings |= _etcd(options, ports, data) | _queue(options, ports, data)
    for path, value in settings.items():
        _set(config, path, value)
    return config


def _components(ports: Ports) -> dict[str, Any]:
    """Ports of the roles; the address is what they tell each other, the server itself listens on all of them."""
    roles = {
        "rootCoord": "root_coord",
        "proxy": "proxy",
        "queryCoord": "query_coord",
        "queryNode": "query_node",
        "indexNode": "index_node",
        "dataCoord": "data_coord",
        "dataNode": "data_node",
    }
    settings: dict[str, Any] = {"proxy.internalPort": ports["internal_proxy"]}
    for role, port in roles.items():
        settings |= {f"{role}.ip": "127.0.0.1", f"{role}.port": ports[port]}
    return settings


def _common(options: MilvusOptions, data: Path) -> dict[str, Any]:
    return {
        "common.chanNamePrefix.cluster": options.name,
        "common.ttMsgEnabled": not options.standby,
        "common.storageType": "local",
        "common.security.authorizationEnabled": options.authorization,
        "common.session.ttl": options.session_ttl,
        "rootCoord.dmlChannelNum": options.dml_channels,
        # What a 2.3.5 deletes while a compaction of its segment ends comes back: "save to dropped segment" (seen).
        "dataCoord.compaction.enableAutoCompaction": False,
        "localStorage.path": str(data / "storage"),
        "log.level": options.log_level,
        "log.file.rootPath": "",
    }


def _tls(tls: MilvusTls | None) -> dict[str, Any]:
    if tls is None:
        return {"common.security.tlsMode": 0}
    return {
        "common.security.tlsMode": 2 if tls.two_way else 1,
        "tls.serverPemPath": str(tls.server_pem),
        "tls.serverKeyPath": str(tls.server_key),
        "tls.caPemPath": str(tls.ca_pem),
    }


def _etcd(options: MilvusOptions, ports: Ports, data: Path) -> dict[str, Any]:
    return {
        "etcd.rootPath": options.name,
        "etcd.endpoints": options.etcd or f"127.0.0.1:{ports['etcd_client']}",
        "etcd.use.embed": options.etcd is None,
        "etcd.config.path": "" if options.etcd else str(data / "configs" / "etcd.yaml"),
        "etcd.data.dir": str(data / "etcd"),
        "etcd.log.path": "stdout",
        "etcd.log.level": "warn",
    }


def _queue(options: MilvusOptions, ports: Ports, data: Path) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "mq.type": options.queue,
        "rocksmq.path": str(data / "rocksmq"),
        "natsmq.server.port": ports["nats"],
        "natsmq.server.storeDir": str(data / "nats"),
        "natsmq.server.monitor.logFile": str(data / "nats.log"),
    }
    if options.broker is not None and options.queue == "kafka":
        settings["kafka.brokerList"] = options.broker
    if options.broker is not None and options.queue == "pulsar":
        host, port = options.broker.rsplit(":", 1)
        settings |= {"pulsar.address": host, "pulsar.port": int(port), "pulsar.maxMessageSize": 10 << 20}
    return settings


def _set(config: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    for name in parents:
        config = config.setdefault(name, {})
    config[last] = value


def write_yaml(file: Path, values: Mapping[str, object]) -> None:
    """Write `values` where a server reads its settings."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(dict(values), sort_keys=False))
