"""How the objects of a Milvus are changed: of a standby as replicated, of any other as by any client."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

from cdc_core.codec.protobuf import common_pb2
from cdc_core.model.channel import VChannel
from cdc_core.model.timestamp import Tso

DEFAULT_PARTITION = "_default"
MOST_PARTITIONS = 4096
"""That a collection of a Milvus 2.3 can have; later ones take 1,024."""


class Manner(Protocol):
    """What differs between the two. Stateless."""

    has_channels: bool
    """Whether rows are written to the target's channels, which then need ticks."""

    def mark(self, base: Any, at: Tso) -> None:
        """Make a `common.MsgBase` that of a change at that time of the source; zero for what has no time."""
        ...

    def adapt(self, schema: Any) -> None:
        """Change a `schema.CollectionSchema` to what a new collection must have."""
        ...

    def vchannels(self, names: Sequence[str]) -> tuple[VChannel, ...]:
        """Those of a described collection, in the order of the shards."""
        ...

    def partitions(self, schema: Any, names: Sequence[str], ids: Sequence[int]) -> dict[str, int]:
        """Those of a described collection, by name."""
        ...


class AsStandby:
    """A standby refuses what is not marked as replicated, and a collection whose creation time is not given."""

    has_channels = True

    def mark(self, base: Any, at: Tso) -> None:
        base.replicateInfo.isReplicate = True
        base.replicateInfo.msgTimestamp = at

    def adapt(self, schema: Any) -> None:
        """It is the source's twin."""

    def vchannels(self, names: Sequence[str]) -> tuple[VChannel, ...]:
        return tuple(sorted(map(VChannel.parse, names), key=lambda channel: channel.shard))

    def partitions(self, schema: Any, names: Sequence[str], ids: Sequence[int]) -> dict[str, int]:  # noqa: ARG002
        return dict(zip(names, ids, strict=True))


class ByKey:
    """Rows are written by their keys: no channels, keys are given, also where the source makes them."""

    has_channels = False

    def mark(self, base: Any, at: Tso) -> None:  # noqa: ARG002 # it takes its own
        base.Clear()

    def adapt(self, schema: Any) -> None:
        schema.autoID = False
        for field in schema.fields:
            field.autoID = False

    def vchannels(self, names: Sequence[str]) -> tuple[VChannel, ...]:  # noqa: ARG002
        return ()

    def partitions(self, schema: Any, names: Sequence[str], ids: Sequence[int]) -> dict[str, int]:
        """With a partition key, where nobody names a partition: one for any that the source can have, however many and
        whatever they are called here. Without ids (Milvus Lite) they are made of the names.
        """
        if any(field.is_partition_key for field in schema.fields):
            return {DEFAULT_PARTITION: 0} | {f"{DEFAULT_PARTITION}_{n}": n + 1 for n in range(MOST_PARTITIONS)}
        return dict(zip(names, ids or map(_number, names), strict=True))


def base_of(manner: Manner, at: Tso) -> common_pb2.MsgBase:
    """The base of a change at that time of the source."""
    base = common_pb2.MsgBase()
    manner.mark(base, at)
    return base


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest(), "big")
