"""Where the rows of one collection go on the target, partition by partition."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from cdc_core.codec import rewrite
from cdc_core.coordination.objects import GONE, Objects, Wanted
from cdc_core.model.address import WHOLE_COLLECTION, Address
from cdc_core.model.message import Kind, Message
from cdc_core.model.plan import Plan


class Addresses:
    """Source partition ids to addresses, kept in memory once known. Used by one thread."""

    def __init__(self, task: str, plan: Plan, objects: Objects, one_partition: str | None) -> None:
        """`one_partition`: its name, when the task ignores partitions."""
        self._task = task
        self._plan = plan
        self._objects = objects
        self._one_partition = one_partition
        self._known: dict[int, str] = {}

    def of(self, message: Message, wait: Callable[[Message, float, int], None]) -> Address | None:
        """The address of a message; None when its partition is gone at the source, so its rows need not go anywhere.

        Asks the catalog for an unknown partition and calls `wait` until there is an answer, with the message, the
        seconds that it took so far, and the older partition of that name that has to go first, or 0; it raises to end
        that.
        """
        if message.kind is Kind.IMPORT:
            return self._of_import(message, wait)
        if message.partition_id == WHOLE_COLLECTION:
            return self._address(WHOLE_COLLECTION, "")
        target = self._target(message, wait)
        if target == GONE:
            return None
        return self._address(int(target), self._one_partition or message.partition_name)

    def _of_import(self, message: Message, wait: Callable[[Message, float, int], None]) -> Address | None:
        """Without the partitions that are gone; None when all are."""
        each = [replace(message, partition_id=number) for number in rewrite.partitions_of(message)]
        found = dict.fromkeys(self._target(one, wait) for one in each)
        there = tuple(int(target) for target in found if target != GONE)
        return replace(self._address(WHOLE_COLLECTION, ""), partition_ids=there) if there else None

    def _target(self, message: Message, wait: Callable[[Message, float, int], None]) -> str:
        if message.partition_id not in self._known:
            self._ask(message, wait)
        return self._known[message.partition_id]

    def _ask(self, message: Message, wait: Callable[[Message, float, int], None]) -> None:
        self._known |= self._objects.partitions(self._task, self._plan.collection_id)
        began = time.monotonic()
        if message.partition_id not in self._known:
            self._objects.want(self._task, Wanted(self._plan.collection_id, message.partition_id))
        while message.partition_id not in self._known:
            older = self._objects.behind(self._task, self._plan.collection_id, message.partition_id)
            wait(message, time.monotonic() - began, older)
            self._known |= self._objects.partitions(self._task, self._plan.collection_id)

    def _address(self, partition_id: int, partition_name: str) -> Address:
        plan = self._plan
        return Address(
            collection_id=plan.target_collection_id,
            vchannel=plan.target_vchannel.name,
            collection_name=plan.target_collection,
            database=plan.target_database,
            partition_id=partition_id,
            partition_name=partition_name,
        )
