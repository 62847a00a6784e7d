"""The synthetic target: takes everything, keeps nothing, and can write down what it was sent."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.synthetic.shape import Shape
from cdc_core.model.catalog import DEFAULT_DATABASE
from cdc_core.model.timestamp import Tso
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.memory_catalog import MemoryCatalog


class SyntheticTarget(MemoryCatalog):
    """`Sink` and `TargetCatalog`. All collections are there already, with the same ids in every process."""

    def __init__(self, shape: Shape, sent: Path) -> None:
        super().__init__([f"target-rootcoord-dml_{number}" for number in range(shape.target_pchannels)])
        self._shape = shape
        self._lock = threading.Lock()
        self._sent = sent.open("ab")
        self._filled = False

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
        with self._lock:
            pickle.dump((time.time(), pchannel, list(messages), tick), self._sent)
            self._sent.flush()

    def tick_all(self, ticks: Mapping[str, Tso], timeout: float) -> Mapping[str, Exception]:
        for pchannel, tick in ticks.items():
            self.send(pchannel, (), begin=tick, end=tick, tick=tick, timeout=timeout)
        return {}

    def takes_imports(self, timeout: float) -> bool:  # noqa: ARG002
        """Nothing here is imported."""
        return False

    def check(self, timeout: float) -> None:
        """It is there."""

    def describe(self, database: str, name: str) -> TargetCollection | None:
        self.fill()
        return super().describe(database, name)

    def pchannels(self) -> frozenset[str]:
        return frozenset(self.topics)

    def fill(self) -> None:
        """Only who asks for objects needs them."""
        with self._changing:
            if not self._filled:
                self._filled = True
                for collection in self._shape.collections():
                    assert collection.database == DEFAULT_DATABASE
                    self.create_collection(collection)
