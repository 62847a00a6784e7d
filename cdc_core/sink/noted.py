"""What is remembered of a collection that was made on a target."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cdc_core.model.catalog import Index
from cdc_core.model.channel import VChannel
from cdc_core.sink.base import TargetCollection


@dataclass(frozen=True, slots=True)
class Noted:
    """A collection, its indexes by name, and whether it is loaded."""

    described: TargetCollection
    indexes: Mapping[str, Index] = field(default_factory=dict)
    loaded: bool = False

    def changed(self, **changes: Any) -> Noted:
        """With other values of `TargetCollection`."""
        return replace(self, described=replace(self.described, **changes))

    def with_index(self, index: Index) -> Noted:
        return replace(self, indexes={**self.indexes, index.name: index})

    def without_index(self, name: str) -> Noted:
        return replace(self, indexes={each: index for each, index in self.indexes.items() if each != name})

    def to_json(self) -> str:
        described = self.described
        return json.dumps(
            {
                "id": described.id,
                "database": described.database,
                "name": described.name,
                "schema": base64.standard_b64encode(described.schema).decode(),
                "vchannels": [channel.name for channel in described.vchannels],
                "partitions": dict(described.partitions),
                "consistency_level": described.consistency_level,
                "properties": dict(described.properties),
                "aliases": sorted(described.aliases),
                "indexes": [[index.name, index.field, dict(index.params)] for index in self.indexes.values()],
                "loaded": self.loaded,
            }
        )

    @staticmethod
    def start_of(number: int) -> str:
        """What the text of the collection of that id begins with."""
        return f'{{"id": {number}, '

    @classmethod
    def from_json(cls, text: str) -> Noted:
        data = json.loads(text)
        indexes = [Index(*each) for each in data.pop("indexes")]
        loaded = data.pop("loaded")
        data["schema"] = base64.standard_b64decode(data["schema"])
        data["vchannels"] = tuple(map(VChannel.parse, data["vchannels"]))
        data["aliases"] = frozenset(data["aliases"])
        return cls(TargetCollection(**data), {index.name: index for index in indexes}, loaded)
