"""The connection to the Redis that holds the state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from cdc_core.errors import StateUnavailable
from cdc_core.sentinel_address import SentinelAddress

_CONNECT_SECONDS = 2.0
"""A Redis that is there accepts at once; a request of the API may not hang on one that is not."""
_CONNECTIONS = 32
"""Of one process, whose channels may be hundreds of threads."""
_ANSWER_SECONDS = 5.0
"""The longest script takes milliseconds; an fsync of a busy disk may take a second."""


def connect(url: str) -> redis.Redis:
    """A pool of connections whose answers are text; more threads than connections wait. Does not connect yet.

    A connection that Redis closed meanwhile is opened again once; a call without an answer is not repeated, because
    it may have been done. Sentinels are asked for the master with each new connection.
    """
    options: dict[str, Any] = {
        "max_connections": _CONNECTIONS,
        "timeout": _ANSWER_SECONDS,
        "decode_responses": True,
        "socket_connect_timeout": _CONNECT_SECONDS,
        "socket_timeout": _ANSWER_SECONDS,
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    }
    if watched := SentinelAddress.parse(url):
        return redis.Redis(connection_pool=_pool_of_master(watched, options))
    return redis.Redis(connection_pool=redis.BlockingConnectionPool.from_url(url, **options))


class _PoolOfMaster(SentinelConnectionPool, redis.BlockingConnectionPool):
    """Makes threads wait for a connection, as the other pool does."""


def _pool_of_master(address: SentinelAddress, options: dict[str, Any]) -> _PoolOfMaster:
    waits = {"socket_connect_timeout": _CONNECT_SECONDS, "socket_timeout": _CONNECT_SECONDS}
    credentials = {"username": address.username or None, "password": address.password or None}
    return _PoolOfMaster(  # type: ignore[no-untyped-call]
        address.master,
        Sentinel(address.nodes, sentinel_kwargs=waits),  # type: ignore[no-untyped-call]
        db=address.database,
        **credentials,
        **options,
    )


@contextmanager
def answering() -> Iterator[None]:
    """Redis' failures inside become `StateUnavailable`; its address, which may hold a password, is not told."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.ReadOnlyError) as error:
        raise StateUnavailable(
            f"the Redis of the state (CDC_REDIS_URL) does not answer: {type(error).__name__}"
        ) from error
    except redis.ResponseError as error:
        raise StateUnavailable(f"the Redis of the state (CDC_REDIS_URL) refuses: {error}") from error


def weaknesses(client: redis.Redis) -> list[str]:
    """What in this Redis' configuration would break the promise of exactly once; empty when nothing, or not told."""
    try:
        with answering():
            told = {
                name: client.config_get(name).get(name) for name in ("appendonly", "appendfsync", "maxmemory-policy")
            }
    except StateUnavailable:
        return []  # a managed Redis may not tell
    wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    return [
        f"{name} is {told[name]}, must be {value}" for name, value in wanted.items() if told[name] not in (value, None)
    ]
