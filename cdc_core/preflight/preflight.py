"""Looks at everything that a new task needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol, TypeVar

from cdc_core.clock import Clock
from cdc_core.coordination.channels import ChannelStore
from cdc_core.coordination.workers import Workers
from cdc_core.errors import CdcError, TargetUnavailable
from cdc_core.model.catalog import Catalog
from cdc_core.model.connect import KafkaConnect, MilvusConnect
from cdc_core.model.task import Task, TaskSpec
from cdc_core.preflight.facts import Facts, KafkaFacts, SourceFacts, TargetFacts, WorkerFacts, answer_of, chosen
from cdc_core.preflight.source_look import look_at_source
from cdc_core.preflight.target_look import OpenTarget, look_at_target, look_at_twins
from cdc_core.preflight.worker_look import look_at_workers
from cdc_core.source.base import Queue
from cdc_core.transform.filter import Selection
from cdc_core.transform.mapping import Names

TARGET_SECONDS = 7.0
"""How long a target is waited for, beside the source: a bit longer than its two answers may take."""
CHANNELS_SECONDS = 3.0
"""How long its channels are looked at beside its collections: two answers for each that it has."""
_LOOKS = 16
"""At targets at once, as many as there are requests; one that hangs ends with its calls' time-outs."""

_Found = TypeVar("_Found")


class Source(Protocol):
    """The source as it is looked at."""

    def refresh(self) -> Catalog:
        """What exists, as new as this call; may block some seconds. :raises SourceUnavailable:"""
        ...

    def queue(self) -> Queue:
        """Its queue, the caller's to close. :raises SourceUnavailable:"""
        ...


class Preflight:
    """Thread-safe. A look takes a fraction of a second, and some seconds when something does not answer."""

    def __init__(
        self,
        source: Source,
        open_target: Callable[[MilvusConnect], OpenTarget],
        look_at_kafka: Callable[[KafkaConnect], KafkaFacts],
        workers: Workers,
        channels: ChannelStore,
        clock: Clock,
        prefix: str,
    ) -> None:
        """`open_target` does not block, and raises `TaskStopped` for a target that cannot be dialled;
        `look_at_kafka` (kafka_look.py) may take some seconds, and raises nothing.
        """
        self._source = source
        self._open_target = open_target
        self._look_at_kafka = look_at_kafka
        self._workers = workers
        self._channels = channels
        self._clock = clock
        self._prefix = prefix
        self._looks = ThreadPoolExecutor(_LOOKS, "preflight")

    def look(self, spec: TaskSpec, tasks: Iterable[Task]) -> Facts:
        """Source and target at the same time; `tasks` are all there are. :raises StateUnavailable:"""
        workers = look_at_workers(self._workers, self._channels, tasks)
        if isinstance(spec.target, KafkaConnect):
            return self._with_kafka(spec, spec.target, workers)
        if spec.target.file:
            return Facts(self._source_facts(spec), None, workers)
        connect = spec.target
        target = answer_of(lambda: self._open_target(connect))
        if isinstance(target, CdcError):
            return Facts(self._source_facts(spec), TargetFacts.unknown(target), workers)
        begun = self._looks.submit(look_at_target, target)
        source = self._source_facts(spec)
        answered = answer_of(lambda: _finished(begun, TARGET_SECONDS))
        reached = TargetFacts.unknown(answered) if isinstance(answered, CdcError) else answered
        return Facts(source, self._with_objects(reached, target, source, spec), workers)

    def _with_kafka(self, spec: TaskSpec, connect: KafkaConnect, workers: WorkerFacts) -> Facts:
        begun = self._looks.submit(self._look_at_kafka, connect)
        source = self._source_facts(spec)
        kafka = answer_of(lambda: _finished(begun, TARGET_SECONDS))
        return Facts(source, None, workers, KafkaFacts(kafka) if isinstance(kafka, CdcError) else kafka)

    def _source_facts(self, spec: TaskSpec) -> SourceFacts:
        return look_at_source(self._source.refresh, self._source.queue, spec, self._prefix)

    def _with_objects(
        self, reached: TargetFacts, target: OpenTarget, source: SourceFacts, spec: TaskSpec
    ) -> TargetFacts:
        if reached.error:
            return reached
        channels = self._looks.submit(target.catalog.pchannels)
        if isinstance(source.catalog, CdcError):
            facts = replace(reached, twins=source.catalog)
        else:
            collections = chosen(source.catalog, Selection.of(spec), Names(spec.name_mapping))
            facts = look_at_twins(reached, target.catalog, collections, self._clock)
        return replace(facts, pchannels=answer_of(lambda: _finished(channels, CHANNELS_SECONDS)))


def _finished(look: Future[_Found], seconds: float) -> _Found:
    """:raises TargetUnavailable: not in time."""
    try:
        return look.result(seconds)
    except TimeoutError:
        raise TargetUnavailable(f"the target does not answer within {seconds:g} s") from None
