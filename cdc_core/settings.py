"""Settings: environment variables `CDC_*`, then `.env`, then the reference's `cdc.yaml` that `CDC_CONFIG` names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from cryptography.fernet import Fernet
from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from cdc_core.errors import CdcError
from cdc_core.model.connect import Endpoint
from cdc_core.queue_address import QUEUES, check_queue_uri
from cdc_core.redis_address import check_broker_url, check_state_url
from cdc_core.reference_config import Given, ReferenceConfig

PREFIX = "CDC_"
_ENV_FILE = ".env"


class SettingsError(CdcError):
    """Settings are wrong; each is named, with what would be right."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("wrong settings:\n" + "\n".join(f"  {problem}" for problem in problems))


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("expected host:port, e.g. 127.0.0.1:8444")
    return text


def _endpoints(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _etcd_endpoints(endpoints: tuple[str, ...]) -> tuple[str, ...]:
    if not endpoints:
        raise ValueError("expected host:port[,host:port]")
    try:
        return tuple(_etcd_endpoint(endpoint) for endpoint in endpoints)
    except ValueError:
        raise ValueError("expected host:port[,host:port], e.g. 127.0.0.1:2379") from None


def _etcd_endpoint(text: str) -> str:
    """`host:port`, `https://` kept in front of it."""
    scheme, _, address = text.rpartition("://")
    if scheme not in ("", "http", "https"):
        raise ValueError(scheme)
    plain = Endpoint.parse(_address(address.rstrip("/"))).address
    return f"https://{plain}" if scheme == "https" else plain


def _fernet_key(secret: SecretStr) -> SecretStr:
    try:
        Fernet(secret.get_secret_value())
    except ValueError:
        raise ValueError(
            "expected 32 bytes in URL-safe base64; make one with: python -c "
            "'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
        ) from None
    return secret


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"the file {path} does not exist on this host")
    return path


def _reference(value: object) -> object:
    return ReferenceConfig.read(Path(value)) if isinstance(value, str) else value


def _lower(value: object) -> object:
    lowered = value.strip().lower() if isinstance(value, str) else value
    return "warn" if lowered == "warning" else lowered


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _name(text: str) -> str:
    if not text or text != text.strip("/ ") or any(character.isspace() for character in text):
        raise ValueError("expected a name without blanks and without / at its ends, e.g. by-dev")
    return text


Name = Annotated[str, AfterValidator(_name)]
File = Annotated[Path, AfterValidator(_file)]


class Settings(BaseSettings):
    """What every process is started with. Values that may carry credentials are not in its `repr`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=_ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    config: Annotated[ReferenceConfig | None, BeforeValidator(_reference)] = Field(None, repr=False)
    """The file that `CDC_CONFIG` names, the reference's cdc.yaml; the environment wins over it."""

    http_address: Annotated[str, AfterValidator(_address)] = "127.0.0.1:8444"
    redis_url: Annotated[str, AfterValidator(check_state_url)] = Field("redis://127.0.0.1:6379/0", repr=False)
    broker_url: Annotated[str, AfterValidator(check_broker_url)] = Field("redis://127.0.0.1:6379/1", repr=False)

    source_etcd_endpoints: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_endpoints), AfterValidator(_etcd_endpoints)
    ] = ("127.0.0.1:2379",)
    source_etcd_root: Name = "by-dev"
    source_meta_subpath: Name = "meta"
    source_etcd_username: str = ""
    source_etcd_password: SecretStr = Field(SecretStr(""), validate_default=True)
    source_etcd_tls: bool = False
    """For all endpoints; else for those given as https://."""
    source_etcd_ca_cert: File | None = None
    source_etcd_cert: File | None = None
    source_etcd_key: File | None = Field(None, validate_default=True)
    source_channel_prefix: Name = "by-dev"
    source_mq: Annotated[str, AfterValidator(check_queue_uri)] = Field(repr=False)
    source_kafka_username: str = ""
    source_kafka_password: SecretStr = Field(SecretStr(""), validate_default=True)
    source_kafka_mechanism: Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], BeforeValidator(_upper)] = (
        "PLAIN"
    )
    source_kafka_protocol: Annotated[Literal["SASL_PLAINTEXT", "SASL_SSL", "SSL"], BeforeValidator(_upper)] = (
        "SASL_PLAINTEXT"
    )
    """Without a user only SSL means something."""
    source_kafka_ca_cert: File | None = None
    source_pulsar_tenant: Name = "public"
    source_pulsar_namespace: Name = "default"
    source_pulsar_auth_plugin: str = ""
    source_pulsar_auth_params: SecretStr = Field(SecretStr(""), validate_default=True)
    source_pulsar_ca_cert: File | None = None

    worker_slots: int = Field(100, ge=1, le=10_000)
    """Channels that one worker process carries at most."""
    unclear_seconds: float = Field(10.0, ge=0, le=3600, allow_inf_nan=False)
    """How long a call to the target whose outcome is unclear may live on there; ticks wait for it."""
    keepalive: bool = True
    """Ticks on every channel of the target, also when no task writes there."""
    default_partition_name: Name = "_default"

    max_tasks: int = Field(100, ge=1, le=10_000)
    max_name_length: int = Field(256, ge=1)

    secret_key: Annotated[SecretStr, AfterValidator(_fernet_key)] | None = None
    """Encrypts the secrets of tasks at rest."""
    log_level: Annotated[Literal["debug", "info", "warn", "error"], BeforeValidator(_lower)] = "info"
    log_format: Annotated[Literal["json", "console"], BeforeValidator(_lower)] = "json"

    @property
    def http_host(self) -> str:
        return self.http_address.rpartition(":")[0].strip("[]")

    @property
    def http_port(self) -> int:
        return int(self.http_address.rpartition(":")[2])

    @property
    def source_mq_options(self) -> dict[str, str]:
        """What else the source's queue wants to know, as `open_queue` has it."""
        if self.source_mq.startswith("pulsar"):
            return {
                "tenant": self.source_pulsar_tenant,
                "namespace": self.source_pulsar_namespace,
                "auth_plugin": self.source_pulsar_auth_plugin,
                "auth_params": self.source_pulsar_auth_params.get_secret_value(),
                "ca_cert": str(self.source_pulsar_ca_cert or ""),
            }
        return self._kafka_options

    @property
    def _kafka_options(self) -> dict[str, str]:
        if not self.source_kafka_username and self.source_kafka_protocol != "SSL":
            return {}
        options: dict[str, str] = {"security.protocol": self.source_kafka_protocol}
        if self.source_kafka_ca_cert:
            options["ssl.ca.location"] = str(self.source_kafka_ca_cert)
        if self.source_kafka_username:
            options |= {
                "sasl.mechanisms": self.source_kafka_mechanism,
                "sasl.username": self.source_kafka_username,
                "sasl.password": self.source_kafka_password.get_secret_value(),
            }
        return options

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names that were given, here or in the file, and mean nothing; for the log."""
        known = {f"{PREFIX}{name}".upper() for name in type(self).model_fields}
        given = {*os.environ, *dotenv_values(_ENV_FILE, interpolate=False)}
        unknown = sorted(name for name in given if name.upper().startswith(PREFIX) and name.upper() not in known)
        return (*unknown, *(self.config.ignored if self.config else ()))

    @field_validator("*", mode="wrap")
    @classmethod
    def _from_the_file(cls, value: object, handler: ValidatorFunctionWrapHandler) -> object:
        """A wrong value of the file is named as the file names it."""
        if not isinstance(value, Given):
            return handler(value)
        if value.problem:
            raise ValueError(f"{value.key}: {value.problem}")
        try:
            return handler(value.value)
        except ValidationError as error:
            raise ValueError(f"{value.key}: {_plain(error.errors(include_input=False)[0])}") from None

    @field_validator(
        "source_etcd_password", "source_etcd_key", "source_kafka_password", "source_pulsar_auth_params", mode="after"
    )
    @classmethod
    def _both_or_neither(cls, value: SecretStr | Path | None, info: ValidationInfo) -> SecretStr | Path | None:
        other = _PARTNERS[str(info.field_name)]
        given = value.get_secret_value() if isinstance(value, SecretStr) else value
        if other in info.data and bool(info.data[other]) != bool(given):
            raise ValueError(f"expected together with {PREFIX}{other.upper()}, or neither")
        return value

    @field_validator("source_kafka_protocol", mode="after")
    @classmethod
    def _user_or_none(cls, protocol: str, info: ValidationInfo) -> str:
        user = info.data.get("source_kafka_username")
        if protocol == "SASL_SSL" and not user:
            raise ValueError(f"expected together with {PREFIX}SOURCE_KAFKA_USERNAME; SSL is TLS without a user")
        if protocol == "SSL" and user:
            raise ValueError(f"expected SASL_SSL, because {PREFIX}SOURCE_KAFKA_USERNAME is given")
        return protocol

    @field_validator("source_etcd_cert", mode="after")
    @classmethod
    def _only_with_tls_of_etcd(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        """Else it would be left unused, and a password sent in the clear. (Its key comes with it, or not at all.)"""
        tls, authority = info.data.get("source_etcd_tls", True), info.data.get("source_etcd_ca_cert", path)
        endpoints = info.data.get("source_etcd_endpoints", ())
        if path and not tls and not authority and not all(each.startswith("https://") for each in endpoints):
            raise ValueError(
                f"expected TLS with it: {PREFIX}SOURCE_ETCD_TLS=true, {PREFIX}SOURCE_ETCD_CA_CERT, "
                f"or https:// in front of all {PREFIX}SOURCE_ETCD_ENDPOINTS"
            )
        return path

    @field_validator("source_pulsar_ca_cert", mode="after")
    @classmethod
    def _only_with_tls_of_pulsar(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path and info.data.get("source_mq", "").startswith("pulsar://"):
            raise ValueError(f"expected {PREFIX}SOURCE_MQ to be pulsar+ssl://host:port with it")
        return path

    @field_validator("source_kafka_ca_cert", mode="after")
    @classmethod
    def _only_with_tls(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path and info.data.get("source_kafka_protocol") == "SASL_PLAINTEXT":
            raise ValueError(f"expected {PREFIX}SOURCE_KAFKA_PROTOCOL to be SASL_SSL or SSL with it")
        return path

    @classmethod
    def load(cls) -> Settings:
        """From the environment, `.env` and the file that `CDC_CONFIG` names.

        :raises SettingsError: names everything that is wrong, at once.
        """
        try:
            return cls()  # type: ignore[call-arg]  # the required ones come from the sources
        except ValidationError as error:
            raise SettingsError([_worded(problem) for problem in error.errors(include_input=False)]) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the hook's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, _ReferenceSource(settings_cls)


class _ReferenceSource(PydanticBaseSettingsSource):
    """The reference's cdc.yaml, if `CDC_CONFIG` names one."""

    def __call__(self) -> dict[str, Any]:
        path = self.current_state.get("config")
        try:
            return dict(ReferenceConfig.read(Path(path)).settings) if path else {}
        except ValueError:
            return {}  # the field `config` says it, together with all else that is wrong

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  not asked per field
        return None, field_name, False


def _worded(problem: Any) -> str:
    """`CDC_NAME: what would be right`, never what was given: it may be a secret."""
    names = [f"{PREFIX}{str(part).upper()}" for part in problem["loc"][:1]]
    if problem["type"] == "missing":
        return f"{names[0]}: is not set; {_MISSING.get(names[0], 'expected a value')}"
    return ": ".join([*names, _plain(problem)])


def _plain(problem: Any) -> str:
    text: str = problem["msg"]
    return text.removeprefix("Value error, ").replace("Input should be", "expected")


_PARTNERS = {
    "source_etcd_password": "source_etcd_username",
    "source_etcd_key": "source_etcd_cert",
    "source_kafka_password": "source_kafka_username",
    "source_pulsar_auth_params": "source_pulsar_auth_plugin",
}

_MISSING = {
    "CDC_SOURCE_MQ": f"expected the source's queue: {QUEUES}",
}
