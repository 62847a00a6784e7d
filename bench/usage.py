"""What processes use, from /proc, and what a Redis is asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import redis

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since it started, resident MB and threads now."""

    cpu: float
    rss_mb: float
    threads: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """Of one process without its children."""
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(fields[11]) + int(fields[12])) / _TICKS
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return cls(cpu, int(lines["VmRSS"].split()[0]) / 1024, int(lines["Threads"]))


def commands(client: redis.Redis) -> dict[str, int]:
    """Calls of each command since the server started; those that scripts make are among them."""
    told = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(stats["calls"]) for name, stats in told.items()}
