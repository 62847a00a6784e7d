"""What a target must do: take messages (`Sink`) and have objects (`TargetCatalog`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cdc_core.codec.operation import Operation
from cdc_core.errors import Refused
from cdc_core.model.address import Row
from cdc_core.model.catalog import Collection, Serving
from cdc_core.model.channel import VChannel
from cdc_core.model.timestamp import Tso

MAX_MESSAGE_BYTES = 10 * 1024 * 1024 - 64 * 1024
"""A standby refuses a message above about 10 MiB for good; some slack for what its proxy adds."""

MAX_CALL_BYTES = 48 * 1024 * 1024
"""A standby refuses a call above 64 MiB for good. Batches should stay far below: a call of 4 MB takes 0.1 s."""


def refuse_oversize(messages: Sequence[bytes]) -> None:
    """:raises Refused: a message or the whole call is larger than a target takes; ask before the batch begins."""
    largest = max(map(len, messages), default=0)
    if largest > MAX_MESSAGE_BYTES:
        raise Refused(f"a message of {largest} bytes; the target takes {MAX_MESSAGE_BYTES}: it cannot be replicated")
    total = sum(map(len, messages))
    if total > MAX_CALL_BYTES:
        raise Refused(f"a call of {total} bytes; the target takes {MAX_CALL_BYTES}: send the messages in several calls")


class Sink(Protocol):
    """The target's channels. Thread-safe; one per target and process."""

    def send(
        self,
        pchannel: str,
        messages: Sequence[bytes],
        *,
        begin: Tso,
        end: Tso,
        tick: Tso | None,
        timeout: float,
    ) -> None:
        """Append the messages, then the tick (both may be left out), to a pchannel of the target, in one call.

        `begin` and `end` are the smallest and largest row timestamp of the messages. Blocks up to `timeout` seconds.
        Idempotent as long as no tick at or beyond `end` was sent: the target drops equal msgIDs until then. After an
        error nothing, a beginning or all of the call may have been written, also later than `timeout`.
        A target does not look at the ids in a message: one that goes to no collection is taken without a word.

        :raises TargetUnavailable: it may work later, with the same bytes; the outcome of this call is unclear.
        :raises Refused: this call can never succeed as it is. A beginning of it may have been written, except when
            `refuse_oversize` raises the same: nothing is sent then.
        :raises TaskStopped: the target is no standby, or refuses the credentials.
        """
        ...

    def tick_all(self, ticks: Mapping[str, Tso], timeout: float) -> Mapping[str, Exception]:
        """Send one tick to each of these pchannels at the same time; answers the ones that failed, as `send` raises."""
        ...

    def takes_imports(self, timeout: float) -> bool:
        """Whether it runs what an import message tells it. Raises as `check`."""
        ...

    def check(self, timeout: float) -> None:
        """Whether the target is reachable, a standby, and takes the credentials. Writes nothing.

        :raises TargetUnavailable: not reachable, or not ready yet.
        :raises TaskStopped: no standby, or the credentials are refused.
        """
        ...

    def close(self) -> None:
        """Ends the connection; calls under way fail with `TargetUnavailable`."""
        ...


class RowSink(Protocol):
    """A target that takes rows by their keys and keeps no channels for us. Thread-safe; one per target and process."""

    def write(self, rows: Sequence[Row], timeout: float) -> None:
        """Apply the rows of these messages. Blocks up to `timeout` seconds.

        They are of one or more vchannels, the messages of each vchannel (`row.message.vchannel`) in the order (first
        row timestamp, deletes before inserts); those of different vchannels have no order. A message may hold rows of
        several timestamps, merged out of small ones: within a call the rows' own timestamps decide, a delete before an
        insert of the same one (an upsert is both, and the insert survives). Every call is later than the one before.
        Idempotent: a call is repeated as it is until its outcome is clear, and after a crash from a checkpoint
        before it, in the same order.

        :raises TargetUnavailable: it may work later; the outcome of this call is unclear.
        :raises Refused: this call can never succeed as it is; a part of it may have been written.
        :raises TaskStopped: the credentials are refused, or the target is not what the task says.
        """
        ...

    def check(self, timeout: float) -> None:
        """Whether the target is reachable and takes the credentials. Writes nothing. Raises as `write`.

        :raises IsStandby: it is a Milvus that takes replicated messages only.
        """
        ...

    def close(self) -> None:
        """Ends the connection; calls under way fail with `TargetUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class TargetCollection:
    """A collection of the target. `vchannels` are in the order of the shards, none where rows go by their keys
    (`RowSink`), so shards and field ids need not be the source's; `schema` is a serialized
    `schema.CollectionSchema` without the internal fields; `partitions` maps names to ids."""

    id: int
    database: str
    name: str
    schema: bytes
    vchannels: tuple[VChannel, ...]
    partitions: Mapping[str, int]
    consistency_level: int
    properties: Mapping[str, str]
    aliases: frozenset[str] = frozenset()

    @property
    def shards(self) -> int:
        return len(self.vchannels)


class TargetCatalog(Protocol):
    """The target's objects. Thread-safe; every change is idempotent. All names are the target's.

    Every method blocks and raises `TargetUnavailable` (try again), `Refused` (this can never succeed as it is)
    or `TaskStopped` (no standby, or the credentials are refused).
    """

    def pchannels(self) -> frozenset[str]:
        """Every pchannel on which the target has a vchannel, over all databases: all of them need ticks. None where
        rows go by their keys.
        """
        ...

    def databases(self) -> frozenset[str]: ...

    def create_database(self, name: str, properties: Mapping[str, str]) -> None:
        """An existing one is fine, whatever its properties."""
        ...

    def database_properties(self, name: str) -> Mapping[str, str] | None:
        """None when there is no such database, or the target (a Milvus before 2.4.4) does not say."""
        ...

    def alter_database(self, name: str, properties: Mapping[str, str]) -> None:
        """Set these properties, the others stay. :raises Refused: no such database, or no such property."""
        ...

    def drop_database(self, name: str) -> None:
        """A missing one is fine. :raises Refused: it is not empty."""
        ...

    def collections(self, database: str) -> frozenset[str]:
        """The names; empty when there is no such database."""
        ...

    def ids(self, database: str) -> frozenset[int]:
        """Of the collections; empty when there is no such database."""
        ...

    def describe(self, database: str, name: str) -> TargetCollection | None:
        """None when the collection or the database does not exist."""
        ...

    def create_collection(self, collection: Collection) -> None:
        """With the source's schema, shards, properties, field ids and creation time (`database` and `name` are
        the target's). One that exists is left alone: compare it by `compare.difference`. Where rows go by their keys,
        keys are given also to what makes its own at the source (autoID).

        :raises Refused: also when the database does not exist, or an alias has the name.
        """
        ...

    def drop_collection(self, database: str, name: str, at: Tso) -> None:
        """A missing one is fine. Also send `drop_collection_message` into each of its channels, with a tick."""
        ...

    def create_partition(self, database: str, collection: str, name: str, at: Tso) -> None:
        """An existing one is fine. :raises Refused: no such collection."""
        ...

    def drop_partition(self, database: str, collection: str, name: str, at: Tso) -> None:
        """A missing one is fine; it is released first when it is loaded."""
        ...

    def alter_collection(self, database: str, name: str, properties: Mapping[str, str]) -> None:
        """Set these properties, the others stay. :raises Refused: no such collection, or no such property."""
        ...

    def rename_collection(self, database: str, name: str, new_database: str, new_name: str) -> None:
        """:raises Refused: no such collection, or the new name is taken, or the target cannot move it to another
        database.
        """
        ...

    def put_alias(self, database: str, name: str, alias: str) -> None:
        """Make it point to that collection, whatever it pointed to before.

        :raises Refused: no such collection, or another collection has that name.
        """
        ...

    def drop_alias(self, database: str, alias: str) -> None:
        """A missing one is fine."""
        ...

    def serving(self, database: str, name: str) -> Serving:
        """Its indexes and whether it is loaded or being loaded (`replicas` is 1 then, whatever it is).

        :raises Refused: no such collection.
        """
        ...

    def apply(self, operation: Operation) -> None:
        """Index, load, release, flush and database operations, after a look at what is there already.

        A load returns before it is done. A flush of a standby waits until its channels have had a tick. What the
        operation needs and is missing (a collection dropped meanwhile) makes a release, a flush and a drop no work,
        and a load and a create `Refused`.
        """
        ...

    def close(self) -> None: ...
