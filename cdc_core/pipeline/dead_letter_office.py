"""What becomes of a message of the source that cannot be read.

It is never passed over silently: before anything behind it is done, it is recorded as a dead letter of the task, once,
however often it is read again. Then the task's `on_undecodable` decides:

- `stop`: whose it is goes no further. On a DML topic that is the vchannel, or the vchannels of the collection, that it
  names, or all of the task's on that topic, when that cannot be told (codec/dead_letter.py). What lies before it is
  applied, the checkpoint stays before it, other vchannels go on. On the op topic all operations stop there, because
  they are in order among themselves, and rows go on.
- `skip`: what lies behind it is done as if it were not there.

A stopped one is tried again with each resume, by perhaps another version that can read it. What a task does with such
messages is fixed when it is made: to pass over one, another task has to be made with `skip`, which goes on at the
positions of the first.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from cdc_core.coordination.dead_letters import DeadLetters
from cdc_core.errors import Undecodable
from cdc_core.model.dead_letter import DeadLetter
from cdc_core.model.task import OnUndecodable, TaskSpec

REMEDY = (
    "Nothing behind it is applied. To try again, with a version that can read it, pause and resume the task; "
    "to pass over it, delete the task and make it anew with its positions and on_undecodable: skip"
)

log = structlog.get_logger(__name__)


class DeadLetterOffice:
    """Of one task. Thread-safe."""

    def __init__(self, spec: TaskSpec, letters: DeadLetters) -> None:
        self._task = spec.task_id
        self._stops = spec.on_undecodable is OnUndecodable.STOP
        self._letters = letters

    def take(self, letters: Sequence[DeadLetter]) -> None:
        """Record them, in the queue's order; returns when they are to be passed over. Idempotent.

        :raises Undecodable: the task stops at the first one; those behind it are not recorded yet.
        :raises StateUnavailable: they may not be recorded: nothing behind them may be done.
        """
        if not letters:
            return
        taken = letters[:1] if self._stops else letters
        if new := self._letters.record(self._task, taken):
            log.error("dead_letters", task=self._task, new=new, first=str(taken[0]), stops=self._stops)
        if self._stops:
            raise Undecodable(f"{letters[0]}. {REMEDY}")
