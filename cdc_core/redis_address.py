"""The URL of a Redis, looked at before anybody uses it: clients tell late what is wrong with one, and repeat it."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, urlsplit

import redis

from cdc_core.model.connect import Endpoint
from cdc_core.sentinel_address import EXPECTED, SentinelAddress

_STATE = f"expected redis://[user:password@]host:port/database, rediss://..., unix:///path or {EXPECTED}"
_BROKER = f"expected redis://[user:password@]host:port/database, rediss://... or {EXPECTED}"
_SIGNS = "; in a password # / ? @ [ are written %23 %2F %3F %40 %5B"
_PORT = 6379
_DATABASE = re.compile(r"/?|/[0-9]{1,6}")
_REQUIREMENTS = ("CERT_REQUIRED", "CERT_OPTIONAL", "CERT_NONE", "required", "optional", "none")
_TLS_OPTIONS = {
    "ssl_ca_certs": (),
    "ssl_certfile": (),
    "ssl_keyfile": (),
    "ssl_cert_reqs": _REQUIREMENTS,
    "ssl_check_hostname": ("true", "false"),
}
"""What kombu takes from a URL, and the words that it knows there; any where there are none."""


def check_state_url(text: str) -> str:
    """The same text. :raises ValueError: says what was expected, never what was given."""
    if SentinelAddress.parse(text):
        return text
    try:
        parts = urlsplit(text)
        if parts.scheme == "unix":
            _look_at_socket(parts)
        else:
            _look_at_server(parts)
        redis.ConnectionPool.from_url(text).make_connection()  # does not connect; knows its options
    except (ValueError, TypeError, redis.RedisError):
        raise ValueError(_STATE + _SIGNS) from None
    return text


def check_broker_url(text: str) -> str:
    """The same text. :raises ValueError: says what was expected, never what was given."""
    if SentinelAddress.parse(text):
        return text
    try:
        parts = urlsplit(text)
        _look_at_server(parts)
        options = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
        known = all(_is_tls_option(name, value) for name, value in options)
    except ValueError:
        raise ValueError(_BROKER + _SIGNS) from None
    if options and not (known and parts.scheme == "rediss"):
        raise ValueError(f"{_BROKER}; with rediss:// perhaps ?{'=...&'.join(_TLS_OPTIONS)}=...")
    return text


def _is_tls_option(name: str, value: str) -> bool:
    words = _TLS_OPTIONS.get(name)
    return words is not None and (not words or value in words)


def _look_at_server(parts: SplitResult) -> None:
    """:raises ValueError:"""
    Endpoint.bare(parts.netloc.rpartition("@")[2], _PORT)
    wrong = parts.scheme not in ("redis", "rediss") or not _DATABASE.fullmatch(parts.path)
    if wrong or parts.fragment or "@" in parts.query:
        raise ValueError


def _look_at_socket(parts: SplitResult) -> None:
    """:raises ValueError:"""
    if parts.netloc.rpartition("@")[2] or len(parts.path) < 2 or parts.fragment:
        raise ValueError
