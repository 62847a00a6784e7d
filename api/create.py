"""From the data of a `create` request to a task's spec: every rule that looks at the request alone. Pure."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from api.errors import RefusedError, shortened
from cdc_core.model.catalog import DEFAULT_DATABASE
from cdc_core.model.channel import VChannel, op_channel
from cdc_core.model.connect import (
    Connect,
    DialConfig,
    KafkaConnect,
    KafkaFormat,
    KafkaSasl,
    MilvusConnect,
    SinkKind,
    VectorFormat,
)
from cdc_core.model.position import Position
from cdc_core.model.task import ANY, BufferConfig, CollectionSelector, NameMapping, OnUndecodable, RateLimits, TaskSpec
from cdc_core.settings import Settings
from cdc_core.transform.mapping import mistakes

DEFAULT_CONNECT_TIMEOUT = 10
"""Seconds."""
DEFAULT_CHANNEL_NUM = 16
"""What a Milvus has if nobody changed it."""

_TASK_ID = re.compile(r"[A-Za-z0-9_.:@-]{1,256}")
"""No `/`: Redis keys and a gate's members are `<task>/<channel>`."""
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_PROTOCOLS = ("SASL_PLAINTEXT", "SASL_SSL")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""What Kafka takes for a topic's name."""

_Word = TypeVar("_Word", bound=StrEnum)


def spec_of(data: Mapping[str, Any], settings: Settings) -> TaskSpec:
    """:raises RefusedError: names everything that is wrong, at once."""
    return _Reading(data, settings).spec()


@dataclass(slots=True)
class _Reading:
    """One request being read; what is wrong collects in `problems`."""

    data: Mapping[str, Any]
    settings: Settings
    problems: list[str] = field(default_factory=list)

    def spec(self) -> TaskSpec:
        spec = TaskSpec(
            task_id=self._task_id(),
            target=self._target(),
            selectors=self._selectors(),
            by_database=bool(self.data.get("db_collections")),
            op_position=self._op_position(),
            name_mapping=tuple(self._name_mapping()),
            enable_user_role=self.data.get("extra_info", {}).get("enable_user_role", False),
            buffer_config=self._buffer_config(),
            disable_auto_start=self.data.get("disable_auto_start", False),
            on_undecodable=self._on_undecodable(),
            rate_limits=self._rate_limits(),
        )
        self.problems += mistakes(spec)
        if self.problems:
            raise RefusedError.of(self.problems)
        return spec

    def _task_id(self) -> str:
        given: str = self.data.get("task_id", "")
        if given and not _TASK_ID.fullmatch(given):
            self._wrong(
                f"task_id: {shortened(given)!r} is none; expected up to 256 of the characters A-Z a-z 0-9 _ - . : @"
            )
        return given or uuid.uuid4().hex

    def _target(self) -> Connect:
        milvus, kafka = self.data.get("milvus_connect_param", {}), self.data.get("kafka_connect_param", {})
        if not any(milvus.get(key) for key in ("uri", "host", "port")) and not any(
            kafka.get(key) for key in ("address", "topic")
        ):
            self._wrong("expected a downstream: milvus_connect_param.uri, or its host and port, or kafka_connect_param")
        elif any(kafka.get(key) for key in ("address", "topic")):
            if any(milvus.get(key) for key in ("uri", "host", "port")):
                self._wrong("milvus_connect_param and kafka_connect_param: expected one downstream, not both")
            self._refuse_extension("of a Milvus", "sink")
            return self._kafka(kafka)
        else:
            self._refuse_extension("of Kafka", "format", "vectors")
            return self._milvus(milvus)
        return MilvusConnect()

    def _milvus(self, given: Mapping[str, Any]) -> MilvusConnect:
        sink = self._extension("sink", SinkKind, SinkKind.STANDBY)
        connect = MilvusConnect(**{**given, "dial_config": DialConfig(**given.get("dial_config", {})), "sink": sink})
        self.problems += (f"milvus_connect_param.{problem}" for problem in _milvus_problems(connect))
        return MilvusConnect.from_dict(
            connect.to_dict()
            | {
                "connect_timeout": connect.connect_timeout or DEFAULT_CONNECT_TIMEOUT,
                "channel_num": connect.channel_num or DEFAULT_CHANNEL_NUM,
            }
        )

    def _kafka(self, given: Mapping[str, Any]) -> KafkaConnect:
        sasl = KafkaSasl(**given.get("sasl", {}))
        connect = KafkaConnect(
            given.get("address", ""),
            given.get("topic", ""),
            given.get("enable_sasl", False),
            sasl,
            self._extension("format", KafkaFormat, KafkaFormat.ROWS),
            self._extension("vectors", VectorFormat, VectorFormat.ARRAY),
        )
        self.problems += (f"kafka_connect_param.{problem}" for problem in _kafka_problems(connect))
        return connect

    def _refuse_extension(self, whose: str, *names: str) -> None:
        for name in sorted(self.data.get("extension", {}).keys() & set(names)):
            self._wrong(f"extension.{name}: is {whose}, which this target is not")

    def _extension(self, name: str, words: type[_Word], default: _Word) -> _Word:
        given = self.data.get("extension", {}).get(name, default)
        if given in tuple(words):
            return words(given)
        self._wrong(f"extension.{name}: {shortened(given)!r} is none; expected {' or '.join(words)}")
        return default

    def _selectors(self) -> dict[str, tuple[CollectionSelector, ...]]:
        infos, databases = self.data.get("collection_infos", []), self.data.get("db_collections", {})
        if infos and databases:
            self._wrong("collection_infos and db_collections: expected one of them, not both")
        elif not infos and not databases:
            self._wrong("expected collection_infos or db_collections: what is to be replicated")
        path = "db_collections" if databases else "collection_infos"
        selectors = {}
        for database, entries in (databases or {DEFAULT_DATABASE: infos}).items():
            self._check_name(f"{path}: the name of a database", database)
            where = f"db_collections.{shortened(database)}" if databases else "collection_infos"
            if databases and not entries:
                self._wrong(f"{where}: expected at least one collection, or {ANY!r}")
            selectors[database] = tuple(self._selector(f"{where}[{i}]", entry) for i, entry in enumerate(entries))
            for name in _repeated([selector.name for selector in selectors[database]]):
                self._wrong(f"{where}: {shortened(name)!r} is there twice")
        return selectors

    def _selector(self, where: str, info: Mapping[str, Any]) -> CollectionSelector:
        name, given = info.get("name", ""), info.get("positions", {})
        self._check_name(f"{where}.name", name)
        if name == ANY and given:
            self._wrong(f"{where}.positions: not with {ANY!r}, a position belongs to one collection")
        positions = {}
        for channel, text in given.items():
            if position := self._position(f"{where}.positions.{shortened(channel)}", text):
                positions[channel] = position
        if len(set(self._collection_ids(where, given))) > 1:
            self._wrong(f"{where}.positions: belong to different collections")
        return CollectionSelector(name, positions, info.get("use_start_position", False))

    def _collection_ids(self, where: str, channels: Mapping[str, str]) -> Iterator[int]:
        for channel in channels:
            try:
                yield VChannel.parse(channel).collection_id
            except ValueError:
                expected = "<pchannel>_<collection id>v<shard>"
                self._wrong(f"{where}.positions: {shortened(channel)!r} is no vchannel; expected {expected}")

    def _position(self, where: str, text: str) -> Position | None:
        try:
            if text:
                return Position.from_base64(text)
        except ValueError:
            pass
        self._wrong(f"{where}: expected a position, the base64 of a MsgPosition")
        return None

    def _op_position(self) -> Position | None:
        info = self.data.get("rpc_channel_info", {})
        configured = op_channel(self.settings.source_channel_prefix)
        if info.get("name", configured) not in ("", configured):
            self._wrong(f"rpc_channel_info.name: expected the configured channel {configured!r}")
        text = info.get("position", "")
        return self._position("rpc_channel_info.position", text) if text else None

    def _name_mapping(self) -> Iterator[NameMapping]:
        for i, given in enumerate(self.data.get("name_mapping", [])):
            where = f"name_mapping[{i}]"
            mapping = NameMapping(
                given.get("source_db", ""), given.get("target_db", ""), dict(given.get("collection_mapping", {}))
            )
            self._check_name(f"{where}.source_db", mapping.source_db)
            self._check_name(f"{where}.target_db", mapping.target_db)
            for source, target in mapping.collections.items():
                self._check_name(f"{where}.collection_mapping", source)
                self._check_name(f"{where}.collection_mapping.{shortened(source)}", target)
            yield mapping

    def _buffer_config(self) -> BufferConfig:
        config = BufferConfig(**self.data.get("buffer_config", {}))
        for key, value in (("period", config.period), ("size", config.size)):
            if value < 0:
                self._wrong(f"buffer_config.{key}: is below zero")
        return config

    def _on_undecodable(self) -> OnUndecodable:
        given = self.data.get("on_undecodable", OnUndecodable.STOP)
        if given in tuple(OnUndecodable):
            return OnUndecodable(given)
        self._wrong(f"on_undecodable: {shortened(given)!r} is none; expected {' or '.join(OnUndecodable)}")
        return OnUndecodable.STOP

    def _rate_limits(self) -> RateLimits:
        given = self.data.get("extension", {})
        return RateLimits(given.get("max_rows_per_second", 0), given.get("max_bytes_per_second", 0))

    def _check_name(self, where: str, name: str) -> None:
        limit = self.settings.max_name_length
        if not name.strip():
            self._wrong(f"{where}: is empty")
        elif len(name.encode()) > limit:
            self._wrong(f"{where}: {shortened(name, 40)!r} is longer than {limit} bytes")

    def _wrong(self, problem: str) -> None:
        self.problems.append(problem)


def _milvus_problems(connect: MilvusConnect) -> Iterator[str]:
    yield from _address_problems(connect)
    if bool(connect.username) != bool(connect.password):
        yield "username and password: expected both or neither"
    for name, value in (("connect_timeout", connect.connect_timeout), ("channel_num", connect.channel_num)):
        if value < 0:
            yield f"{name}: is below zero"
    dial = connect.dial_config
    for name, text in asdict(dial).items():
        if not text.isprintable():
            yield f"dial_config.{name}: {shortened(text)!r} has characters that cannot be printed"
    two_way = (dial.ca_pem_path, dial.client_pem_path, dial.client_key_path)
    if any(two_way) and not all(two_way):
        yield "dial_config: expected ca_pem_path, client_pem_path and client_key_path together (two-way TLS)"


def _address_problems(connect: MilvusConnect) -> Iterator[str]:
    if connect.file:
        yield from _file_problems(connect)
        return
    if not connect.uri:
        if not connect.host:
            yield "host: expected with port, or uri"
            return
        if not 0 < connect.port < 65536:
            yield "port: expected 1 to 65535 with host"
            return
    try:
        by_uri = connect.endpoint
        both = connect.host and connect.port
        by_host = MilvusConnect(host=connect.host, port=connect.port).endpoint if both else by_uri
    except ValueError as error:
        yield f"{'uri' if connect.uri else 'host'}: {error}"
        return
    if by_uri.address != by_host.address:
        yield "uri: is another address than host and port; expected one of them"


def _file_problems(connect: MilvusConnect) -> Iterator[str]:
    """Of a Milvus Lite, which knows no users and no TLS."""
    if not connect.file.isprintable():
        yield "uri: the name of the file has characters that cannot be printed"
    if connect.sink is not SinkKind.SDK:
        yield 'uri: is a file of Milvus Lite, which is no standby; give "extension": {"sink": "sdk"} with it'
    dial = connect.dial_config
    others = (connect.host, connect.port, connect.auth_token, connect.enable_tls, *astuple(dial))
    if any(others):
        yield "uri: is a file; expected no host, port, credentials or TLS with it"


def _kafka_problems(connect: KafkaConnect) -> Iterator[str]:
    for key, value in (("address", connect.address), ("topic", connect.topic)):
        if not value:
            yield f"{key}: expected with the other of address and topic"
    if connect.address:
        yield from _server_problems(connect)
    if connect.topic and (not _TOPIC.fullmatch(connect.topic) or connect.topic in (".", "..")):
        yield f"topic: {shortened(connect.topic)!r} is none; expected up to 249 of the characters A-Z a-z 0-9 . _ -"
    sasl = connect.sasl
    if connect.enable_sasl and not (sasl.username and sasl.password):
        yield "sasl: expected username and password with enable_sasl"
    for key, value, words in (
        ("mechanisms", sasl.mechanisms, _MECHANISMS),
        ("security_protocol", sasl.security_protocol, _PROTOCOLS),
    ):
        if connect.enable_sasl and value not in ("", *words):
            yield f"sasl.{key}: {shortened(value)!r} is none; expected {' or '.join(words)}"


def _server_problems(connect: KafkaConnect) -> Iterator[str]:
    if "@" in connect.address:
        yield "address: credentials do not belong into it; use enable_sasl, sasl.username and sasl.password"
        return
    try:
        _ = connect.servers
    except ValueError:
        yield "address: expected host:port[,host:port], each port from 1 to 65535 (9092 where there is none)"


def _repeated(names: list[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
