"""When the source's ticks come to its queue: no row can be seen on a standby before the tick above it."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from cdc_core.codec import head
from cdc_core.model.channel import VChannel
from cdc_core.model.message import Kind
from cdc_core.model.timestamp import Tso
from cdc_core.source.base import Record
from cdc_core.source.kafka import KafkaQueue


class TickWatch:
    """Reads the topic of one vchannel while it is entered; `covered` has an entry for each of its inserts: when the
    first tick at or above it came (`time.monotonic`)."""

    def __init__(self, brokers: str, vchannel: VChannel) -> None:
        self.covered: list[float] = []
        self._vchannel = vchannel
        self._reader = KafkaQueue(brokers, {}).reader()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._reader.add(self._vchannel.pchannel, b"")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._reader.close()

    def _watch(self) -> None:
        waiting: list[Tso] = []
        while not self._stop.is_set():
            for record in self._reader.poll(0.1):
                assert isinstance(record, Record)
                message = head.parse(record)
                if message.kind is Kind.TIME_TICK:
                    covered = [stamp for stamp in waiting if stamp <= message.first]
                    self.covered += [time.monotonic()] * len(covered)
                    waiting = [stamp for stamp in waiting if stamp > message.first]
                elif message.kind is Kind.INSERT and message.vchannel == self._vchannel.name:
                    waiting.append(message.first)
