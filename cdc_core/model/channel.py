"""Milvus' channel names."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VCHANNEL = re.compile(r"^(?P<pchannel>.+)_(?P<collection>\d+)v(?P<shard>\d+)$")


@dataclass(frozen=True, slots=True)
class VChannel:
    """A virtual channel: one shard of one collection, carried by the topic `pchannel`."""

    pchannel: str
    collection_id: int
    shard: int

    @classmethod
    def parse(cls, name: str) -> VChannel:
        """From `<pchannel>_<collection id>v<shard>`.

        :raises ValueError: the name is no vchannel.
        """
        match = _VCHANNEL.match(name)
        if match is None:
            raise ValueError(f"{name!r} is no vchannel; expected <pchannel>_<collection id>v<shard>")
        return cls(match["pchannel"], int(match["collection"]), int(match["shard"]))

    @property
    def name(self) -> str:
        return f"{self.pchannel}_{self.collection_id}v{self.shard}"

    def __str__(self) -> str:
        return self.name


def pchannel_of(name: str) -> str:
    """The topic of a vchannel's or a pchannel's name (a data node's checkpoint names the vchannel)."""
    match = _VCHANNEL.match(name)
    return match["pchannel"] if match else name


def op_channel(prefix: str) -> str:
    """The topic of operations that are not on the DML channels."""
    return f"{prefix}-replicate-msg"
