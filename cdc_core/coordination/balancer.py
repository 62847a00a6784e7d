"""Which worker should run which channel. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

YIELDS_A_ROUND = 50
SLACK = 1.25
"""A worker gives channels away only when it has this many times its share: moving costs a second each."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A channel to place. Channels of one `group` share a gate, so they are cheapest in one process."""

    name: str
    group: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Channel -> worker for those that nobody runs; those that nobody has a slot for are left out."""

    assigned: Mapping[str, str]
    starved: int


def place(free: Sequence[Unit], held: Mapping[str, Sequence[Unit]], slots: Mapping[str, int]) -> Placement:
    """`held` is what each live worker runs (or has a good ticket for), `slots` how many it can.

    A channel goes where its group is, unless that worker has more than its share already, else to the emptiest.
    """
    load = Counter({worker: len(held.get(worker, ())) for worker in slots})
    homes: dict[str, Counter[str]] = defaultdict(Counter)
    for worker in slots:
        for unit in held.get(worker, ()):
            homes[unit.group][worker] += 1
    share = _share(len(free) + sum(load.values()), len(slots))
    assigned: dict[str, str] = {}
    starved = 0
    for unit in sorted(free, key=lambda unit: (unit.group, unit.name)):
        chosen = _choose(unit, load, homes, slots, share)
        if chosen is None:
            starved += 1
            continue
        assigned[unit.name] = chosen
        load[chosen] += 1
        homes[unit.group][chosen] += 1
    return Placement(assigned, starved)


def _choose(
    unit: Unit, load: Counter[str], homes: Mapping[str, Counter[str]], slots: Mapping[str, int], share: float
) -> str | None:
    open_ = [worker for worker in slots if load[worker] < slots[worker]]
    at_home = [worker for worker in open_ if homes[unit.group][worker] and load[worker] < _most(share)]
    if at_home:
        return max(at_home, key=lambda worker: (homes[unit.group][worker], worker))
    return min(open_, key=lambda worker: (load[worker], worker), default=None)


def spread(catalogs: Sequence[str], held: Mapping[str, int]) -> Mapping[str, str]:
    """Catalog -> worker; `held` is how many each live worker runs. '' (any) when none is alive."""
    load = Counter(dict(held))
    assigned: dict[str, str] = {}
    for name in sorted(catalogs):
        assigned[name] = min(held, key=lambda worker: (load[worker], worker), default="")
        load[assigned[name]] += 1
    return assigned


def surplus(held: Mapping[str, Sequence[Unit]], workers: Sequence[str]) -> list[str]:
    """Channels that should be given away, so that workers with less than their share get some; at most a few."""
    if not workers:
        return []
    total = sum(len(held.get(worker, ())) for worker in workers)
    share = _share(total, len(workers))
    wanted = sum(max(0, int(share) - len(held.get(worker, ()))) for worker in workers)
    given: list[str] = []
    for worker in workers:
        units = held.get(worker, ())
        if len(units) > _most(share):
            groups = Counter(unit.group for unit in units)
            small_first = sorted(units, key=lambda unit: (groups[unit.group], unit.group, unit.name))
            given += [unit.name for unit in small_first[: len(units) - int(share) - 1]]
    return given[: min(wanted, YIELDS_A_ROUND)]


def _most(share: float) -> int:
    """What one worker may have; with more it gives away, so it must not be given more either."""
    return max(int(share * SLACK), int(share) + 1)


def _share(channels: int, workers: int) -> float:
    return max(1.0, channels / workers) if workers else 0.0
