"""The measurements; each answers its figures by name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pymilvus import MilvusClient

from bench.ceiling import ceiling
from bench.rig import Rig, percentile, rows, until
from bench.tick_watch import TickWatch

Figures = Mapping[str, float]


def latency(rig: Rig) -> Figures:
    """From the return of an insert of 10 rows on the source until they are visible on the standby, lightly loaded.

    Asked for 100 times a second, which the figures include: more often takes the CPU from the servers on this machine.
    `after_tick`: since the source's tick above the rows has come to its queue. How long that takes differs from start
    to start of a source, by the phases of its ticks, and is nobody's but the source's.
    """
    name = rig.collection("latency", 128)
    inserted, seen = [], []
    assert rig.stack.kafka
    with TickWatch(rig.stack.kafka.address, rig.vchannel(name)) as ticks:
        for number in range(200):
            rig.source.insert(name, rows(number * 10, 10, 128))
            inserted.append(time.monotonic())
            want = (number + 1) * 10
            until(partial(_has, rig, name, want), f"{want} rows", every=0.01)
            seen.append(time.monotonic())
            time.sleep(0.037 * (number % 7))  # spread over the source's ticks
    whole = [visible - done for visible, done in zip(seen, inserted, strict=True)]
    after = [visible - tick for visible, tick in zip(seen, ticks.covered, strict=True)]
    return {
        "p50_ms": percentile(whole, 0.5) * 1000,
        "p99_ms": percentile(whole, 0.99) * 1000,
        "max_ms": max(whole) * 1000,
        "after_tick_p50_ms": percentile(after, 0.5) * 1000,
        "after_tick_p99_ms": percentile(after, 0.99) * 1000,
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


def live_load(rig: Rig) -> Figures:
    """200,000 rows of 128 dimensions as fast as the source takes them from one client."""
    name, total, step = rig.collection("live_load", 128), 200_000, 1_000
    before = rig.usage()
    began = time.monotonic()
    for first in range(0, total, step):
        rig.source.insert(name, rows(first, step, 128))
    source_seconds = time.monotonic() - began
    caught_up = until(lambda: rig.count(name) >= total, "all rows", every=0.02)
    spent = rig.usage().cpu - before.cpu
    return {
        "rows_per_s": total / source_seconds,
        "equal_after_s": caught_up,
        "cpu_s_per_million_rows": spent / total * 1e6,
    }


def resumes(rig: Rig, times: int = 20) -> Figures:
    """Pause and resume under load, each time with a kill -9 of a worker right after the resume: doubled rows."""
    name = rig.collection("resumes", 16)
    written = 0
    for number in range(times):
        rig.system.api.pause(rig.task)
        for _ in range(5):
            rig.source.insert(name, rows(written, 100, 16))
            written += 100
        rig.system.api.resume(rig.task)
        worker = rig.system.workers[number % len(rig.system.workers)]
        worker.kill()
        worker.start().wait_ready()
    until(lambda: rig.count(name) >= written, "all rows", every=0.1)
    time.sleep(5)  # what would be written late is there
    return {"rows": written, "doubled": rig.count(name) - written}


def small_writes(rig: Rig, clients: int = 16, seconds: float = 20.0) -> Figures:
    """Clients insert single rows into one shard for some seconds: how far behind is the target when they stop?"""
    name = rig.collection("small_writes", 128)
    written = _write_singly(rig, name, clients, seconds)
    behind = written - rig.count(name)
    caught_up = until(lambda: rig.count(name) >= written, "all rows", every=0.01)
    return {"rows": written, "rows_per_s": written / seconds, "behind_rows": behind, "equal_after_s": caught_up}


def small_writes_8(rig: Rig, seconds: float = 20.0) -> Figures:
    """The same with two clients for each of 8 collections."""
    names = [rig.collection(f"small_writes_{number}", 128) for number in range(8)]
    with ThreadPoolExecutor(max_workers=len(names)) as threads:
        counts = list(threads.map(lambda name: _write_singly(rig, name, 2, seconds), names))
    behind = sum(counts) - sum(max(0, rig.count(name)) for name in names)
    wanted = dict(zip(names, counts, strict=True))
    caught_up = until(lambda: all(rig.count(name) >= wanted[name] for name in names), "all rows", every=0.01)
    return {
        "rows": sum(counts),
        "rows_per_s": sum(counts) / seconds,
        "behind_rows": behind,
        "equal_after_s": caught_up,
    }


def idle(rig: Rig, collections: int = 50, seconds: float = 30.0) -> Figures:
    """CPU of all our processes while 50 collections of 2 shards are replicated and nothing happens."""
    for number in range(collections):
        rig.collection(f"idle_{number}", 8, shards=2, load=False)
    time.sleep(10)  # the last ones have been claimed
    before = rig.usage()
    time.sleep(seconds)
    after = rig.usage()
    return {
        "cpu_percent_of_a_core": (after.cpu - before.cpu) / seconds * 100,
        "resident_mb": after.resident_mb,
        "peak_mb": after.peak_mb,
    }


def _has(rig: Rig, name: str, rows: int) -> bool:
    return rig.count(name) >= rows


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
    "live_load": live_load,
    "small_writes": small_writes,
    "small_writes_8": small_writes_8,
    "resumes": resumes,
    "idle": idle,
    "ceiling": ceiling,
}
