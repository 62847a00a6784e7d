"""What the catalog of one task works with."""

from __future__ import annotations

from dataclasses import dataclass

from cdc_core.coordination.barriers import Barriers
from cdc_core.coordination.channels import ChannelStore
from cdc_core.coordination.gates import Gates
from cdc_core.coordination.objects import Objects
from cdc_core.coordination.requests import Requests
from cdc_core.model.task import Task
from cdc_core.pipeline.dead_letter_office import DeadLetterOffice
from cdc_core.pipeline.lease import Lease
from cdc_core.pipeline.target import Target
from cdc_core.transform.filter import Selection
from cdc_core.transform.mapping import Names


@dataclass(frozen=True, slots=True)
class TaskContext:
    """Shared by the parts of a catalog; used by its one thread."""

    task: Task
    selection: Selection
    names: Names
    lease: Lease
    target: Target
    channels: ChannelStore
    objects: Objects
    barriers: Barriers
    gates: Gates
    requests: Requests
    dead_letters: DeadLetterOffice
    default_partition: str

    @property
    def id(self) -> str:
        return self.task.id

    @property
    def ignores_partitions(self) -> bool:
        return self.task.spec.ignores_partitions
