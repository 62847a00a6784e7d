"""Where a catalog without a server keeps what it has made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol


class Notes(Protocol):
    """Texts by name, of one target. Thread-safe; may raise `Retryable`."""

    def get(self, name: str) -> str | None: ...

    def names(self) -> Iterable[str]: ...

    def put(self, changes: Mapping[str, str | None]) -> None:
        """All of them at once or none; None removes."""
        ...


class MemoryNotes:
    """`Notes` of one process."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        return self._texts.get(name)

    def names(self) -> Iterable[str]:
        return tuple(self._texts)

    def put(self, changes: Mapping[str, str | None]) -> None:
        kept = {name: text for name, text in self._texts.items() if name not in changes}
        self._texts = kept | {name: text for name, text in changes.items() if text is not None}
