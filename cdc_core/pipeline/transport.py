"""How batches travel: into the channels of a standby with ticks, or row by row to a target that knows none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from cdc_core.model.timestamp import ZERO, Tso
from cdc_core.pipeline.batch import Batch, Outgoing
from cdc_core.pipeline.member import Flight
from cdc_core.sink.base import RowSink, Sink

CALL_BYTES = 16 << 20
"""16 MB take the target 0.4 s; it refuses 64 MiB."""


class Transport(Protocol):
    """Of one target in one process. Thread-safe. Raises as `Sink` and `RowSink` do."""

    repeatable: bool
    """Whether what was refused, and perhaps written in part, can be sent again another day: it need not be kept as
    unsettled then."""

    def outgoing(self, batch: Batch, base: Tso | None) -> Outgoing:
        """What of a batch travels; `base` is where the gate wants it stamped, None in step."""
        ...

    def send(self, pchannel: str, flights: Sequence[Flight], tick: Tso | None, timeout: Callable[[], float]) -> None:
        """All flights, then the tick; `timeout` answers the seconds that the next call may take."""
        ...

    def announce(self, pchannel: str, message: bytes, at: Tso, timeout: float) -> None:
        """Tell the readers of a target's channel that an object is gone."""
        ...

    def tick_all(self, ticks: Mapping[str, Tso], timeout: float) -> Mapping[str, Exception]: ...

    def takes_imports(self, timeout: float) -> bool:
        """Whether the target can be told to import files."""
        ...

    def check(self, timeout: float) -> None: ...

    def close(self) -> None: ...


class Replicated:
    """To a standby: the source's bytes with its ids, and ticks."""

    repeatable = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.tick_all = sink.tick_all
        self.takes_imports = sink.takes_imports
        self.check = sink.check
        self.close = sink.close

    def outgoing(self, batch: Batch, base: Tso | None) -> Outgoing:
        return batch.outgoing(base)

    def send(self, pchannel: str, flights: Sequence[Flight], tick: Tso | None, timeout: Callable[[], float]) -> None:
        """Several calls when it is much; only the last one carries the tick."""
        begin = min((flight.outgoing.begin for flight in flights), default=tick or ZERO)
        end = max((flight.outgoing.end for flight in flights), default=tick or ZERO)
        *full, last = _calls([payload for flight in flights for payload in flight.outgoing.payloads])
        for payloads in full:
            self._sink.send(pchannel, payloads, begin=begin, end=end, tick=None, timeout=timeout())
        self._sink.send(pchannel, last, begin=begin, end=end, tick=tick, timeout=timeout())

    def announce(self, pchannel: str, message: bytes, at: Tso, timeout: float) -> None:
        self._sink.send(pchannel, [message], begin=at, end=at, tick=None, timeout=timeout)


class Keyed:
    """To a target that takes rows by their keys: it has no channels, needs no ticks, and keeps the source's times."""

    repeatable = True

    def __init__(self, sink: RowSink) -> None:
        self._sink = sink
        self.check = sink.check
        self.close = sink.close

    def outgoing(self, batch: Batch, base: Tso | None) -> Outgoing:  # noqa: ARG002 # nothing is stamped anew
        return Outgoing((), batch.stamps[0], batch.stamps[-1])

    def send(
        self,
        pchannel: str,  # noqa: ARG002
        flights: Sequence[Flight],
        tick: Tso | None,  # noqa: ARG002
        timeout: Callable[[], float],
    ) -> None:
        if flights:
            self._sink.write([row for flight in flights for row in flight.batch.rows], timeout())

    def announce(self, pchannel: str, message: bytes, at: Tso, timeout: float) -> None:
        """Nobody reads there."""

    def tick_all(self, ticks: Mapping[str, Tso], timeout: float) -> Mapping[str, Exception]:  # noqa: ARG002
        return {}

    def takes_imports(self, timeout: float) -> bool:  # noqa: ARG002
        """Files have no keys."""
        return False


def _calls(payloads: Sequence[bytes]) -> list[list[bytes]]:
    """The payloads of each call, in order; at least one call, of at least one message if there are any."""
    calls: list[list[bytes]] = [[]]
    size = 0
    for payload in payloads:
        if calls[-1] and size + len(payload) > CALL_BYTES:
            calls.append([])
            size = 0
        calls[-1].append(payload)
        size += len(payload)
    return calls
