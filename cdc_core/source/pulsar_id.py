"""A message id of Pulsar, as Milvus writes it: the protobuf `MessageIdData`.

Its fields: https://github.com/apache/pulsar, pulsar-common/src/main/proto/PulsarApi.proto
"""

from __future__ import annotations

from dataclasses import dataclass

from cdc_core.codec import wire
from cdc_core.errors import Undecodable

_LEDGER, _ENTRY, _BATCH_INDEX = 1, 2, 4

_ENTRY_BITS, _BATCH_BITS = 26, 14
"""Of `order`. Pulsar begins a new ledger after 50,000 entries and puts 1000 messages into a batch, if nobody changed
it. What is above them, the ledger, has no limit; it is unique in the 62 bits that are made a message's number."""


@dataclass(frozen=True, slots=True, order=True)
class PulsarId:
    """The `ledger`s of a topic grow; entries count from 0 in each, messages from 0 in an entry that is a batch."""

    ledger: int
    entry: int
    batch_index: int = 0

    @classmethod
    def parse(cls, message_id: bytes) -> PulsarId:
        """With partition and batch, or without. :raises ValueError: it is none."""
        try:
            found = {
                number: wire.read_int64(message_id, start)
                for number, kind, _, start, _ in wire.fields(message_id)
                if kind == wire.VARINT
            }
            return cls.of(found[_LEDGER], found[_ENTRY], found.get(_BATCH_INDEX, 0))
        except (Undecodable, KeyError, ValueError) as error:
            raise ValueError(
                f"{message_id.hex()!r} is no message id of this queue: expected Pulsar's MessageIdData"
            ) from error

    @classmethod
    def of(cls, ledger: int, entry: int, batch_index: int) -> PulsarId:
        """As clients have it: a negative `batch_index` means no batch. :raises ValueError: out of bounds."""
        if ledger < 0 or not 0 <= entry < 1 << _ENTRY_BITS or batch_index >= 1 << _BATCH_BITS:
            raise ValueError(f"ledger {ledger}, entry {entry}, message {batch_index} is out of bounds")
        return cls(ledger, entry, max(batch_index, 0))

    @property
    def order(self) -> int:
        """A number that grows along the topic."""
        return (self.ledger << _ENTRY_BITS | self.entry) << _BATCH_BITS | self.batch_index

    def follows(self, other: PulsarId) -> bool:
        """Nothing can be between them: the next one of the same batch or of the same ledger."""
        if self.ledger != other.ledger:
            return False
        if self.entry == other.entry:
            return self.batch_index == other.batch_index + 1
        return self.entry == other.entry + 1 and self.batch_index == 0

    def __str__(self) -> str:
        place = f"{self.ledger}:{self.entry}"
        return f"{place}:{self.batch_index}" if self.batch_index else place
