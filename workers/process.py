"""What a worker process is made of."""

from __future__ import annotations

import os
import socket
import uuid
from functools import cache, partial

import redis

from cdc_core.clock import SystemClock
from cdc_core.coordination.client import connect
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import TaskStore
from cdc_core.names import Keys
from cdc_core.pipeline.engine import Engine
from cdc_core.settings import Settings
from cdc_core.source.opening import open_source_catalog, open_source_queue
from workers.targets import open_target

WORKER = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
"""This incarnation; never used again."""

KEYS = Keys()


@cache
def settings() -> Settings:
    return Settings.load()


@cache
def state() -> redis.Redis:
    """The connections to the state, shared by all threads."""
    return connect(settings().redis_url)


@cache
def engine() -> Engine:
    """The one engine of this process."""
    given = settings()
    key = given.secret_key.get_secret_value() if given.secret_key else None
    return Engine(
        WORKER,
        state(),
        KEYS,
        tasks=TaskStore(state(), KEYS, Secrets(key)),
        clock=SystemClock(),
        open_queue=lambda: open_source_queue(given),
        open_catalog=lambda: open_source_catalog(given),
        open_target=partial(open_target, state(), KEYS),
        channel_prefix=given.source_channel_prefix,
        default_partition=given.default_partition_name,
        keepalive=given.keepalive,
        unclear_seconds=given.unclear_seconds,
    )
