"""One process: what all its channels share, and how one of them is run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import redis
import structlog

from cdc_core.clock import Clock
from cdc_core.coordination.barriers import Barriers
from cdc_core.coordination.channels import ChannelState, ChannelStore
from cdc_core.coordination.gates import Gates
from cdc_core.coordination.leases import ChannelKey, Claim, Leases, Refusal
from cdc_core.coordination.objects import Objects
from cdc_core.coordination.rates import Rates
from cdc_core.coordination.requests import Requests
from cdc_core.coordination.tasks import TaskStore
from cdc_core.coordination.wake import WakeBus
from cdc_core.errors import CdcError, CollectionStopped, Fatal, LeaseLost, Refused, TaskStopped
from cdc_core.model.connect import Connect
from cdc_core.model.message import Message
from cdc_core.model.plan import Plan
from cdc_core.model.position import Position
from cdc_core.model.task import Task
from cdc_core.names import CATALOG, Keys
from cdc_core.pipeline.addresses import Addresses
from cdc_core.pipeline.batch import Batch
from cdc_core.pipeline.catalog_loop import CatalogLoop
from cdc_core.pipeline.dead_letter_office import DeadLetterOffice
from cdc_core.pipeline.lease import Lease
from cdc_core.pipeline.replicator import Replicator, checkpoint_of
from cdc_core.pipeline.target import Target
from cdc_core.pipeline.targets import CHECK_SECONDS, Targets
from cdc_core.pipeline.task_context import TaskContext
from cdc_core.pipeline.ticker import Ticker
from cdc_core.pipeline.transport import Transport
from cdc_core.pipeline.waiter import Waiter
from cdc_core.sink.base import TargetCatalog
from cdc_core.source.base import LiveCatalog, Queue
from cdc_core.source.hub import Hub
from cdc_core.transform.filter import Selection
from cdc_core.transform.mapping import Names

AGAIN_SECONDS = 5.0
"""Before a channel that failed is tried again."""

log = structlog.get_logger(__name__)


class Engine:
    """Everything of one worker process. Thread-safe; `run` is called in a thread per channel."""

    def __init__(
        self,
        worker: str,
        client: redis.Redis,
        keys: Keys,
        *,
        tasks: TaskStore,
        clock: Clock,
        open_queue: Callable[[], Queue],
        open_catalog: Callable[[], LiveCatalog],
        open_target: Callable[[Connect], tuple[Transport, TargetCatalog]],
        channel_prefix: str,
        default_partition: str,
        keepalive: bool,
        unclear_seconds: float,
    ) -> None:
        self.worker = worker
        self.tasks = tasks
        self.leases = Leases(client, keys, worker, unclear_seconds)
        self.channels = ChannelStore(client, keys)
        self.bus = WakeBus(client, keys.wake)
        self.leads = False
        """Whether this process keeps the targets' other channels alive."""
        self._keepalive = keepalive
        self._unclear_seconds = unclear_seconds
        self._objects = Objects(client, keys)
        self._barriers = Barriers(client, keys)
        self._requests = Requests(client, keys)
        self._rates = Rates(client, keys)
        self._gates = Gates(client, keys, worker, keepalive=keepalive)
        self._clock = clock
        self._open_queue = open_queue
        self._open_catalog = open_catalog
        self._channel_prefix = channel_prefix
        self._default_partition = default_partition
        self._lock = threading.RLock()
        self._queue: Queue | None = None
        self._hub: Hub | None = None
        self._catalog: LiveCatalog | None = None
        self._targets = Targets(open_target, self._new_target)
        self._pchannels: dict[str, frozenset[str]] = {}
        self._running: dict[ChannelKey, Lease] = {}
        self._ticker = Ticker(self._gates, self._targets.all, self._others)
        self.bus.listen(self._heard)

    def start(self) -> None:
        self.bus.start()
        self._ticker.start()

    def close(self) -> None:
        """When no channel runs any more."""
        self._ticker.close()
        self.bus.close()
        with self._lock:
            if self._hub:
                self._hub.close()
            self._targets.close()
            if self._queue:
                self._queue.close()
            if self._catalog:
                self._catalog.close()

    # what the supervisor looks at

    @property
    def running(self) -> Mapping[ChannelKey, Lease]:
        with self._lock:
            return dict(self._running)

    @property
    def source_clock(self) -> tuple[int, float] | None:
        """The newest tick of the source in ms and how many seconds ago it was seen."""
        tick, seen = self._hub.newest if self._hub else (None, 0.0)
        return (tick.ms, self._clock.monotonic() - seen) if tick else None

    @property
    def source_trouble(self) -> str | None:
        return self._hub.trouble if self._hub else None

    def trouble_of(self, state: ChannelState) -> str:
        """Why the target takes nothing of that vchannel now, '' if it does."""
        plan = state.plan
        target = self._targets.find(plan.target) if plan else None
        if plan is None or target is None:
            return ""
        return target.gate(plan.target_vchannel.pchannel).trouble or ""

    def keep_alive(self, connects: Iterable[Connect]) -> None:
        """As the leader: look which channels these targets have; the ticker does the rest."""
        if not self._keepalive:
            return
        for connect in connects:
            target = self._targets.known(connect)
            self._pchannels[connect.identity] = target.catalog.pchannels()

    # one channel

    def run(self, task: str, name: str, ticket: str, stopping: Callable[[], bool]) -> str:
        """Claim the channel and run it to its end; answers in a word what came of it. Never raises."""
        key = ChannelKey(task, name)
        sent_at = self._clock.monotonic()
        try:
            self.tasks.check()
            claim = self.leases.claim(key, ticket)
        except (redis.RedisError, CdcError) as error:
            log.warning("claim_failed", channel=name, error=str(error))
            return "unavailable"
        if isinstance(claim, Refusal):
            log.debug("claim_refused", channel=name, why=claim.word)
            return claim.word.lower()
        lease = Lease(claim, self._clock, sent_at)
        with self._lock:
            self._running[key] = lease
        log.info("claimed", channel=name, task=task, epoch=claim.epoch, settle_only=claim.settle_only)
        try:
            if stopping():
                self._release(lease)
                return "stopping"
            return self._run_to_end(claim, lease)
        except LeaseLost as error:
            log.warning("lease_lost", channel=name, error=str(error))
            return "lost"
        finally:
            with self._lock:
                if self._running.get(key) is lease:  # it may have been claimed again meanwhile
                    del self._running[key]

    def _run_to_end(self, claim: Claim, lease: Lease) -> str:
        """:raises LeaseLost: also when something else ended it."""
        try:
            outcome = self._work(claim, lease)
        except LeaseLost:
            raise
        except TaskStopped as error:
            self._stop_task(lease, str(error))
            return "task stopped"
        except (Refused, CollectionStopped, Fatal) as error:
            log.error("channel_stopped", channel=lease.key.name, error=str(error))
            self._release(lease, outcome="stopped", reason=str(error))
            return "stopped"
        except Exception as error:
            expected = isinstance(error, CdcError | redis.RedisError)
            log.warning("channel_failed", channel=lease.key.name, error=str(error), exc_info=not expected)
            self._release(lease, reason=str(error) or repr(error), backoff=AGAIN_SECONDS)
            return "failed"
        self._release(lease, outcome=outcome)
        return outcome or lease.order.value.lower()

    def _work(self, claim: Claim, lease: Lease) -> str:
        task = self.tasks.get(claim.key.task)
        if task is None:
            raise TaskStopped("the task is not there any more")
        target = self._targets.reach(task.spec.target)
        if claim.key.name == CATALOG:
            return self._run_catalog(task, target, claim, lease)
        return self._run_vchannel(task, target, claim, lease)

    def _run_catalog(self, task: Task, target: Target, claim: Claim, lease: Lease) -> str:
        if not lease.settle_only:
            target.transport.check(CHECK_SECONDS)
        context = TaskContext(
            task=task,
            selection=Selection.of(task.spec),
            names=Names(task.spec.name_mapping),
            lease=lease,
            target=target,
            channels=self.channels,
            objects=self._objects,
            barriers=self._barriers,
            gates=self._gates,
            requests=self._requests,
            dead_letters=DeadLetterOffice(task.spec, self.tasks.dead_letters),
            default_partition=self._default_partition,
        )
        waiter = Waiter(self.bus, f"catalog {task.id}")
        try:
            start = self._operations_start(task, claim)
            CatalogLoop(context, self._source_catalog(), self.source_queue(), self._channel_prefix, start, waiter).run()
        finally:
            waiter.close()
        return ""

    def _operations_start(self, task: Task, claim: Claim) -> Position:
        position = claim.fields.get("position")
        if position:
            return Position.from_base64(position)
        tails = task.beginning.tails
        default = tails.get(f"{self._channel_prefix}-replicate-msg", Position("", b""))
        return task.spec.op_position or default

    def _run_vchannel(self, task: Task, target: Target, claim: Claim, lease: Lease) -> str:
        plan = Plan.from_json(claim.fields["plan"])
        waiter = Waiter(self.bus, f"objects {task.id}")
        try:
            replicator = Replicator(
                plan,
                checkpoint_of(plan, claim.fields),
                lease,
                hub=self._shared_hub(),
                gate=target.gate(plan.target_vchannel.pchannel),
                addresses=Addresses(
                    task.id, plan, self._objects, self._default_partition if task.spec.ignores_partitions else None
                ),
                objects=self._objects,
                barriers=self._barriers,
                dead_letters=DeadLetterOffice(task.spec, self.tasks.dead_letters),
                waiter=waiter,
                takes_imports=lambda: target.transport.takes_imports(CHECK_SECONDS),
                pace=partial(self._pace, task),
            )
            lease.on_order(waiter.wake)
            return replicator.run().value
        finally:
            waiter.close()

    def _pace(self, task: Task, batch: Batch) -> float:
        """Seconds that a batch has to wait for its task's rate limits."""
        limits = task.spec.rate_limits
        if not (limits and batch.rows):
            return 0.0
        return self._rates.take(task.id, limits, batch.row_count, batch.size)

    def _release(self, lease: Lease, *, outcome: str = "", reason: str = "", backoff: float = 0.0) -> None:
        """:raises LeaseLost: it runs out by itself; what is said of its last call may be out of date."""
        lease.check_held()
        try:
            self.leases.release(
                lease.key, lease.epoch, outcome=outcome, reason=reason, backoff=backoff, unclear=lease.unclear
            )
        except redis.RedisError as error:
            log.warning("release_failed", channel=lease.key.name, error=str(error))  # it runs out by itself

    def _stop_task(self, lease: Lease, reason: str) -> None:
        log.error("task_stopped", task=lease.key.task, error=reason)
        try:
            self.tasks.stop(lease.key.task, reason)
        except CdcError as error:
            log.warning("task_not_stopped", task=lease.key.task, error=str(error))
        self._release(lease, reason=reason, backoff=AGAIN_SECONDS)

    # shared parts, made when first needed

    def _new_target(self, identity: str, transport: Transport, catalog: TargetCatalog) -> Target:
        wake, unclear = self._ticker.wake, self._unclear_seconds
        return Target(identity, transport, catalog, self._gates, wake, unclear, self._clock)

    def source_queue(self) -> Queue:
        """:raises SourceUnavailable: the settings name none that can be read."""
        with self._lock:
            self._queue = self._queue or self._open_queue()
            return self._queue

    def _shared_hub(self) -> Hub:
        with self._lock:
            self._hub = self._hub or Hub(self.source_queue(), self._ticked)
            return self._hub

    def _source_catalog(self) -> LiveCatalog:
        with self._lock:
            self._catalog = self._catalog or self._open_catalog()
            return self._catalog

    # what wakes gates

    def _ticked(self, pchannel: str, _tick: Message) -> None:
        """Of the source: rows that wait at a gate may pass now. In the reading thread, so nothing but a look."""
        for target in self._targets.all():
            for gate in target.gates:
                if gate.rows_wait and pchannel in gate.sources():
                    gate.poke()

    def _heard(self, message: str) -> None:
        word, _, key = message.partition(" ")
        if word == "gate":
            target_key, _, pchannel = key.partition("gate:")[2].rpartition("/")
            target = self._targets.find(target_key)
            for gate in target.gates if target else ():
                if gate.pchannel == pchannel and not gate.empty:
                    gate.poke()

    def _others(self, target: Target) -> Iterable[str]:
        return self._pchannels.get(target.identity, frozenset()) if self.leads else ()
