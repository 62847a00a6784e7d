"""How a target is reached: the connection parameters of a task."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit


class SinkKind(StrEnum):
    """How a Milvus takes what is written to it."""

    STANDBY = "standby"
    """Into its channels (ReplicateMessage): exactly once, with the source's timestamps; it must run as a standby."""
    SDK = "sdk"
    """By its ordinary API, as any client writes: upserts and deletes by primary key."""


class KafkaFormat(StrEnum):
    """What the messages of a Kafka target look like."""

    ROWS = "rows"
    """One JSON object a row."""
    REFERENCE = "reference"
    """The reference's envelope: `{"data": ..., "info": ...}`."""


class VectorFormat(StrEnum):
    """How vectors stand in JSON."""

    ARRAY = "array"
    BASE64 = "base64"


_DEFAULT_PORTS = {"http": 19530, "tcp": 19530, "https": 443}
_LITE = ".db"
_EXPECTED = "expected http://host:port, https://host:port or host:port"
_EXPECTED_BARE = "expected host:port, the port from 1 to 65535"
_KAFKA_PORT = 9092


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens, in one spelling: lower case, with its port."""

    host: str
    port: int
    tls: bool = False

    @classmethod
    def parse(cls, uri: str) -> Endpoint:
        """From `http://host:port`, `https://host`, `host:port`; without a port 443 for https, else 19530.

        :raises ValueError: it is no such address; the message does not repeat it, credentials may be in it.
        """
        scheme, separator, rest = uri.strip().partition("://")
        if not separator:
            scheme, rest = "http", uri.strip()
        scheme = scheme.lower()
        if scheme not in _DEFAULT_PORTS:
            raise ValueError(f"an unknown scheme; {_EXPECTED}")
        if "@" in rest:
            raise ValueError("credentials do not belong into a uri; use username and password, or token")
        host, port = _host_and_port(rest, _EXPECTED)
        return cls(host, _DEFAULT_PORTS[scheme] if port is None else port, scheme == "https")

    @classmethod
    def bare(cls, text: str, port: int) -> Endpoint:
        """From `host:port`, or `host` and that port: no scheme, no path.

        :raises ValueError: it is none; the message does not repeat it, credentials may be in it.
        """
        if "@" in text:
            raise ValueError("credentials do not belong into an address")
        if "/" in text or "\\" in text or text.endswith(":") or _has_blank(text):
            raise ValueError(f"no address; {_EXPECTED_BARE}")
        host, given = _host_and_port(text, _EXPECTED_BARE)
        return cls(host, port if given is None else given)

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class DialConfig:
    """TLS files on the host that dials: one-way with `server_pem_path`, two-way with ca, client pem and client key."""

    server_name: str = ""
    server_pem_path: str = ""
    ca_pem_path: str = ""
    client_pem_path: str = ""
    client_key_path: str = ""


@dataclass(frozen=True, slots=True)
class MilvusConnect:
    """A Milvus as target; `uri`, or `host` and `port`, as the user gave them."""

    uri: str = ""
    host: str = ""
    port: int = 0
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    enable_tls: bool = False
    dial_config: DialConfig = DialConfig()
    connect_timeout: int = 0
    """Seconds; 0 takes the default."""
    channel_num: int = 0
    """DML channels of the target; 0 takes the default."""
    ignore_partition: bool = False
    sink: SinkKind = SinkKind.STANDBY

    @property
    def file(self) -> str:
        """The path of a Milvus Lite, in one spelling; '' of a server. It is as the workers' directory has it."""
        uri = self.uri.strip()
        return posixpath.normpath(uri) if uri.endswith(_LITE) and "://" not in uri else ""

    @property
    def endpoint(self) -> Endpoint:
        """:raises ValueError: neither `uri` nor `host` and `port` is an address."""
        if self.file:
            raise ValueError(f"a file; {_EXPECTED}")
        if self.uri:
            return Endpoint.parse(self.uri)
        host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host
        return Endpoint.parse(f"{host}:{self.port}")

    @property
    def address(self) -> str:
        """`host:port`, normalized, or the path of a file. :raises ValueError: it is none."""
        return self.file or self.endpoint.address

    @property
    def identity(self) -> str:
        """What makes two tasks' targets the same one."""
        return self.address

    @property
    def tls(self) -> bool:
        """Files to dial with mean TLS, too: nothing travels in the clear by an oversight."""
        files = (self.dial_config.server_pem_path, self.dial_config.ca_pem_path, self.dial_config.client_pem_path)
        return self.enable_tls or any(files) or self.endpoint.tls

    @property
    def auth_token(self) -> str:
        """`token` wins, else `user:password`, else nothing."""
        if self.token:
            return self.token
        return f"{self.username}:{self.password}" if self.username else ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MilvusConnect:
        dial = DialConfig(**data.get("dial_config", {}))
        return cls(**{**data, "dial_config": dial, "sink": SinkKind(data.get("sink", SinkKind.STANDBY))})


@dataclass(frozen=True, slots=True)
class KafkaSasl:
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    mechanisms: str = ""
    security_protocol: str = ""


@dataclass(frozen=True, slots=True)
class KafkaConnect:
    """A Kafka topic as target."""

    address: str
    topic: str
    enable_sasl: bool = False
    sasl: KafkaSasl = KafkaSasl()
    format: KafkaFormat = KafkaFormat.ROWS
    vectors: VectorFormat = VectorFormat.ARRAY

    @property
    def servers(self) -> tuple[Endpoint, ...]:
        """:raises ValueError: one of them is no address."""
        return tuple(Endpoint.bare(server.strip(), _KAFKA_PORT) for server in self.address.split(","))

    @property
    def identity(self) -> str:
        """What makes two tasks' targets the same one: `host:port,host:port/topic`, each server once."""
        try:
            servers = {server.address for server in self.servers}
        except ValueError:  # a task that is older than the check of its address
            servers = {server.strip().lower() for server in self.address.split(",") if server.strip()}
        return f"{','.join(sorted(servers))}/{self.topic}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> KafkaConnect:
        given = {
            "sasl": KafkaSasl(**data.get("sasl", {})),
            "format": KafkaFormat(data.get("format", KafkaFormat.ROWS)),
            "vectors": VectorFormat(data.get("vectors", VectorFormat.ARRAY)),
        }
        return cls(**{**data, **given})


Connect = MilvusConnect | KafkaConnect
"""Any target."""


def _host_and_port(text: str, expected: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:  # its message repeats what is in the port's place, perhaps a password
        raise ValueError(f"no address; {expected}") from None
    if not host or parts.path.strip("/") or parts.query or parts.fragment or port == 0 or _has_blank(host):
        raise ValueError(f"no address; {expected}")
    return host, port


def _has_blank(text: str) -> bool:
    return any(character.isspace() or not character.isprintable() for character in text)
