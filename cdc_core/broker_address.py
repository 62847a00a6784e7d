"""The address of the Celery broker, as kombu has to be told it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cdc_core.sentinel_address import SentinelAddress


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """`tls` is Celery's `broker_use_ssl`; `options` are what its transport options need besides."""

    url: str = field(repr=False)
    tls: Mapping[str, Any] | bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, url: str) -> BrokerAddress:
        """:raises ValueError: says what was expected."""
        if watched := SentinelAddress.parse(url):
            return cls(watched.broker_url, options={"master_name": watched.master})
        parts = urlsplit(url)
        if parts.scheme != "rediss":
            return cls(url)
        # Kombu alone speaks no TLS where it is given a transport, and trusts anybody where it is not. It takes what the
        # URL says of TLS by itself, Flower does not.
        told = {name: value for name, value in parse_qsl(parts.query) if name.startswith("ssl_")}
        return cls(url, tls={"ssl_cert_reqs": ssl.CERT_REQUIRED, **told})
