"""What was found out about a source, a target and the workers. Values only.

A question that got no answer has its error in the answer's place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from cdc_core.errors import CdcError
from cdc_core.model.catalog import Catalog, Collection, ObjectState
from cdc_core.model.task import CollectionSelector
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.kafka_cluster import Topic
from cdc_core.transform.filter import Selection
from cdc_core.transform.mapping import Names

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a channel is to be read from, in its queue's own order.

    `order` is None when it is no id of this kind of queue, `head` and `tail` when the topic holds nothing; `named` says
    that the request asks for this one, not for those of all collections.
    """

    channel: str
    order: int | None
    head: int | None
    tail: int | None
    named: bool = True


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """`prefix` is what the settings say that its channels begin with, `places` are those that the request asks for."""

    prefix: str
    catalog: Catalog | CdcError
    topics: frozenset[str] | CdcError
    places: tuple[Place, ...] | CdcError

    @property
    def error(self) -> CdcError | None:
        """Why nothing can begin at this source now."""
        return next((found for found in (self.catalog, self.topics, self.places) if isinstance(found, CdcError)), None)


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """`pchannels` are in use there; `twins` are its collections of the names that are to be replicated, less the
    `unseen` ones that were not looked at.
    """

    version: str | CdcError
    standby: bool | CdcError
    pchannels: frozenset[str] | CdcError
    twins: Mapping[tuple[str, str], TargetCollection] | CdcError
    unseen: int = 0

    @classmethod
    def unknown(cls, error: CdcError) -> TargetFacts:
        """Of a target that answers nothing."""
        return cls(error, error, error, error)

    @property
    def error(self) -> CdcError | None:
        """Why it does not answer, or not to us."""
        return next((found for found in (self.version, self.standby) if isinstance(found, CdcError)), None)


@dataclass(frozen=True, slots=True)
class KafkaFacts:
    """`topic` is None when it is missing; then `missing` says why it cannot be made, None when it can."""

    topic: Topic | CdcError | None
    missing: CdcError | None = None


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """Of the workers that are not ending; `taken` slots are those of the running tasks' channels."""

    workers: int
    slots: int
    taken: int


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was found out for one task; of `target` and `kafka` there is the one that it has, none of a file."""

    source: SourceFacts
    target: TargetFacts | None
    workers: WorkerFacts
    kafka: KafkaFacts | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """A collection that exists and is selected, with the entry that selects it; `key` is its name on the target."""

    collection: Collection
    selector: CollectionSelector
    key: tuple[str, str]

    @property
    def name(self) -> str:
        return f"{self.collection.database}.{self.collection.name}"


def chosen(catalog: Catalog, selection: Selection, names: Names = Names()) -> tuple[Chosen, ...]:  # noqa: B008
    """What a task with that selection replicates at once, sorted by its name on the target."""
    found = []
    for collection in catalog.collections.values():
        if collection.state is ObjectState.CREATED:
            selector = selection.match(collection.database, collection.name)
            if selector is not None:
                found.append(Chosen(collection, selector, names.collection(collection.database, collection.name)))
    return tuple(sorted(found, key=lambda each: each.key))


def answer_of(question: Callable[[], _Found]) -> _Found | CdcError:
    """The answer, or the error that came instead."""
    try:
        return question()
    except CdcError as error:
        return error
