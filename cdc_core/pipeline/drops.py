"""Drops of collections and partitions: run once on the target, when every vchannel has come to them."""

from __future__ import annotations

import json
from collections.abc import Callable

import structlog

from cdc_core.codec import rewrite
from cdc_core.coordination import gates as ops
from cdc_core.coordination.barriers import Barrier
from cdc_core.coordination.gates import Operation, Request, Round, Word
from cdc_core.coordination.leases import ChannelKey
from cdc_core.coordination.objects import GONE
from cdc_core.errors import LeaseLost
from cdc_core.model.address import Address
from cdc_core.model.catalog import Catalog, ObjectState
from cdc_core.model.plan import Plan
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.collections import Collections, Known
from cdc_core.pipeline.intent import Intent
from cdc_core.pipeline.task_context import TaskContext

log = structlog.get_logger(__name__)
SEND_SECONDS = 10.0


class Drops:
    """Runs complete barriers, in this order: drop by API, drop messages into the target's channels (its data node
    needs them, else it leaks the channel), records deleted. Every step is idempotent: a crash runs it again."""

    def __init__(self, context: TaskContext, collections: Collections) -> None:
        self._context = context
        self._collections = collections

    def sweep(self) -> bool:
        """True when something was dropped. :raises Retryable:"""
        give_up_slip(self._context)
        ran = False
        for barrier, arrived in self._context.barriers.open(self._context.id).items():
            known = self._collections.known.get(barrier.collection_id)
            if known is None:
                self._context.barriers.remove(self._context.id, barrier)
            elif len(arrived) >= known.plan.shards:
                self._context.lease.check()
                self._run(barrier, known)
                ran = True
        return ran

    def remove_orphans(self, catalog: Catalog) -> None:
        """What a killed catalog made on the target and could not record, and the source has dropped since.

        :raises Retryable:
        """
        objects, task = self._context.objects, self._context.id
        for number, text in objects.intents(task).items():
            source = catalog.collections.get(number)
            if number not in self._collections.known and (source is None or source.state >= ObjectState.DROPPING):
                self._remove(Intent.from_json(text))
                objects.intended(task, number)

    def _remove(self, intent: Intent) -> None:
        """Unless a newer one of its name has taken it over."""
        target = self._context.target
        made = target.catalog.describe(intent.database, intent.collection)
        taken = {known.plan.target_collection_id for known in self._collections.known.values()}
        if made is None or made.id in taken:
            return
        self._context.lease.check()
        target.catalog.drop_collection(made.database, made.name, intent.created)
        for plan in intent.plans(target.identity, made):
            self._send(plan, "", 0, rewrite.drop_collection_message)
        log.info("orphan_dropped", collection=intent.collection)

    def _run(self, barrier: Barrier, known: Known) -> None:
        if barrier.partition_id:
            self._drop_partition(barrier, known)
        else:
            self._drop_collection(barrier, known)
        self._context.barriers.remove(self._context.id, barrier)
        log.info("dropped", collection=known.plan.collection, partition=barrier.partition_name)

    def _drop_collection(self, barrier: Barrier, known: Known) -> None:
        plan = known.plan
        if self._is_ours(plan):
            at = Tso(barrier.timestamp)
            self._context.target.catalog.drop_collection(plan.target_database, plan.target_collection, at)
        for each in known.plans:
            self._send(each, "", 0, rewrite.drop_collection_message)
        self._collections.forget(barrier.collection_id)

    def _drop_partition(self, barrier: Barrier, known: Known) -> None:
        if not self._context.ignores_partitions and self._is_ours(known.plan):
            target_id = self._collections.mapped(barrier.collection_id, barrier.partition_id)
            if target_id == GONE:
                target_id = self._collections.unrecorded(barrier.collection_id, barrier.partition_name)
            if target_id != GONE:
                self._drop_on_target(barrier, known, int(target_id))
        self._context.objects.mark_dropped(self._context.id, barrier.collection_id, barrier.partition_id)

    def _drop_on_target(self, barrier: Barrier, known: Known, target_id: int) -> None:
        plan, name = known.plan, self._name_of(known.plan, target_id)
        if name:
            at = Tso(barrier.timestamp)
            self._context.target.catalog.drop_partition(plan.target_database, plan.target_collection, name, at)
        for each in known.plans:
            self._send(each, barrier.partition_name, target_id, rewrite.drop_partition_message)

    def _is_ours(self, plan: Plan) -> bool:
        """Whether what has that name on the target now is what this task made."""
        found = self._context.target.catalog.describe(plan.target_database, plan.target_collection)
        return found is not None and found.id == plan.target_collection_id

    def _name_of(self, plan: Plan, partition_id: int) -> str:
        found = self._context.target.catalog.describe(plan.target_database, plan.target_collection)
        partitions = found.partitions if found else {}
        return next((name for name, number in partitions.items() if number == partition_id), "")

    def _send(self, plan: Plan, partition: str, partition_id: int, make: Callable[[Address, int, Tso], bytes]) -> None:
        """Into the channel of one shard, above everything that its vchannel ever sent, and a tick."""
        address = Address(
            collection_id=plan.target_collection_id,
            vchannel=plan.target_vchannel.name,
            collection_name=plan.target_collection,
            database=plan.target_database,
            partition_id=partition_id,
            partition_name=partition,
        )
        slip = _Slip(self._context, plan)
        at = slip.begin()
        self._context.target.transport.announce(slip.pchannel, make(address, int(at), at), at, SEND_SECONDS)
        tick = slip.commit()
        if tick:
            self._context.target.transport.tick_all({slip.pchannel: tick}, SEND_SECONDS)


class _Slip:
    """One message of the catalog's own through a gate, always from behind; the catalog's record holds the intent.

    The commit leaves the catalog's checkpoint as it is.
    """

    def __init__(self, context: TaskContext, plan: Plan) -> None:
        self._context = context
        self._lease = context.lease
        self.pchannel = plan.target_vchannel.pchannel
        context.channels.raise_last(self._lease.key, ChannelKey(context.id, plan.vchannel.name))
        self._position, self._resolved = context.channels.place(self._lease.key)

    def begin(self) -> Tso:
        intent = json.dumps({"to": self._resolved.text, "pchannel": self.pchannel})
        answer = self._round(
            ops.begin(self._lease.key, self._lease.epoch, intent, self._resolved, self._resolved, 1)
        ).answers[0]
        if answer.base is None:
            raise LeaseLost(f"the catalog could not begin: {answer.word.value}")
        return answer.base

    def commit(self) -> Tso | None:
        key, epoch = self._lease.key, self._lease.epoch
        outcome = self._round(ops.commit(key, epoch, self._position, self._resolved), ops.leave(key, epoch))
        if outcome.answers[0].word is Word.LOST:
            raise LeaseLost("the catalog is somebody else's now")
        return outcome.tick

    def _round(self, *operations: Operation) -> Round:
        self._lease.check()
        return self._context.gates.round(Request(self._context.target.identity, self.pchannel, operations))


def give_up_slip(context: TaskContext) -> None:
    """A drop message of unclear fate: its hold is taken back, and the drop is run anew (twice does no harm)."""
    intent = context.channels.intent(context.lease.key)
    if intent:
        operation = ops.abandon(context.lease.key, context.lease.epoch, "")
        context.gates.round(Request(context.target.identity, json.loads(intent)["pchannel"], [operation]))
