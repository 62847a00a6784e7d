"""Many vchannels over many real workers: a synthetic source and target, a real Redis (`python -m bench scale`)."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import redis

from bench.figures import Figures
from bench.rig import percentile, until
from bench.synthetic.shape import LOAD_KEY, SHARDS, TICK_MS, Load, Shape
from bench.synthetic.source import SyntheticQueue, operations_channel
from bench.usage import Usage, commands
from cdc_core.coordination.channels import ChannelStore
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import Created, TaskStore
from cdc_core.model.connect import MilvusConnect
from cdc_core.model.position import Position
from cdc_core.model.task import Beginning, CollectionSelector, Desired, Task, TaskSpec, TaskState
from cdc_core.model.timestamp import Tso
from cdc_core.names import CATALOG, Keys
from cdc_core.sink.memory import MemoryTarget
from deploy.local.own_process import Worker, procfile
from deploy.local.process import Command
from deploy.local.redis_server import Redis

TASK = "scale"


@dataclass(frozen=True, slots=True)
class Pause:
    """Of a channel that was given away: seconds from leaving its gate until somebody claimed it, and from then until
    it was in step again."""

    unclaimed: float
    joining: float

    @property
    def total(self) -> float:
        return self.unclaimed + self.joining


class SyntheticWorker(Worker):
    """The Procfile's worker with the synthetic application."""

    def _command(self) -> Command:
        command = super()._command()
        line = procfile()[self.line].replace("workers.app", "bench.synthetic.app")
        return Command(["/bin/sh", "-c", f"exec {line}"], command.environment)


class ScaleRig:
    """A Redis and workers; one task over all collections of `shape`."""

    def __init__(self, directory: Path, vchannels: int, workers: int, slots: int) -> None:
        began = int(time.time() * 1000)
        self.shape = Shape(began - began % TICK_MS, vchannels)
        self.redis = Redis(directory / "redis")
        self.workers: list[SyntheticWorker] = []
        self._directory = directory
        self._number = workers
        self._slots = slots
        self.queue = SyntheticQueue(self.shape, Load)
        self.loaded = Load()
        self.keys = Keys()

    def __enter__(self) -> Self:
        self.redis.start().wait_ready()
        self.client = redis.Redis.from_url(self.redis.url(), decode_responses=True)
        self.channels = ChannelStore(self.client, self.keys)
        for _ in range(self._number):
            self.add_worker()
        for worker in self.workers:
            worker.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.terminate() if error is None else worker.kill()
        self.redis.stop()

    def add_worker(self) -> SyntheticWorker:
        """Started, not awaited."""
        name = f"worker-{len(self.workers)}"
        environment = {
            "CDC_REDIS_URL": self.redis.url(0),
            "CDC_BROKER_URL": self.redis.url(1),
            "CDC_SOURCE_MQ": "kafka://127.0.0.1:1",
            "CDC_SOURCE_ETCD_ENDPOINTS": "127.0.0.1:1",
            "CDC_WORKER_SLOTS": str(self._slots),
            "BENCH_DIRECTORY": str(self._directory),
            **self.shape.to_environment(),
        }
        worker = SyntheticWorker(name, self._directory / name, environment)
        self.workers.append(worker)
        worker.start()
        return worker

    def create(self) -> None:
        tails = {name: Position(name, self.queue.tail(name), self._now()) for name in self.shape.pchannels}
        tails[operations_channel()] = Position(operations_channel(), b"", self._now())
        selectors = {"default": (CollectionSelector("*", {}),)}
        spec = TaskSpec(TASK, MilvusConnect(uri="http://target:19530"), selectors)
        existing = frozenset(collection.id for collection in self.shape.collections())
        made = Task(spec, Beginning(tails, existing), Desired.RUNNING, TaskState.INITIAL, "", time.time())
        tasks = TaskStore(self.client, self.keys, Secrets(None))
        if tasks.create(made, tasks.snapshot().revision, 10) is not Created.CREATED:
            raise RuntimeError("the task was not made")

    def load(self, collections: int, rows: int, every: int) -> None:
        """From some seconds on, so that every process learns of it before, until `calm`."""
        self.loaded = Load(self.queue.ticks() + 3_000 // TICK_MS, 1 << 40, collections, rows, every)
        self.client.set(LOAD_KEY, str(self.loaded))
        time.sleep(3.5)

    def calm(self) -> None:
        """The load ends; all of it has arrived when this returns."""
        self.loaded = replace(self.loaded, last=self.queue.ticks() + 3_000 // TICK_MS)
        self.client.set(LOAD_KEY, str(self.loaded))
        time.sleep(6)

    def owners(self) -> dict[str, int]:
        """Worker id -> vchannels that it holds in step now."""
        names = cast("set[str]", self.client.smembers(self.keys.channels(TASK))) - {CATALOG}
        pipe = self.client.pipeline(transaction=False)
        for name in names:
            pipe.hmget(self.keys.channel(TASK, name), "owner", "deadline", "gate")
        found: dict[str, int] = {}
        now = self.channels.now()
        alive = {worker.id for worker in self.workers if worker.alive}
        for owner, deadline, gate in pipe.execute():
            if owner in alive and int(deadline or 0) > now and gate:
                found[owner] = found.get(owner, 0) + 1
        return found

    @property
    def carried(self) -> int:
        return sum(self.owners().values())

    def all_carried(self) -> bool:
        return self.carried == self.shape.vchannels

    def usage(self) -> dict[str, Usage]:
        found = {worker.name: Usage.of(worker.pid) for worker in self.workers if worker.alive}
        return {**found, "redis": Usage.of(self.redis.pid)}

    def moves(self) -> Iterator[tuple[float, str, str]]:
        for path in self._directory.glob("moves-*"):
            for line in path.read_text().splitlines():
                at, event, member = line.split(" ", 2)
                yield float(at), event, member

    def pauses(self, since: float) -> list[Pause]:
        """Of each channel that was given away since then."""
        left: dict[str, tuple[float, float]] = {}
        found = []
        for at, event, member in sorted(self.moves()):
            if event == "leave" and at >= since:
                left[member] = (at, at)
            elif event == "claim" and member in left:
                left[member] = (left[member][0], at)
            elif event == "step" and member in left:
                began, claimed = left.pop(member)
                found.append(Pause(claimed - began, at - claimed))
        return found

    def judged(self) -> MemoryTarget:
        """What all processes sent, in the order of its sending, as a standby takes it."""
        target = MemoryTarget(self.shape.target_pchannels)
        for collection in self.shape.collections():
            target.create_collection(collection)
        sent = []
        for path in self._directory.glob("sent-*"):
            with path.open("rb") as file:
                try:
                    while True:
                        sent.append(pickle.load(file))
                except EOFError:
                    pass
        for _, pchannel, messages, tick in sorted(sent, key=lambda each: each[0]):
            target.send(pchannel, messages, begin=Tso(0), end=Tso(0), tick=tick, timeout=1.0)
        return target

    @staticmethod
    def _now() -> Tso:
        return Tso.of(int(time.time() * 1000))


def measure(
    directory: Path, vchannels: int, workers: int, slots: int, busy: int, seconds: float
) -> Iterator[tuple[str, Figures]]:
    """All phases, one after the other; each as it ends, with how many others wanted the CPU. One vchannel in `busy`
    gets rows; the steady phases take so many seconds."""
    with ScaleRig(directory, vchannels, workers, slots) as rig:
        for name, figures in _phases(rig, busy, seconds):
            yield name, {**figures, "load average": os.getloadavg()[0]}
    yield "judged", _judge(rig)


def _phases(rig: ScaleRig, busy: int, seconds: float) -> Iterator[tuple[str, Figures]]:
    yield "start", _start(rig)
    time.sleep(15)
    yield "idle", _steady(rig, seconds)
    rig.load(max(1, rig.shape.vchannels // busy // SHARDS), rows=10, every=5)
    yield f"1 in {busy} with 10 rows a second", _steady(rig, seconds)
    yield "SIGTERM of the leader", _hand_over(rig)
    yield "one more", _one_more(rig)
    yield "kill -9 of one", _kill(rig)
    rig.calm()


def _start(rig: ScaleRig) -> Figures:
    with _cpu(rig) as figures:
        began = time.monotonic()
        rig.create()
        until(lambda: rig.client.scard(rig.keys.channels(TASK)) > rig.shape.vchannels, "all planned", 300, 0.2)
        planned = time.monotonic() - began
        until(rig.all_carried, "all carried", 300, 0.5)
        figures |= {"planned_s": planned, "all_in_step_s": time.monotonic() - began}
    return figures


def _steady(rig: ScaleRig, seconds: float) -> Figures:
    before, told = rig.usage(), commands(rig.client)
    time.sleep(seconds)
    after, tells = rig.usage(), commands(rig.client)
    figures = {}
    for name in sorted(before.keys() & after.keys()):
        figures[f"{name} CPU %"] = (after[name].cpu - before[name].cpu) / seconds * 100
        figures[f"{name} MB"] = after[name].rss_mb
        figures[f"{name} threads"] = float(after[name].threads)
    figures["workers CPU %"] = sum(value for name, value in figures.items() if "worker-" in name and "CPU" in name)
    figures["all CPU %"] = figures["workers CPU %"] + figures["redis CPU %"]
    figures["scripts/s"] = (tells.get("evalsha", 0) - told.get("evalsha", 0)) / seconds
    figures["commands/s, those in scripts too"] = (sum(tells.values()) - sum(told.values())) / seconds
    for name, calls in sorted(tells.items(), key=lambda item: told.get(item[0], 0) - item[1])[:6]:
        figures[f"  {name}/s"] = (calls - told.get(name, 0)) / seconds
    return figures


def _hand_over(rig: ScaleRig) -> Figures:
    leader = rig.client.get(rig.keys.leader)
    leaving = next(worker for worker in rig.workers if worker.id == leader)  # the worst one
    since, began = time.time(), time.monotonic()
    ended = leaving.terminate()
    until(rig.all_carried, "all carried again", 120, 0.25)
    return {"process_ended_s": ended, "all_in_step_s": time.monotonic() - began, **_told(rig.pauses(since))}


def _one_more(rig: ScaleRig) -> Figures:
    with _cpu(rig) as figures:
        since, began = time.time(), time.monotonic()
        added = rig.add_worker().wait_ready()
        ready = time.monotonic() - began
        share = rig.shape.vchannels / sum(worker.alive for worker in rig.workers)
        until(
            lambda: added.id is not None and rig.owners().get(added.id, 0) >= 0.8 * share, "80 % of a share", 180, 0.5
        )
        most = time.monotonic() - began
        until(lambda: rig.all_carried() and _quiet(rig), "balanced", 180, 0.5)
        loads = sorted(rig.owners().values())
        figures |= {"ready_s": ready, "has_80_percent_s": most, "settled_s": time.monotonic() - began - 5}
        figures |= {"least": loads[0], "most": loads[-1], **_told(rig.pauses(since))}
    return figures


def _quiet(rig: ScaleRig) -> bool:
    """No channel has moved for 5 s."""
    return time.time() - max((at for at, _, _ in rig.moves()), default=0.0) > 5


def _kill(rig: ScaleRig) -> Figures:
    alive = [worker for worker in rig.workers if worker.alive]
    held = rig.owners()[alive[0].id or ""]
    began = time.monotonic()
    alive[0].kill()
    time.sleep(1)
    until(rig.all_carried, "all carried again", 120, 0.25)
    return {"channels": held, "all_in_step_s": time.monotonic() - began}


def _judge(rig: ScaleRig) -> Figures:
    target = rig.judged()
    for line in target.violations[:10]:
        print(line)
    rows = sum(len(target.rows("default", collection.name)) for collection in rig.shape.collections())
    figures = {"rows": rows, "rows of the source": rig.loaded.total}
    return figures | {"sent twice and dropped rightly": target.duplicates, "violations": len(target.violations)}


def _told(pauses: list[Pause]) -> Figures:
    if not pauses:
        return {"moved": 0}
    totals = [pause.total for pause in pauses]
    return {
        "moved": len(pauses),
        "pause p50_s": percentile(totals, 0.5),
        "pause p99_s": percentile(totals, 0.99),
        "pause max_s": max(totals),
        "  of it until claimed, p50_s": percentile([pause.unclaimed for pause in pauses], 0.5),
        "  of it until claimed, p99_s": percentile([pause.unclaimed for pause in pauses], 0.99),
        "  from then to in step, p50_s": percentile([pause.joining for pause in pauses], 0.5),
        "  from then to in step, p99_s": percentile([pause.joining for pause in pauses], 0.99),
    }


@contextmanager
def _cpu(rig: ScaleRig) -> Iterator[dict[str, float]]:
    """Adds what the workers and Redis used meanwhile."""
    figures: dict[str, float] = {}
    before = rig.usage()
    yield figures
    after = rig.usage()
    figures["CPU-s"] = sum(usage.cpu - (before[name].cpu if name in before else 0) for name, usage in after.items())


def to_json(results: Mapping[str, Figures], **about: object) -> str:
    rounded = {name: {k: round(v, 3) for k, v in figures.items()} for name, figures in results.items()}
    return json.dumps({**about, "results": rounded}, indent=2) + "\n"
