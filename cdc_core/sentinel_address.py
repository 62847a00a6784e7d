"""The address of a Redis whose master Sentinels know."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

SCHEME = "sentinel"
EXPECTED = "sentinel://[user:password@]host:port[,host:port]/database?master=name"
_PORT = 26379


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """`nodes` are the Sentinels, hosts and ports; user and password are the Redis', Sentinels are asked without."""

    nodes: tuple[tuple[str, int], ...]
    master: str
    database: int
    username: str = ""
    password: str = ""

    @classmethod
    def parse(cls, text: str) -> SentinelAddress | None:
        """None when it is of another kind. :raises ValueError: says what was expected."""
        parts = urlsplit(text)
        if parts.scheme != SCHEME:
            return None
        credentials, _, hosts = parts.netloc.rpartition("@")
        username, _, password = credentials.partition(":")
        options = parse_qs(parts.query)
        (master,) = options.pop("master", [""])
        database = parts.path.strip("/") or "0"
        if not master or options or not database.isdecimal():
            raise ValueError(f"expected {EXPECTED}")
        nodes = tuple(_node(host) for host in hosts.split(","))
        return cls(nodes, master, int(database), unquote(username), unquote(password))

    @property
    def broker_url(self) -> str:
        """A Sentinel each, as Celery wants it; the master's name it is told apart (`BrokerAddress`)."""
        user = f"{quote(self.username, '')}:{quote(self.password, '')}@" if self.username or self.password else ""
        return ";".join(f"{SCHEME}://{user}{host}:{port}/{self.database}" for host, port in self.nodes)


def _node(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", str(_PORT))
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"expected {EXPECTED}")
    return host, int(port)
