"""How long to wait before doing it again."""

from __future__ import annotations

import random


def delay(attempt: int, *, least: float = 0.2, most: float = 10.0) -> float:
    """Seconds before the `attempt`-th repetition (1...): exponential, with full jitter above `least`."""
    ceiling = min(most, least * 2 ** min(attempt, 30))
    return random.uniform(least, ceiling)  # noqa: S311 # jitter, not a secret
