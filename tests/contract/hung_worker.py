"""A worker process of which one channel hangs for good.

    python -m tests.contract.hung_worker <Redis> <prefix of the keys> <ticket of the catalog>

Its target is opened, and that never returns. Each line of its input is a number of seconds by which its clock jumps.
"""

from __future__ import annotations

import sys
import threading
from typing import NoReturn

import redis

from cdc_core.coordination.log_switch import LogSwitch
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import TaskStore
from cdc_core.coordination.workers import Workers
from cdc_core.model.connect import Connect
from cdc_core.names import CATALOG, Keys
from cdc_core.pipeline.engine import Engine
from cdc_core.source.memory import MemoryQueue
from cdc_core.source.memory_catalog import MemoryCatalog
from tests.contract.cluster import RunningClock
from workers.supervisor import Supervisor


def main(url: str, prefix: str, ticket: str) -> None:
    client, keys, clock = redis.Redis.from_url(url, decode_responses=True), Keys(prefix), RunningClock()
    engine = Engine(
        "hung",
        client,
        keys,
        tasks=TaskStore(client, keys, Secrets(None)),
        clock=clock,
        open_queue=MemoryQueue,
        open_catalog=MemoryCatalog,
        open_target=_hang,
        channel_prefix="by-dev",
        default_partition="_default",
        keepalive=True,
        unclear_seconds=0.3,
    )
    engine.start()
    Supervisor(engine, Workers(client, keys), 10, LogSwitch(client, keys), clock).start()
    threading.Thread(target=engine.run, args=("one", CATALOG, ticket, lambda: False), daemon=True).start()
    for line in sys.stdin:
        clock.advance(float(line))


def _hang(_connect: Connect) -> NoReturn:
    threading.Event().wait()
    raise AssertionError("it waits for ever")


if __name__ == "__main__":
    main(*sys.argv[1:])
