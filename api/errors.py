"""Refusals, and every error as the answer a client gets."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from cdc_core.errors import CdcError

MOST_PROBLEMS = 20
_MOST_TEXT = 2_000
"""Characters of one; some name what they are about in full."""


class RefusedError(CdcError):
    """The request cannot be done as it is, and the client can tell why: code 400."""

    @classmethod
    def of(cls, problems: Iterable[str]) -> RefusedError:
        """What is wrong, at once, as far as one can read it: a request may have a mistake in every line."""
        told = [shortened(problem, _MOST_TEXT) for problem in problems]
        more = [f"and {len(told) - MOST_PROBLEMS:,} more"] if len(told) > MOST_PROBLEMS else []
        return cls("; ".join([*told[:MOST_PROBLEMS], *more]))


class TooLargeError(RefusedError):
    """The body is larger than any request: 413, in the code and as HTTP status."""


class UnknownTaskError(RefusedError):
    """There is no such task."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"not found the task, task_id: {shortened(task_id)}")


def code_of(error: Exception) -> HTTPStatus:
    """400 for the client's fault (413 for a body without measure), 500 for everything else."""
    if isinstance(error, TooLargeError):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return HTTPStatus.BAD_REQUEST if isinstance(error, RefusedError) else HTTPStatus.INTERNAL_SERVER_ERROR


def shortened(text: str, limit: int = 100) -> str:
    """A client's own text in a message: as much as helps to recognize it."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
