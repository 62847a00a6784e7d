"""The reference system's `cdc.yaml`, read as it is: which of its keys is which setting here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_OP_CHANNEL = "-replicate-msg"

_SAME = {
    "address": "http_address",
    "maxTaskNum": "max_tasks",
    "maxNameLength": "max_name_length",
    "logLevel": "log_level",
    "sourceConfig.defaultPartitionName": "default_partition_name",
    "sourceConfig.etcd.address": "source_etcd_endpoints",
    "sourceConfig.etcd.rootPath": "source_etcd_root",
    "sourceConfig.etcd.metaSubPath": "source_meta_subpath",
    "sourceConfig.etcd.enableTLS": "source_etcd_tls",
}
_BEHIND_SWITCH = {
    "sourceConfig.etcd.enableAuth": {
        "sourceConfig.etcd.username": "source_etcd_username",
        "sourceConfig.etcd.password": "source_etcd_password",
    },
    "sourceConfig.etcd.enableTLS": {
        "sourceConfig.etcd.tlsCertPath": "source_etcd_cert",
        "sourceConfig.etcd.tlsKeyPath": "source_etcd_key",
        "sourceConfig.etcd.tlsCACertPath": "source_etcd_ca_cert",
    },
    "sourceConfig.kafka.enableSASL": {
        "sourceConfig.kafka.SASL.username": "source_kafka_username",
        "sourceConfig.kafka.SASL.password": "source_kafka_password",
        "sourceConfig.kafka.SASL.mechanisms": "source_kafka_mechanism",
        "sourceConfig.kafka.SASL.securityProtocol": "source_kafka_protocol",
    },
}
"""Keys that the reference reads only where a switch is on."""
_PULSAR = {
    "sourceConfig.pulsar.tenant": "source_pulsar_tenant",
    "sourceConfig.pulsar.namespace": "source_pulsar_namespace",
    "sourceConfig.pulsar.authPlugin": "source_pulsar_auth_plugin",
    "sourceConfig.pulsar.authParams": "source_pulsar_auth_params",
}
"""They count where the queue is Pulsar."""


@dataclass(frozen=True, slots=True)
class Given:
    """A setting's value as the file has it, under the file's name; `problem` instead when it cannot be one."""

    key: str
    value: Any = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ReferenceConfig:
    """What a `cdc.yaml` says: values by the name of the setting, and the keys that mean nothing here."""

    settings: Mapping[str, Given]
    ignored: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> ReferenceConfig:
        """:raises ValueError: the file cannot be read, or is no mapping."""
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the file {path} cannot be read: {error}") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            raise ValueError(f"{path} is no YAML{f', line {mark.line + 1}' if mark else ''}") from None
        if content is None:
            content = {}
        if not isinstance(content, dict):
            raise ValueError(f"{path} holds no mapping; expected the reference's cdc.yaml")
        return cls.of({key: _text(value) for key, value in _flat(content).items()})

    @classmethod
    def of(cls, keys: Mapping[str, Any]) -> ReferenceConfig:
        """From dotted keys."""
        settings = {name: Given(key, keys[key]) for key, name in _SAME.items() if keys.get(key) is not None}
        used = set(_SAME)
        for switch, behind in _BEHIND_SWITCH.items():
            used |= {switch, *behind}
            if keys.get(switch) is True:
                settings |= {name: Given(key, keys[key]) for key, name in behind.items() if keys.get(key)}
        for read in _DERIVED:
            names, more = read(keys)
            settings |= more
            used |= names
        return cls(settings, tuple(sorted(set(keys) - used)))


def _queue(keys: Mapping[str, Any]) -> tuple[set[str], dict[str, Given]]:
    pulsar, kafka = "sourceConfig.pulsar.address", "sourceConfig.kafka.address"
    used = {pulsar, kafka, *_PULSAR}
    if keys.get(pulsar) and keys.get(kafka):
        both = Given(f"{pulsar} and {kafka}", problem="expected one of them: the queue of the source")
        return used, {"source_mq": both}
    if address := keys.get(pulsar):
        more = {name: Given(key, keys[key]) for key, name in _PULSAR.items() if keys.get(key)}
        return used, {"source_mq": Given(pulsar, _uri(address, "pulsar", "pulsar+ssl")), **more}
    if address := keys.get(kafka):
        return used, {"source_mq": Given(kafka, _uri(address, "kafka"))}
    return used, {}


def _uri(address: object, *schemes: str) -> str:
    """The first scheme in front of it, unless it has one of them."""
    servers = ",".join(address) if isinstance(address, list) else str(address)
    known = tuple(f"{scheme}://" for scheme in schemes)
    return servers if servers.startswith(known) else f"{known[0]}{servers}"


def _op_channel(keys: Mapping[str, Any]) -> tuple[set[str], dict[str, Given]]:
    key = "sourceConfig.replicateChan"
    channel = keys.get(key)
    if not channel:
        return {key}, {}
    prefix = str(channel).removesuffix(_OP_CHANNEL)
    given = Given(key, prefix) if prefix != channel else Given(key, problem=f"expected <channel prefix>{_OP_CHANNEL}")
    return {key}, {"source_channel_prefix": given}


_DERIVED: tuple[Callable[[Mapping[str, Any]], tuple[set[str], dict[str, Given]]], ...] = (_queue, _op_channel)


def _flat(content: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _text(value: Any) -> Any:
    """Numbers as text: a password of digits is a number to YAML."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
