"""The `maintenance` request: logging, changed at runtime for every process. Always answered with a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from api.errors import shortened
from cdc_core.clock import Clock
from cdc_core.coordination.log_switch import LogSwitch
from cdc_core.telemetry.logging import LEVELS, set_level

_LARGEST = 1_000_000


class _WrongError(Exception):
    """A parameter is missing or wrong; its text is the answer."""


class Maintenance:
    """Changes the log settings in Redis; the workers take them over when they are woken."""

    def __init__(self, switch: LogSwitch, clock: Clock) -> None:
        self._switch = switch
        self._clock = clock
        self._operations: dict[str, Callable[[Mapping[str, Any]], str]] = {
            "set_log_level": self._set_log_level,
            "set_force_log_msg": self._set_force_log_msg,
            "reset_log_msg": self._reset_log_msg,
        }

    def handle(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """A wrong operation or parameter is told in the text, too. :raises StateUnavailable:"""
        run = self._operations.get(operation)
        if run is None:
            return {"State": f"unsupported operation: {shortened(operation)}"}
        try:
            return {"State": run(params)}
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


def _required(params: Mapping[str, Any], name: str) -> str:
    if name not in params:
        raise _WrongError(f"{name} is required")
    return str(params[name])


def _number(params: Mapping[str, Any], name: str) -> int:
    text = _required(params, name)
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_LARGEST)) or int(text) > _LARGEST:
        raise _WrongError(f"{name}: {shortened(text)!r} is wrong, expected a whole number from 0 to {_LARGEST}")
    return int(text)
