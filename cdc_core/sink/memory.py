"""A standby in memory: the twin of a Milvus for tests and dry runs, with its rules and with failures on demand."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from enum import Enum

from cdc_core.codec import rewrite
from cdc_core.codec.rows import Row
from cdc_core.errors import CdcError, NoStandby, TargetUnavailable
from cdc_core.model.message import Kind, Message
from cdc_core.model.timestamp import Tso
from cdc_core.sink.base import refuse_oversize
from cdc_core.sink.memory_catalog import MemoryCatalog
from cdc_core.sink.memory_channel import MemoryChannel


class Fault(Enum):
    """What happens to one `send`; each raises `TargetUnavailable`."""

    UNAVAILABLE = "nothing is written"
    AMBIGUOUS = "all is written"
    PARTIAL = "the first half of the messages is written"
    LATER = "all is written when `land` is called: a call that outlives its time-out"


class MemoryTarget(MemoryCatalog):
    """`Sink` and `TargetCatalog` in one. Rows become visible by ticks, as on a Milvus.

    `violations` has a line for everything that would lose, double or reorder rows on a real standby; a test ends
    with `assert target.violations == []`. `duplicates` counts messages that were dropped rightly.
    """

    def __init__(self, pchannels: int = 16, *, standby: bool = True, prefix: str = "target") -> None:
        super().__init__([f"{prefix}-rootcoord-dml_{number}" for number in range(pchannels)])
        self.standby = standby
        self.violations: list[str] = []
        self.faults: deque[Fault] = deque()
        self.calls = 0
        self.runs_imports = True
        self.imports: list[Message] = []
        """What it was told to import, as it became visible."""
        self._channels = {name: MemoryChannel(name, self.violations) for name in self.topics}
        self._later: list[tuple[str, list[bytes]]] = []
        self._sending = threading.Lock()

    def send(
        self,
        pchannel: str,
        messages: Sequence[bytes],
        *,
        begin: Tso,  # noqa: ARG002 # a Milvus chooses a segment by them, and nothing else
        end: Tso,  # noqa: ARG002
        tick: Tso | None,
        timeout: float,  # noqa: ARG002 # nothing here takes time
    ) -> None:
        refuse_oversize(messages)
        with self._sending:
            self._refuse_unless_standby()
            self.calls += 1
            payloads = [*messages, rewrite.time_tick(tick)] if tick is not None else list(messages)
            fault = self.faults.popleft() if self.faults else None
            self._write(pchannel, payloads, fault)
            if fault is not None:
                raise TargetUnavailable(f"injected: {fault.name}", unclear=fault is not Fault.UNAVAILABLE)

    def tick_all(self, ticks: Mapping[str, Tso], timeout: float) -> Mapping[str, Exception]:
        failed: dict[str, Exception] = {}
        for pchannel, tick in ticks.items():
            try:
                self.send(pchannel, (), begin=tick, end=tick, tick=tick, timeout=timeout)
            except CdcError as error:
                failed[pchannel] = error
        return failed

    def check(self, timeout: float) -> None:  # noqa: ARG002 # nothing here takes time
        self._refuse_unless_standby()

    def takes_imports(self, timeout: float) -> bool:  # noqa: ARG002
        return self.runs_imports

    def land(self) -> None:
        """Write what `Fault.LATER` has held back."""
        with self._sending:
            later, self._later = self._later, []
            for pchannel, payloads in later:
                self._write(pchannel, payloads, None)

    @property
    def duplicates(self) -> int:
        return sum(channel.duplicates for channel in self._channels.values())

    def ticks(self, pchannel: str) -> Sequence[Tso]:
        """Every tick sent to it, in order."""
        return tuple(self._channels[pchannel].ticks)

    def rows(self, database: str, collection: str) -> list[Row]:
        """What a query sees, in the order of the row timestamps; equal keys may be there several times."""
        stored = self.stored(database, collection).rows
        return [each.row for each in sorted(stored, key=lambda each: each.timestamp)]

    def _refuse_unless_standby(self) -> None:
        if not self.standby:
            raise NoStandby("the target is no standby: set common.ttMsgEnabled to false in its configuration")

    def _write(self, pchannel: str, payloads: list[bytes], fault: Fault | None) -> None:
        if fault is Fault.UNAVAILABLE:
            return
        if fault is Fault.LATER:
            self._later.append((pchannel, payloads))
            return
        channel = self._channels[pchannel]
        for payload in payloads[: len(payloads) // 2] if fault is Fault.PARTIAL else payloads:
            for message in channel.append(payload):
                self._apply_message(message)

    def _apply_message(self, message: Message) -> None:
        if message.kind is Kind.DROP_COLLECTION:
            self.unwatched.append(message.collection_id)
        elif message.kind is Kind.IMPORT:
            self.imports.append(message)
        elif message.kind in (Kind.INSERT, Kind.DELETE):
            rows = self.rows_of_vchannel(message.collection_id, message.vchannel)
            if rows is None:
                self.violations.append(f"LOST {message.kind.name} {message.msg_id}: no channel {message.vchannel!r}")
            elif message.kind is Kind.INSERT:
                rows.insert(message)
            else:
                rows.delete(message)
