"""Looks at the workers, in Redis."""

from __future__ import annotations

from collections.abc import Iterable

from cdc_core.coordination.channels import ChannelStore
from cdc_core.coordination.client import answering
from cdc_core.coordination.workers import Workers
from cdc_core.model.task import Desired, Task
from cdc_core.preflight.facts import WorkerFacts


def look_at_workers(workers: Workers, channels: ChannelStore, tasks: Iterable[Task]) -> WorkerFacts:
    """:raises StateUnavailable:"""
    with answering():
        alive = [worker for worker in workers.alive() if not worker.stopping]
        running = [task.id for task in tasks if task.desired is Desired.RUNNING]
        return WorkerFacts(len(alive), sum(worker.slots for worker in alive), channels.count_vchannels(running))
