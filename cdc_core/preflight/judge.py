"""From facts to a report. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cdc_core.errors import CdcError
from cdc_core.model.connect import KafkaConnect, MilvusConnect, SinkKind
from cdc_core.model.task import TaskSpec
from cdc_core.preflight import kafka_checks, source_checks, target_checks, worker_checks
from cdc_core.preflight.check import Check, Report
from cdc_core.preflight.facts import Chosen, Facts, TargetFacts, chosen
from cdc_core.transform.filter import Selection
from cdc_core.transform.mapping import Names


def judge(spec: TaskSpec, facts: Facts) -> Report:
    """The source first: what is said of the target needs what exists there."""
    selection, source, target = Selection.of(spec), facts.source, facts.target
    names = Names(spec.name_mapping)
    collections = () if isinstance(source.catalog, CdcError) else chosen(source.catalog, selection, names)
    checks: list[Check] = [
        source_checks.etcd(source),
        source_checks.queue(source),
        source_checks.cluster(source, selection),
        source_checks.names(source, selection),
        source_checks.positions(source, selection),
    ]
    if target and isinstance(spec.target, MilvusConnect):
        checks += [
            target_checks.reachable(target),
            *_of_its_kind(spec.target, target, collections),
            target_checks.schemas(target, collections),
        ]
    elif isinstance(spec.target, MilvusConnect):
        checks.append(target_checks.file(spec.target.file, facts.workers.workers))
    if facts.kafka and isinstance(spec.target, KafkaConnect):
        checks += [
            kafka_checks.reachable(facts.kafka),
            kafka_checks.topic(facts.kafka, spec.target),
            kafka_checks.message_size(facts.kafka, spec.target, collections),
        ]
    return Report((*checks, worker_checks.workers(facts.workers, collections)))


def _of_its_kind(connect: MilvusConnect, target: TargetFacts, collections: Sequence[Chosen]) -> list[Check]:
    if connect.sink is SinkKind.SDK:
        return [target_checks.no_standby(target), target_checks.version_by_key(target)]
    return [
        target_checks.standby(target),
        target_checks.version(target),
        target_checks.channels(target, connect.channel_num, collections),
    ]
