"""The `maintenance` request: logging, changed at runtime for every process, and a task's reconcile.

Always answered with a text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from threading import BoundedSemaphore
from typing import Any

from api.errors import shortened
from cdc_core.clock import Clock
from cdc_core.coordination.log_switch import LogSwitch
from cdc_core.coordination.requests import Requests
from cdc_core.coordination.tasks import TaskStore
from cdc_core.model.task import Desired
from cdc_core.telemetry.logging import LEVELS, set_level

_LARGEST = 1_000_000
_ANSWER_SECONDS = 30.0
"""A catalog looks at a few hundred collections a second."""
_MOST_ASKING = 4
"""Of the 16 threads that answer requests (api/gunicorn.py): each that waits is one less for all others."""


class _WrongError(Exception):
    """A parameter is missing or wrong; its text is the answer."""


class Maintenance:
    """Changes the log settings in Redis, which the workers take over when they are woken; asks a task's catalog."""

    def __init__(self, switch: LogSwitch, store: TaskStore, requests: Requests, clock: Clock) -> None:
        self._switch = switch
        self._store = store
        self._requests = requests
        self._clock = clock
        self._asking = BoundedSemaphore(_MOST_ASKING)
        self._operations: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "set_log_level": _texting(self._set_log_level),
            "set_force_log_msg": _texting(self._set_force_log_msg),
            "reset_log_msg": _texting(self._reset_log_msg),
            "reconcile": self._reconcile,
        }

    def handle(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """A wrong operation or parameter is told in the text, too. :raises StateUnavailable:"""
        run = self._operations.get(operation)
        if run is None:
            return {"State": f"unsupported operation: {shortened(operation)}"}
        try:
            return run(params)
        except _WrongError as error:
            return {"State": str(error)}

    def _set_log_level(self, params: Mapping[str, Any]) -> str:
        level = _required(params, "log_level").lower()
        if level not in LEVELS:
            raise _WrongError(f"log_level: {shortened(level)!r} is none, expected one of {', '.join(LEVELS)}")
        self._switch.set_level(level)
        set_level(level)
        return f"set log level to {level}"

    def _set_force_log_msg(self, params: Mapping[str, Any]) -> str:
        text = _required(params, "force").lower()
        if text not in ("true", "false"):
            raise _WrongError(f"force: {shortened(text)!r} is wrong, expected true or false")
        self._switch.set_force(text == "true")
        return f"set force log msg to {text}"

    def _reset_log_msg(self, params: Mapping[str, Any]) -> str:
        count, minutes = _number(params, "count"), _number(params, "duration")
        self._switch.reset_sample(count, minutes, self._clock.now())
        return f"reset log msg count to {count}, duration to {minutes}"

    def _reconcile(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The task's differences between source and target; with `dry_run` they are only listed, else mended."""
        task_id, dry_run = _required(params, "task_id"), _flag(params, "dry_run")
        task = self._store.get(task_id)
        if task is None or task.desired is Desired.DELETED:
            raise _WrongError(f"not found the task, task_id: {shortened(task_id)}")
        if task.desired is not Desired.RUNNING:
            raise _WrongError(f"the task {task_id} is paused: resume it, then reconcile")
        answer = self._ask(task_id, json.dumps({"dry_run": dry_run}))
        if answer is None:
            raise _WrongError(
                f"the task {task_id} gave no answer in {_ANSWER_SECONDS:.0f} s: see its reason, and the workers"
            )
        found = json.loads(answer)
        return {"State": f"{len(found)} differences {'found' if dry_run else 'looked after'}", "differences": found}

    def _ask(self, task_id: str, question: str) -> str | None:
        if not self._asking.acquire(blocking=False):
            raise _WrongError(f"{_MOST_ASKING} tasks are being reconciled already, too many at once: try again")
        try:
            return self._requests.ask(task_id, question, _ANSWER_SECONDS)
        finally:
            self._asking.release()


def _texting(run: Callable[[Mapping[str, Any]], str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return lambda params: {"State": run(params)}


def _flag(params: Mapping[str, Any], name: str) -> bool:
    """Absent is false."""
    value = params.get(name, False)
    if not isinstance(value, bool):
        raise _WrongError(f"{name}: {shortened(str(value))!r} is wrong, expected true or false")
    return value


def _required(params: Mapping[str, Any], name: str) -> str:
    if name not in params:
        raise _WrongError(f"{name} is required")
    return str(params[name])


def _number(params: Mapping[str, Any], name: str) -> int:
    text = _required(params, name)
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_LARGEST)) or int(text) > _LARGEST:
        raise _WrongError(f"{name}: {shortened(text)!r} is wrong, expected a whole number from 0 to {_LARGEST}")
    return int(text)
