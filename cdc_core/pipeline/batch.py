"""What one vchannel sends at a time: whole pieces, rewritten for the target."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cdc_core.codec import rewrite
from cdc_core.codec.merge import MERGE_RULE
from cdc_core.model.address import Row
from cdc_core.model.timestamp import Tso
from cdc_core.source.window import Mark

BATCH_BYTES = 4 << 20
"""A call of 4 MB takes the target 0.1 s; larger ones gain little and hold up ticks."""

BATCH_MESSAGES = 200
"""Each costs the target about 5 ms, however small: a second, in which ticks of its channel wait."""


@dataclass(frozen=True)
class Batch:
    """Rows of one vchannel up to `mark`, where a checkpoint may lie; empty when nothing came or all was left out.

    What is sent is a pure function of the rows and, from behind, of the base (I4).
    """

    mark: Mark
    rows: Sequence[Row]
    windows: int

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(row.message.size for row in self.rows)

    @property
    def row_count(self) -> int:
        return sum(rewrite.row_count(row.message) for row in self.rows)

    @cached_property
    def stamps(self) -> tuple[Tso, ...]:
        """The distinct row timestamps, sorted."""
        found = {stamp for row in self.rows for stamp in rewrite.row_timestamps(row.message)}
        return tuple(sorted(found))

    @cached_property
    def intent(self) -> str:
        """What is recorded before anything is sent: the range, and the rule by which it was made (I4)."""
        return json.dumps({"to": self.mark.resolved.text, "rule": MERGE_RULE})

    def outgoing(self, base: Tso | None) -> Outgoing:
        """In step (no base) with the source's timestamps, from behind with base, base + 1, ..."""
        if base is None:
            payloads = [rewrite.in_step(row.message, row.address) for row in self.rows]
            return Outgoing(payloads, self.stamps[0], self.stamps[-1])
        mapping: Mapping[int, int] = {int(stamp): base + i for i, stamp in enumerate(self.stamps)}
        payloads = [rewrite.restamped(row.message, row.address, mapping) for row in self.rows]
        return Outgoing(payloads, base, Tso(base + len(self.stamps) - 1))


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The bytes of a batch and their smallest and largest row timestamp."""

    payloads: Sequence[bytes]
    begin: Tso
    end: Tso


def range_end(intent: str) -> Tso:
    """Up to where a recorded batch goes. :raises ValueError: it was made by a rule that this version lacks."""
    data = json.loads(intent)
    if data["rule"] != MERGE_RULE:
        raise ValueError(f"the batch in flight was made by rule {data['rule']}, this version has only {MERGE_RULE}")
    return Tso.parse(data["to"])
