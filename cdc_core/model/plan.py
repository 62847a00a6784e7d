"""What the catalog decided for a vchannel: from where it reads and where on the target it goes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cdc_core.model.channel import VChannel
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso


@dataclass(frozen=True, slots=True)
class Plan:
    """Fixed when the collection has been made on the target; kept in the channel's record.

    `target` is the target's identity, the other `target_*` are its names and ids; `shards` is how many vchannels the
    collection has, so how many arrivals complete a barrier.
    """

    vchannel: VChannel
    database: str
    collection: str
    shards: int
    created: Tso
    start: Position
    target: str
    target_database: str
    target_collection: str
    target_collection_id: int
    target_vchannel: VChannel

    @property
    def collection_id(self) -> int:
        """The source's."""
        return self.vchannel.collection_id

    def to_json(self) -> str:
        data: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        data |= {
            "vchannel": self.vchannel.name,
            "start": self.start.to_base64(),
            "created": self.created.text,
            "target_vchannel": self.target_vchannel.name,
        }
        return json.dumps(data, sort_keys=True)

    @staticmethod
    @lru_cache(maxsize=16_384)
    def from_json(text: str) -> Plan:
        """Remembered: the leader asks for all of them every few seconds."""
        data = json.loads(text)
        return Plan(
            vchannel=VChannel.parse(data["vchannel"]),
            start=Position.from_base64(data["start"]),
            created=Tso.parse(data["created"]),
            target_vchannel=VChannel.parse(data["target_vchannel"]),
            **{name: data[name] for name in _PLAIN},
        )


_PLAIN = (
    "database",
    "collection",
    "shards",
    "target",
    "target_database",
    "target_collection",
    "target_collection_id",
)
