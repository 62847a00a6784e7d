"""Whether two Milvus hold the same: every row of a collection, all its columns, partition by partition.

    wait_equal(stack.source.uri, stack.target.uri, "films")

Milvus answers a query with one row per primary key, however often it is stored; only count(*) counts each. So both
are compared. Collections are to be loaded; on a standby the load comes by replication.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from pymilvus.exceptions import MilvusException

from deploy.local.comparison import Comparison, Tally
from deploy.local.side import DEFAULT, Side

_POLL = 0.1  # seconds between two counts


class NotEqualError(AssertionError):
    """Two collections stayed different until the deadline; `comparison` says how, None if one could not be read."""

    def __init__(self, collection: str, seconds: float, why: object, comparison: Comparison | None = None) -> None:
        self.comparison = comparison
        super().__init__(f"collection {collection!r} is not equal after {seconds:.0f} s: {why}")


def compare(
    source_uri: str,
    target_uri: str,
    collection: str,
    database: str = DEFAULT,
    *,
    source_token: str = "",
    target_token: str = "",
    target_consistency: str = "Eventually",
) -> Comparison:
    """`compare_sides` by address."""
    with _sides(source_uri, target_uri, database, source_token, target_token, target_consistency) as (source, target):
        return compare_sides(source, target, collection)


def wait_equal(
    source_uri: str,
    target_uri: str,
    collection: str,
    database: str = DEFAULT,
    *,
    timeout: float = 60.0,
    source_token: str = "",
    target_token: str = "",
) -> Comparison:
    """Wait until both hold the same; nobody writes to the source meanwhile. Raises NotEqualError at the deadline.

    The counts are polled; the rows are compared when they agree, which they may before the rows do.
    """
    deadline = time.monotonic() + timeout
    with _sides(source_uri, target_uri, database, source_token, target_token) as (source, target):
        comparison, why = None, ""
        while True:
            pause = _POLL
            try:
                # Both anew each time: a 2.3.5 source, too, counts wrong for a moment while it swaps segments.
                expected, seen = source.count(collection), target.count(collection)
                why = f"count(*) {expected} and {seen}"
                if seen == expected:
                    began = time.monotonic()
                    comparison = compare_sides(source, target, collection)
                    if comparison.equal:
                        return comparison
                    why, pause = str(comparison), time.monotonic() - began
            except MilvusException as error:  # not there yet, not loaded yet, restarting
                why = str(error)
            if time.monotonic() + pause > deadline:
                comparison = comparison or _try_compare(source, target, collection)
                raise NotEqualError(collection, timeout, comparison or why, comparison)
            time.sleep(pause)


def wait_same_collections(
    source_uri: str,
    target_uri: str,
    database: str = DEFAULT,
    *,
    timeout: float = 60.0,
    source_token: str = "",
    target_token: str = "",
) -> set[str]:
    """Wait until both have collections of the same names and partitions; raises AssertionError at the deadline."""
    deadline = time.monotonic() + timeout
    with _sides(source_uri, target_uri, database, source_token, target_token) as (source, target):
        while True:
            ours, theirs = _names(source), _names(target)
            if ours == theirs:
                return set(ours)
            if time.monotonic() > deadline:
                raise AssertionError(f"after {timeout:.0f} s the source has {ours}, the target {theirs}")
            time.sleep(_POLL)


@contextlib.contextmanager
def _sides(
    source_uri: str,
    target_uri: str,
    database: str,
    source_token: str,
    target_token: str,
    target_consistency: str = "Eventually",
) -> Iterator[tuple[Side, Side]]:
    with (
        Side(source_uri, database, source_token) as source,
        Side(target_uri, database, target_token, target_consistency) as target,
    ):
        yield source, target


def _names(side: Side) -> dict[str, set[str]]:
    """Collection -> partitions; one that is dropped meanwhile is left out."""
    found = {}
    for collection in sorted(side.collections()):
        with contextlib.suppress(MilvusException):
            found[collection] = side.partitions(collection)
    return found


def _try_compare(source: Side, target: Side, collection: str) -> Comparison | None:
    try:
        return compare_sides(source, target, collection)
    except MilvusException:
        return None


def compare_sides(source: Side, target: Side, collection: str) -> Comparison:
    """Everything of one collection as it is now; raises MilvusException if one side cannot be read."""
    ours, theirs = source.partitions(collection), target.partitions(collection)
    schema = [*_described(source.describe(collection), target.describe(collection))]
    schema += [f"partition {name!r} is missing on the target" for name in sorted(ours - theirs)]
    schema += [f"partition {name!r} exists on the target only" for name in sorted(theirs - ours)]
    here, there = source.divisions(collection), target.divisions(collection)
    tally = Tally()
    for partition in sorted(here | there, key=str):
        tally.add(
            partition or "",
            source.rows(collection, partition) if partition in here else iter(()),
            target.rows(collection, partition) if partition in there else iter(()),
        )
    return Comparison(
        collection,
        tally.rows_source,
        tally.rows_target,
        source.count(collection),
        target.count(collection),
        tuple(tally.missing),
        tuple(tally.surplus),
        tuple(tally.different),
        tuple(schema),
    )


def _described(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield f"{name} is {ours.get(name)!r}, on the target {theirs.get(name)!r}"


__all__ = [
    "DEFAULT",
    "Comparison",
    "NotEqualError",
    "Side",
    "compare",
    "compare_sides",
    "wait_equal",
    "wait_same_collections",
]
