"""From facts to a report. Pure."""

from __future__ import annotations

from cdc_core.errors import CdcError
from cdc_core.model.connect import KafkaConnect, MilvusConnect
from cdc_core.model.task import TaskSpec
from cdc_core.preflight import kafka_checks, source_checks, target_checks, worker_checks
from cdc_core.preflight.check import Check, Report
from cdc_core.preflight.facts import Facts, chosen
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
            target_checks.standby(target),
            target_checks.version(target),
            target_checks.channels(target, spec.target.channel_num, collections),
            target_checks.schemas(target, collections),
        ]
    if facts.kafka and isinstance(spec.target, KafkaConnect):
        checks += [
            kafka_checks.reachable(facts.kafka),
            kafka_checks.topic(facts.kafka, spec.target),
            kafka_checks.message_size(facts.kafka, spec.target, collections),
        ]
    return Report((*checks, worker_checks.workers(facts.workers, collections)))
