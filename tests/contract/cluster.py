"""Several worker processes in one: each an Engine of its own that can be killed at any of its calls."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import redis

from cdc_core.clock import SystemClock
from cdc_core.coordination.channels import ChannelState, ChannelStore
from cdc_core.coordination.leases import ChannelKey, Order
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import Created, TaskStore
from cdc_core.coordination.workers import Workers
from cdc_core.errors import TargetUnavailable
from cdc_core.model.connect import MilvusConnect
from cdc_core.model.position import Position
from cdc_core.model.rate import NO_LIMITS, RateLimits
from cdc_core.model.task import (
    Beginning,
    CollectionSelector,
    Desired,
    OnUndecodable,
    Task,
    TaskSpec,
    TaskState,
)
from cdc_core.model.timestamp import Tso
from cdc_core.names import Keys
from cdc_core.pipeline.engine import Engine
from cdc_core.pipeline.transport import Keyed, Replicated
from cdc_core.sink.memory import MemoryTarget
from cdc_core.sink.memory_keyed import MemoryKeyedTarget
from cdc_core.source.memory import MemoryQueue
from cdc_core.source.memory_catalog import MemoryCatalog
from tests.contract.recorder import Recorder

T = TypeVar("T")
TARGET = MilvusConnect(uri="http://target:19530")


class RunningClock(SystemClock):
    """The machine's, until it is moved: gates wait by it, and leases run out."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


class Life:
    """A process' life as its calls to the outside see it: after the end nothing gets out and nothing comes back."""

    def __init__(self) -> None:
        self.over = False
        self.lost_answers = 0.0
        self._rng = random.Random(0)
        self._fuse: int | None = None
        self._lock = threading.Lock()

    def burn(self, calls: int) -> None:
        """End at the `calls`-th call from now: half of the time it is still done, and its answer is lost."""
        with self._lock:
            self._fuse = calls

    def calm(self) -> None:
        """No trouble comes any more; what has ended stays so."""
        with self._lock:
            self._fuse = None
            self.lost_answers = 0.0

    def end(self) -> None:
        self.over = True

    def call(self, do: Callable[[], T], error: type[Exception]) -> T:
        """Do it, or raise `error`."""
        if self.over:
            raise error("this process was killed")
        if self._ends_now() and self._rng.random() < 0.5:
            raise error("killed before the call")
        answer = do()
        if self.over or self._rng.random() < self.lost_answers:
            raise error("the answer was lost")
        return answer

    def _ends_now(self) -> bool:
        with self._lock:
            if self._fuse is None:
                return False
            self._fuse -= 1
            ends = self._fuse == 0
            self.over = self.over or ends
            return ends


class MortalRedis(redis.Redis):
    """A connection of a process that may be killed, or whose answers get lost."""

    life: Life

    def execute_command(self, *args: Any, **options: Any) -> Any:
        return self.life.call(lambda: super(MortalRedis, self).execute_command(*args, **options), redis.TimeoutError)

    def pipeline(self, *args: Any, **options: Any) -> Any:
        pipe = super().pipeline(*args, **options)
        execute = pipe.execute
        pipe.execute = lambda *a, **o: self.life.call(lambda: execute(*a, **o), redis.TimeoutError)  # type: ignore[method-assign]
        return pipe


class MortalTarget:
    """The target as one process reaches it: `Sink` or `RowSink`, and `TargetCatalog`."""

    def __init__(self, target: MemoryTarget | MemoryKeyedTarget, life: Life, recorder: Recorder) -> None:
        self._target = target
        self._life = life
        self._recorder = recorder

    def send(self, pchannel: str, messages: Sequence[bytes], *, tick: Tso | None, **more: Any) -> None:
        def do() -> None:
            self._recorder.sending(pchannel, messages, tick)
            self._target.send(pchannel, messages, tick=tick, **more)

        self._life.call(do, TargetUnavailable)

    def tick_all(self, ticks: Mapping[str, Tso], timeout: float) -> Mapping[str, Exception]:
        failed: dict[str, Exception] = {}
        for pchannel, tick in ticks.items():
            try:
                self.send(pchannel, (), begin=tick, end=tick, tick=tick, timeout=timeout)
            except TargetUnavailable as error:
                failed[pchannel] = error
        return failed

    def close(self) -> None:
        """The target outlives the process."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return lambda *a, **o: self._life.call(lambda: found(*a, **o), TargetUnavailable)


class Worker:
    """One process: an engine, a thread per channel, and the renewals that its supervisor would make."""

    def __init__(
        self,
        number: int,
        url: str,
        keys: Keys,
        source: Source,
        target: MemoryTarget | MemoryKeyedTarget,
        rec: Recorder,
    ) -> None:
        self.id = f"worker-{number}-{uuid.uuid4().hex[:6]}"
        self.life = Life()
        self.outcomes: list[str] = []
        self.stopping = False
        self._clock = RunningClock()
        self._client = MortalRedis.from_url(url, decode_responses=True)
        self._client.life = self.life
        self._threads: list[threading.Thread] = []
        mortal = MortalTarget(target, self.life, rec)
        transport = Keyed if isinstance(target, MemoryKeyedTarget) else Replicated
        self.engine = Engine(
            self.id,
            self._client,
            keys,
            tasks=TaskStore(self._client, keys, Secrets(None)),
            clock=self._clock,
            open_queue=lambda: source.queue,
            open_catalog=lambda: source.catalog,
            open_target=lambda _connect: (transport(mortal), mortal),
            channel_prefix="by-dev",
            default_partition="_default",
            keepalive=True,
            unclear_seconds=0.3,
        )
        self.engine.leads = True
        self.engine.start()

    def run(self, key: ChannelKey, ticket: str) -> None:
        """As a Celery message does."""

        def work() -> None:
            self.outcomes.append(self.engine.run(key.task, key.name, ticket, lambda: self.stopping))

        thread = threading.Thread(target=work, name=f"{self.id} {key.name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def renew(self) -> None:
        """As the supervisor does."""
        running = self.engine.running
        if self.stopping:
            for lease in running.values():
                lease.tell(Order.YIELD)
        held = [(key, lease.epoch) for key, lease in running.items()]
        for (key, _), order in zip(held, self.engine.leases.renew(held), strict=True):
            if order is not Order.LOST:
                running[key].renewed(self._clock.monotonic())
            running[key].tell(order)

    def bury(self) -> None:
        """After its life is over: its threads may end. Nothing they do gets out any more."""
        self.life.end()
        self._clock.advance(1e6)
        for lease in self.engine.running.values():
            lease.tell(Order.LOST)
        self.close()

    def close(self) -> None:
        for thread in self._threads:
            thread.join(20.0)
        hanging = [thread.name for thread in self._threads if thread.is_alive()]
        self.engine.close()
        self._client.close()
        assert not hanging, hanging


class Source:
    """Whatever has a queue and a catalog in memory."""

    queue: MemoryQueue
    catalog: MemoryCatalog


class Cluster:
    """The Redis, the target and the workers; also does what the leader does, at the pace of the test."""

    def __init__(self, url: str, source: Any, target: MemoryTarget | MemoryKeyedTarget, rng: random.Random) -> None:
        self.keys = Keys(f"t{uuid.uuid4().hex[:8]}:")
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self.channels = ChannelStore(self.client, self.keys)
        self.tasks = TaskStore(self.client, self.keys, Secrets(None))
        self.tasks.check()
        self.recorder = Recorder(self.client, self.keys, TARGET.identity)
        self.workers: list[Worker] = []
        self._url = url
        self._source = source
        self._target = target
        self._rng = rng
        self._made = 0

    def create(
        self,
        task: str,
        collection: str,
        tails: Mapping[str, Position],
        *,
        positions: Mapping[str, Position] = {},
        on_undecodable: OnUndecodable = OnUndecodable.STOP,
        rate_limits: RateLimits = NO_LIMITS,
    ) -> None:
        selectors = {"default": (CollectionSelector(collection, positions),)}
        spec = TaskSpec(task, TARGET, selectors, on_undecodable=on_undecodable, rate_limits=rate_limits)
        existing = frozenset(self._source.catalog.current().collections)
        made = Task(spec, Beginning(tails, existing), Desired.RUNNING, TaskState.INITIAL, "", time.time())
        assert self.tasks.create(made, self.tasks.snapshot().revision, 10) is Created.CREATED

    def add_worker(self) -> Worker:
        self._made += 1
        worker = Worker(self._made, self._url, self.keys, self._source, self._target, self.recorder)
        self.workers.append(worker)
        return worker

    def step(self, newest: Tso) -> None:
        """One pass: the dead are buried and fenced, leases renewed, what nobody runs is given to somebody."""
        for worker in [each for each in self.workers if each.life.over]:
            self.workers.remove(worker)
            worker.bury()
            self._expire(worker.id)
        if all(worker.stopping for worker in self.workers):
            self.add_worker()
        for worker in self.workers:
            try:
                worker.renew()
            except redis.RedisError:
                continue
        Workers(self.client, self.keys).report_source_clock(newest, 0.0)
        self.recorder.look(self.keys.channel(state.key.task, state.key.name) for state in self.states())
        self._invite()

    def calm_down(self) -> None:
        """Nobody is killed any more, and no answer lost."""
        for worker in self.workers:
            worker.life.calm()

    @property
    def all_live(self) -> bool:
        """Whether nobody is left to be buried."""
        return not any(worker.life.over for worker in self.workers)

    def states(self) -> list[ChannelState]:
        return [state for task in self.tasks.all() for state in self.channels.of_task(task.id)]

    def holds(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for gate in self.client.scan_iter(match=f"{self.keys.prefix}gate:*"):
            found |= {f"{gate} {k}": v for k, v in self.client.hgetall(gate).items() if k[:2] in ("s:", "b:")}
        return found

    def close(self) -> None:
        """Everybody leaves cleanly."""
        for worker in self.workers:
            worker.stopping = True
            worker.renew()
        for worker in self.workers:
            worker.close()
        self.workers = []

    def abandon(self) -> None:
        """After a failed test: nothing is left running."""
        for worker in self.workers:
            worker.life.end()
        for worker in self.workers:
            worker.bury()
        self.client.close()

    def _invite(self) -> None:
        now = self.channels.now()
        desired = {task.id: task.desired for task in self.tasks.all()}
        for state in self.states():
            held = state.owner and state.number("deadline") > now
            wanted = state.unsettled or (desired[state.key.task] is Desired.RUNNING and not state.stopped)
            open_ = [worker for worker in self.workers if not worker.stopping]
            if held or state.done or not wanted or not open_:
                continue
            ticket = uuid.uuid4().hex
            self.client.hset(self.keys.channel(state.key.task, state.key.name), "ticket", ticket)
            self._rng.choice(open_).run(state.key, ticket)

    def _expire(self, worker: str) -> None:
        """The leases of a dead worker run out."""
        for state in self.states():
            if state.owner == worker:
                self.client.hset(self.keys.channel(state.key.task, state.key.name), "deadline", "0")
