"""One target in one process: its transport, its catalog and its gates."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cdc_core.clock import Clock
from cdc_core.coordination.gates import Gates
from cdc_core.pipeline.delivery import Delivery
from cdc_core.pipeline.gate import Gate
from cdc_core.pipeline.transport import Transport
from cdc_core.sink.base import TargetCatalog

QUIET_SECONDS = 10.0
"""Without rows for so long nothing happens at a target."""


class Target:
    """Shared by all channels of all tasks with that target. Thread-safe."""

    def __init__(
        self,
        identity: str,
        transport: Transport,
        catalog: TargetCatalog,
        gates: Gates,
        wake: Callable[[], None],
        unclear_seconds: float,
        clock: Clock | None = None,
    ) -> None:
        self.identity = identity
        self.transport = transport
        self.catalog = catalog
        self.recovered = threading.Event()
        """Set at the first success after a failure: every channel of the target needs a tick at once."""
        self.outages = 0
        """How often it was away and has come back, as far as this process has seen it."""
        self._store = gates
        self._wake = wake
        self._unclear_seconds = unclear_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._gates: dict[str, Gate] = {}
        self._deliveries: list[Delivery] = []

    def gate(self, pchannel: str) -> Gate:
        """Made when first asked for."""
        with self._lock:
            if pchannel not in self._gates:
                delivery = Delivery(self.transport, self.has_recovered, self._unclear_seconds, self._clock)
                self._deliveries.append(delivery)
                self._gates[pchannel] = Gate(self.identity, pchannel, self._store, delivery)
            return self._gates[pchannel]

    def reconnect(self, transport: Transport, catalog: TargetCatalog) -> None:
        """From now on by these. A call under way on the old connection gets no answer, and is repeated."""
        with self._lock:
            old_transport, old_catalog = self.transport, self.catalog
            self.transport, self.catalog = transport, catalog
            for delivery in self._deliveries:
                delivery.use(transport)
        old_transport.close()
        old_catalog.close()

    @property
    def gates(self) -> list[Gate]:
        with self._lock:
            return list(self._gates.values())

    @property
    def quiet(self) -> bool:
        """Whether nothing has happened at any of its gates here for a while."""
        return all(gate.quiet_for > QUIET_SECONDS for gate in self.gates)

    @property
    def trouble(self) -> str | None:
        return next((gate.trouble for gate in self.gates if gate.trouble), None)

    def has_recovered(self) -> None:
        self.outages += 1
        self.recovered.set()
        self._wake()

    def close(self) -> None:
        for gate in self.gates:
            gate.close()
        self.transport.close()
        self.catalog.close()
