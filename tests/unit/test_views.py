"""What a client is shown of a task."""

from __future__ import annotations

import pytest

from api.views import task_view
from cdc_core.model.connect import MilvusConnect
from cdc_core.model.task import Beginning, CollectionSelector, Desired, Task, TaskSpec, TaskState

pytestmark = pytest.mark.unit

SPEC = TaskSpec("one", MilvusConnect(uri="http://t:19530"), {"default": (CollectionSelector("*", {}),)})


def task(reason: str = "") -> Task:
    return Task(SPEC, Beginning({}, frozenset()), Desired.RUNNING, TaskState.RUNNING, reason, 1.0)


def test_each_trouble_is_told_once_with_a_few_of_its_channels() -> None:
    troubles = {f"c{number}": "away" for number in range(7)} | {"d": "slow"}
    assert task_view(task(), troubles)["reason"] == "c0, c1, c2, c3, c4 and 2 more: away; d: slow"
    assert task_view(task(), {"c0": "away"})["reason"] == "c0: away"


def test_of_many_troubles_a_few_are_told() -> None:
    troubles = {f"c{number}": f"trouble {number}" for number in range(5)}
    assert task_view(task(), troubles)["reason"].endswith("; c4: trouble 4")
    troubles = {f"c{number:04}": f"trouble {number}" for number in range(5_000)}
    assert task_view(task(), troubles)["reason"].endswith("; c0004: trouble 4; and 4,995 more troubles")


def test_the_tasks_own_reason_comes_first() -> None:
    assert task_view(task("no standby"), {"c0": "away"})["reason"] == "no standby"
    assert "reason" not in task_view(task(), {})
