"""A check's outcome, and all of them together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cdc_core.errors import CdcError, Retryable

_LISTED = 5
"""Names in a message."""


class Status(StrEnum):
    PASS = "pass"  # noqa: S105  no password
    WARN = "warn"
    """The task can be made; this is worth a look first."""
    FAIL = "fail"
    """The task, or a part of it, would not replicate as things are now."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `advice` says what to do about it, empty when there is nothing to do.

    `lasting`: a failure that does not pass by itself and concerns all that was asked for: a create is refused for it.
    """

    name: str
    status: Status
    message: str
    advice: str = ""
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.message}; {self.advice}" if self.advice else f"{self.name}: {self.message}"


@dataclass(frozen=True, slots=True)
class Report:
    """All checks, in the order in which a person would mend what they name."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Nothing fails; there may be warnings."""
        return all(check.status is not Status.FAIL for check in self.checks)

    @property
    def refusing(self) -> tuple[Check, ...]:
        """What a create is refused for; the rest a task waits for, as it does when it comes later."""
        return tuple(check for check in self.checks if check.status is Status.FAIL and check.lasting)


def passed(name: str, message: str) -> Check:
    return Check(name, Status.PASS, message)


def warned(name: str, message: str, advice: str) -> Check:
    return Check(name, Status.WARN, message, advice)


def failed(name: str, message: str, advice: str, *, lasting: bool) -> Check:
    return Check(name, Status.FAIL, message, advice, lasting)


def failed_by(name: str, error: CdcError, advice: str) -> Check:
    """An error as a check; what is `Retryable` may be over the next moment."""
    return failed(name, str(error), advice, lasting=not isinstance(error, Retryable))


def not_looked_at(name: str, why: str) -> Check:
    """What could not be found out, because something else failed: see there."""
    return warned(name, f"not looked at: {why}", "mend that, then validate again")


def listed(names: Iterable[str]) -> str:
    """The first few, and how many more."""
    found = list(names)
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return ", ".join(found[:_LISTED]) + more
