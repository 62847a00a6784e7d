"""Looks, as the leader, whether the queue's retention comes near a checkpoint with unread messages behind it."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from cdc_core.coordination.channels import ChannelState, ChannelStore
from cdc_core.coordination.retention import Retention
from cdc_core.model.channel import op_channel
from cdc_core.model.position import Position
from cdc_core.model.retention import Trimming
from cdc_core.source.base import Queue

_ADVICE = "resume the task or speed it up, or lengthen the queue's retention"

log = structlog.get_logger(__name__)


class RetentionGuard:
    """Used by one thread; what it saw survives it in the state."""

    def __init__(self, channels: ChannelStore, store: Retention, prefix: str) -> None:
        """`prefix` is that of the source's channels."""
        self._channels = channels
        self._store = store
        self._op_channel = op_channel(prefix)

    def look(self, queue: Queue, tasks: Iterable[str]) -> None:
        """Blocks as long as the queue needs. :raises SourceUnavailable, StateUnavailable:"""
        checkpoints = {task: self._checkpoints(queue, task) for task in tasks}
        wanted = sorted({pchannel for found in checkpoints.values() for pchannel in found})
        seen = self._trimmings(queue, wanted)
        tails = {pchannel: _order(queue, queue.tail(pchannel)) for pchannel in seen}
        for task, found in checkpoints.items():
            warnings = {
                pchannel: f"{danger}; {_ADVICE}"
                for pchannel, checkpoint in found.items()
                if pchannel in seen and (danger := seen[pchannel].danger(checkpoint, tails[pchannel]))
            }
            if warnings:
                log.warning("retention_near", task=task, pchannels=sorted(warnings))
            self._store.warn(task, warnings)

    def _trimmings(self, queue: Queue, pchannels: Iterable[str]) -> dict[str, Trimming]:
        known, seen = self._store.trimmings(), {}
        for pchannel in pchannels:
            if head := queue.head(pchannel):
                order = _order(queue, head)
                seen[pchannel] = known[pchannel].moved(order) if pchannel in known else Trimming(order)
        self._store.put_trimmings(seen)
        return seen

    def _checkpoints(self, queue: Queue, task: str) -> dict[str, int]:
        """The lowest one by pchannel."""
        found: dict[str, int] = {}
        for state in self._channels.of_task(task):
            text = state.fields.get("position")
            place = Position.from_base64(text).message_id if text and not state.done else b""
            if place:
                pchannel = self._pchannel(state)
                order = _order(queue, place)
                found[pchannel] = min(order, found.get(pchannel, order))
        return found

    def _pchannel(self, state: ChannelState) -> str:
        plan = state.plan
        return plan.vchannel.pchannel if plan else self._op_channel


def _order(queue: Queue, message_id: bytes) -> int:
    return queue.order(message_id) if message_id else 0
