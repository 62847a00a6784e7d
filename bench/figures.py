"""The measurements; each answers its figures by name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from pymilvus import MilvusClient

from bench.rig import Rig, percentile, rows, until

Figures = Mapping[str, float]


def latency(rig: Rig) -> Figures:
    """From the return of an insert of 10 rows on the source until they are visible on the standby, lightly loaded.

    Asked for 50 times a second, which the figures include: more often takes the CPU from the servers on this machine.
    """
    name = rig.collection("latency", 128)
    found = []
    for number in range(200):
        rig.source.insert(name, rows(number * 10, 10, 128))
        want = (number + 1) * 10
        found.append(until(lambda want=want: rig.count(name) >= want, f"{want} rows", every=0.02))
        time.sleep(0.037 * (number % 7))  # spread over the source's ticks
    return {
        "p50_ms": percentile(found, 0.5) * 1000,
        "p99_ms": percentile(found, 0.99) * 1000,
        "max_ms": max(found) * 1000,
    }


def catchup(rig: Rig) -> Figures:
    """200,000 rows of 128 dimensions wait in the queue when a paused task is resumed."""
    name, total, step = rig.collection("catchup", 128), 200_000, 1_000
    rig.system.api.pause(rig.task)
    for first in range(0, total, step):
        rig.source.insert(name, rows(first, step, 128))
    time.sleep(2)  # all that was told to leave has left, and idles
    before = rig.usage()
    began = time.monotonic()
    rig.system.api.resume(rig.task)
    until(lambda: rig.count(name) >= total, "all rows", every=0.1)
    seconds = time.monotonic() - began
    after = rig.usage()
    return {
        "seconds": seconds,
        "cpu_s": after.cpu - before.cpu,
        "rows_per_s": total / seconds,
        "peak_mb": after.peak_mb,
    }


def small_writes(rig: Rig, clients: int = 16, seconds: float = 20.0) -> Figures:
    """Clients insert single rows into one shard for some seconds: how far behind is the target when they stop?"""
    name = rig.collection("small_writes", 128)
    written = _write_singly(rig, name, clients, seconds)
    behind = written - rig.count(name)
    caught_up = until(lambda: rig.count(name) >= written, "all rows", every=0.01)
    return {"rows": written, "rows_per_s": written / seconds, "behind_rows": behind, "equal_after_s": caught_up}


def idle(rig: Rig, collections: int = 50, seconds: float = 30.0) -> Figures:
    """CPU of all our processes while 50 collections of 2 shards are replicated and nothing happens."""
    for number in range(collections):
        rig.collection(f"idle_{number}", 8, shards=2, load=False)
    time.sleep(10)  # the last ones have been claimed
    before = rig.usage()
    time.sleep(seconds)
    after = rig.usage()
    return {"cpu_percent_of_a_core": (after.cpu - before.cpu) / seconds * 100, "peak_mb": after.peak_mb}


def _write_singly(rig: Rig, name: str, clients: int, seconds: float) -> int:
    ends, counts = time.monotonic() + seconds, [0] * clients

    def write(client: int) -> None:
        own = MilvusClient(rig.stack.source.uri)
        while time.monotonic() < ends:
            own.insert(name, rows(client * 10_000_000 + counts[client], 1, 128))
            counts[client] += 1

    threads = [threading.Thread(target=write, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


MEASUREMENTS: Mapping[str, Callable[[Rig], Figures]] = {
    "latency": latency,
    "catchup": catchup,
    "small_writes": small_writes,
    "idle": idle,
}
