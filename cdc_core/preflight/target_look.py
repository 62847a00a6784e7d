"""Looks at the target. Blocks some seconds at most; errors stand where the answers would be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from cdc_core.clock import Clock
from cdc_core.errors import CdcError, IsStandby, NoStandby
from cdc_core.preflight.facts import Chosen, TargetFacts, answer_of
from cdc_core.sink.base import TargetCatalog, TargetCollection

ANSWER_SECONDS = 3.0
"""How long a target may take for one answer: a healthy one takes milliseconds."""
COMPARE_SECONDS = 3.0
"""How long collections of the target are looked at: a few milliseconds each."""


class Checkable(Protocol):
    """A `Sink` or a `RowSink`, as far as it is asked here."""

    def check(self, timeout: float) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class OpenTarget:
    """A target to ask; `version` is its server's, and raises as the methods of `TargetCatalog` do. `by_key` when rows
    are to be written by their keys: `sink` is a `RowSink` then."""

    sink: Checkable
    catalog: TargetCatalog
    version: Callable[[], str]
    by_key: bool = False


def look_at_target(target: OpenTarget) -> TargetFacts:
    """All but its objects. After a question without an answer no other one is asked: each takes its time-out."""
    version = answer_of(target.version)
    if isinstance(version, CdcError):
        return TargetFacts.unknown(version)
    standby = answer_of(lambda: _is_standby(target))
    if isinstance(standby, CdcError):
        return replace(TargetFacts.unknown(standby), version=version)
    return TargetFacts(version, standby, frozenset(), {})


def look_at_twins(
    facts: TargetFacts, catalog: TargetCatalog, collections: Sequence[Chosen], clock: Clock
) -> TargetFacts:
    """The facts with the target's collections of these names; what takes too long is left out and counted."""
    deadline = clock.monotonic() + COMPARE_SECONDS
    found: dict[tuple[str, str], TargetCollection] = {}
    try:
        existing = _existing(catalog, collections)
        there = [each.key for each in collections if each.key in existing]
        for done, key in enumerate(there):
            if clock.monotonic() > deadline:
                return replace(facts, twins=found, unseen=len(there) - done)
            if twin := catalog.describe(*key):
                found[key] = twin
    except CdcError as error:
        return replace(facts, twins=error)
    return replace(facts, twins=found)


def _is_standby(target: OpenTarget) -> bool:
    try:
        target.sink.check(ANSWER_SECONDS)
    except NoStandby:
        return False
    except IsStandby:
        return True
    return not target.by_key


def _existing(catalog: TargetCatalog, collections: Sequence[Chosen]) -> set[tuple[str, str]]:
    databases = {database for database, _ in (each.key for each in collections)}
    return {(database, name) for database in databases for name in catalog.collections(database)}
