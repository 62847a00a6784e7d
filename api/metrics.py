"""`GET /metrics`: what the state says of the tasks, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cdc_core.coordination.retention import Retention
from cdc_core.coordination.shortage import Shortage
from cdc_core.coordination.tasks import TaskStore
from cdc_core.model.task import Desired, Task, TaskState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(store: TaskStore, retention: Retention, shortage: Shortage) -> bytes:
    """In Prometheus' text format; any process of the API answers the same. :raises StateUnavailable:"""
    registry = CollectorRegistry()
    registry.register(_Tasks(store, retention, shortage))
    return generate_latest(registry)


class _Tasks(Collector):
    """Read when it is asked: the state is shared, so a process counts nothing itself."""

    def __init__(self, store: TaskStore, retention: Retention, shortage: Shortage) -> None:
        self._store = store
        self._retention = retention
        self._shortage = shortage

    def describe(self) -> Iterator[Metric]:
        """Nothing is read at the registration."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        tasks = [task for task in self._store.all() if task.desired is not Desired.DELETED]
        ids = [task.id for task in tasks]
        yield _by_state(tasks)
        letters = CounterMetricFamily("cdc_dead_letters", "Messages of the source that cannot be read", labels=["task"])
        yield _by_task(letters, self._store.dead_letters.counts(ids))
        near = GaugeMetricFamily(
            "cdc_retention_near",
            "1 where the queue's retention comes near an unread checkpoint",
            labels=["task", "pchannel"],
        )
        for task, found in self._retention.warnings(ids).items():
            for pchannel in found:
                near.add_metric([task, pchannel], 1)
        yield near
        missing = GaugeMetricFamily("cdc_slots_missing", "Vchannels that no worker has a slot for", labels=["task"])
        yield _by_task(missing, dict.fromkeys(ids, 0) | self._shortage.of(ids))
        troubled = GaugeMetricFamily("cdc_channels_in_trouble", "Channels that stopped, or wait", labels=["task"])
        yield _by_task(troubled, {task: len(found) for task, found in self._store.troubles(ids).items()})
        late = CounterMetricFamily("cdc_late_writes", "Records refused because their worker's lease was over")
        late.add_metric([], self._store.late_writes.total)
        yield late


def _by_task(family: CounterMetricFamily | GaugeMetricFamily, counts: Mapping[str, int]) -> Metric:
    for task, count in counts.items():
        family.add_metric([task], count)
    return family


def _by_state(tasks: list[Task]) -> Metric:
    family = GaugeMetricFamily("cdc_tasks", "Tasks by state", labels=["state"])
    for state in TaskState:
        family.add_metric([state.value], sum(task.state is state for task in tasks))
    return family
