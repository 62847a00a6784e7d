"""How much of a task may travel in a second."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Row changes and bytes of the source's messages a second, over all vchannels of a task; 0 is no limit."""

    rows: int = 0
    bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.rows or self.bytes)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


NO_LIMITS = RateLimits()
