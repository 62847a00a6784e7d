"""The address of a Redis whose master Sentinels know."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

from cdc_core.model.connect import Endpoint

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
        if text.partition(":")[0].lower() != SCHEME:
            return None
        try:
            parts = urlsplit(text)
            credentials, _, hosts = parts.netloc.rpartition("@")
            nodes = tuple(_node(host) for host in hosts.split(","))
            options = parse_qs(parts.query, strict_parsing=True)
            (master,) = options.pop("master")
            database = int(parts.path.strip("/") or "0")
        except (ValueError, KeyError):  # what they say repeats the text, and a password may be in it
            raise ValueError(f"expected {EXPECTED}") from None
        if options or parts.fragment or database < 0:
            raise ValueError(f"expected {EXPECTED}")
        username, _, password = credentials.partition(":")
        return cls(nodes, master, database, unquote(username), unquote(password))

    @property
    def broker_url(self) -> str:
        """A Sentinel each, as Celery wants it; the master's name it is told apart (`BrokerAddress`)."""
        user = f"{quote(self.username, '')}:{quote(self.password, '')}@" if self.username or self.password else ""
        return ";".join(f"{SCHEME}://{user}{Endpoint(*node).address}/{self.database}" for node in self.nodes)


def _node(text: str) -> tuple[str, int]:
    node = Endpoint.bare(text, _PORT)
    return node.host, node.port
