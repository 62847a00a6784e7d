"""A collection that is about to be made on the target: what a catalog that is killed then leaves to the next one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from cdc_core.model.catalog import Collection
from cdc_core.model.channel import VChannel
from cdc_core.model.plan import Plan
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.sink.base import TargetCollection


@dataclass(frozen=True, slots=True)
class Intent:
    """Names, and the source's vchannels in shard order."""

    database: str
    collection: str
    created: Tso
    vchannels: tuple[VChannel, ...]

    @classmethod
    def of(cls, collection: Collection) -> Intent:
        return cls(collection.database, collection.name, collection.created, collection.vchannels)

    def to_json(self) -> str:
        names = [vchannel.name for vchannel in self.vchannels]
        return json.dumps([self.database, self.collection, int(self.created), names])

    @classmethod
    def from_json(cls, text: str) -> Intent:
        database, collection, created, names = json.loads(text)
        return cls(database, collection, Tso(created), tuple(map(VChannel.parse, names)))

    def plans(self, target: str, made: TargetCollection) -> Iterator[Plan]:
        """As they would have been, had it been recorded."""
        for vchannel, on_target in zip(self.vchannels, made.vchannels or self.vchannels, strict=False):
            yield Plan(
                vchannel=vchannel,
                database=self.database,
                collection=self.collection,
                shards=len(self.vchannels),
                created=self.created,
                start=Position(vchannel.name, b"", self.created),
                target=target,
                target_database=made.database,
                target_collection=made.name,
                target_collection_id=made.id,
                target_vchannel=on_target,
            )
