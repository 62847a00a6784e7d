"""Where a source's topics are in Pulsar, and how one is let in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

AUTH_KINDS = ("token", "basic", "tls")


@dataclass(frozen=True, slots=True)
class PulsarAuth:
    """Credentials as Milvus and the reference have them: the name of a plugin and its parameters.

    `plugin` is one of `AUTH_KINDS` or the Java class of it; `params` is JSON, or `key:value[,key:value]`.
    :raises ValueError: another plugin, or a parameter is missing.
    """

    plugin: str = ""
    params: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        wanted: dict[str, tuple[str, ...]] = {
            "": (),
            "token": ("file" if "file" in self._given else "token",),
            "basic": (self._user_key, "password"),
            "tls": ("tlsCertFile", "tlsKeyFile"),
        }
        if self.kind not in wanted:
            raise ValueError(f"Pulsar's auth plugin {self.plugin!r} is not known: expected {', '.join(AUTH_KINDS)}")
        missing = [name for name in wanted[self.kind] if not self._given.get(name)]
        if missing:
            raise ValueError(f"Pulsar's auth parameters lack {', '.join(missing)}, which the plugin {self.kind} needs")

    @property
    def kind(self) -> str:
        """One of `AUTH_KINDS`, '' without authentication."""
        return self.plugin.rpartition(".")[2].lower().removeprefix("authentication")

    def token(self) -> str:
        """Read anew each time when it is in a file, where it may be exchanged. :raises OSError:"""
        if path := self._given.get("file"):
            return Path(path.removeprefix("//")).read_text(encoding="utf-8").strip()
        return self._given["token"]

    @property
    def user(self) -> tuple[str, str]:
        """And password."""
        return self._given[self._user_key], self._given["password"]

    @property
    def cert_and_key(self) -> tuple[str, str]:
        """Their files."""
        return self._given["tlsCertFile"], self._given["tlsKeyFile"]

    @property
    def _user_key(self) -> str:
        return "userId" if "userId" in self._given else "username"  # Java's name, and everybody else's

    @property
    def _given(self) -> Mapping[str, str]:
        if self.params.lstrip().startswith("{"):
            return {str(key): str(value) for key, value in json.loads(self.params).items()}
        pairs = (part.partition(":") for part in self.params.split(",") if part.strip())
        return {key.strip(): value.strip() for key, _, value in pairs}


@dataclass(frozen=True, slots=True)
class PulsarCluster:
    """`url` is `pulsar://host:port[,host:port]`, or `pulsar+ssl://` for TLS with hosts' names checked.

    `ca_cert` is the file of the authorities to trust, by default the usual ones.
    """

    url: str
    tenant: str = "public"
    namespace: str = "default"
    ca_cert: str = ""
    auth: PulsarAuth = field(default_factory=PulsarAuth)

    @classmethod
    def of(cls, url: str, options: Mapping[str, str]) -> PulsarCluster:
        """`options`: `tenant`, `namespace`, `ca_cert`, `auth_plugin`, `auth_params`. :raises ValueError:"""
        places = {key: options[key] for key in ("tenant", "namespace", "ca_cert") if options.get(key)}
        return cls(url, **places, auth=PulsarAuth(options.get("auth_plugin", ""), options.get("auth_params", "")))

    @property
    def tls(self) -> bool:
        return self.url.startswith("pulsar+ssl://")

    @property
    def hosts(self) -> list[tuple[str, int]]:
        """Any of them may be asked."""
        split = (host.rpartition(":") for host in self.url.partition("://")[2].rstrip("/").split(","))
        return [(host.strip("[]"), int(port)) for host, _, port in split]

    @property
    def path(self) -> str:
        return f"{self.tenant}/{self.namespace}"

    def topic(self, pchannel: str) -> str:
        return f"persistent://{self.path}/{pchannel}"
