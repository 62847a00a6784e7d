"""Where a message of the source goes on the target."""

from __future__ import annotations

from dataclasses import dataclass

from cdc_core.model.message import Message

WHOLE_COLLECTION = -1
"""The partition id of a delete that concerns every partition."""


@dataclass(frozen=True, slots=True)
class Address:
    """All names and ids are the target's. `partition_id` and `partition_name` are ignored for a delete in the whole
    collection, and for an import, which has `partition_ids` instead.

    `vchannel` is the source's on a target that has none.
    """

    collection_id: int
    vchannel: str
    collection_name: str
    database: str
    partition_id: int
    partition_name: str
    partition_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A message with rows, and where it goes."""

    message: Message
    address: Address
