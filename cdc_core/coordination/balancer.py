"""Which worker should run which channel. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

YIELDS_A_ROUND = 25
"""So many are claimed elsewhere in a second; more would only wait longer."""
UNEVEN = 2
"""Loads that differ by no more are left alone: moving costs a second each."""


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

    A channel goes where its group is, unless that worker has its share already, else to the emptiest.
    """
    load = Counter({worker: len(held.get(worker, ())) for worker in slots})
    homes: dict[str, Counter[str]] = defaultdict(Counter)
    for worker in slots:
        for unit in held.get(worker, ()):
            homes[unit.group][worker] += 1
    share = max(1, int(_level(len(free) + sum(load.values()), slots.values())))
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
    unit: Unit, load: Counter[str], homes: Mapping[str, Counter[str]], slots: Mapping[str, int], share: int
) -> str | None:
    open_ = [worker for worker in slots if load[worker] < slots[worker]]
    at_home = [worker for worker in open_ if homes[unit.group][worker] and load[worker] < share]
    if at_home:
        return max(at_home, key=lambda worker: (homes[unit.group][worker], worker))
    return min(open_, key=lambda worker: (load[worker], -homes[unit.group][worker], worker), default=None)


def spread(catalogs: Sequence[str], held: Mapping[str, int]) -> Mapping[str, str]:
    """Catalog -> worker; `held` is how many each live worker runs. '' (any) when none is alive."""
    load = Counter(dict(held))
    assigned: dict[str, str] = {}
    for name in sorted(catalogs):
        assigned[name] = min(held, key=lambda worker: (load[worker], worker), default="")
        load[assigned[name]] += 1
    return assigned


def surplus(held: Mapping[str, Sequence[Unit]], slots: Mapping[str, int]) -> list[str]:
    """Channels that should be given away, so that workers with less than their share get some; at most a few.

    Only when nobody waits for a place: who was given away and is not held yet would be missed, and given twice.
    """
    given: list[str] = []
    for worker, count in _moves({worker: len(held.get(worker, ())) for worker in slots}, slots).items():
        units = held[worker]
        groups = Counter(unit.group for unit in units)
        small_first = sorted(units, key=lambda unit: (groups[unit.group], unit.group, unit.name))
        given += [unit.name for unit in small_first[:count]]
    return given


def _moves(load: dict[str, int], slots: Mapping[str, int]) -> Counter[str]:
    """How many each worker gives away, one after the other from the fullest to the emptiest."""
    moves: Counter[str] = Counter()
    while moves.total() < YIELDS_A_ROUND:
        with_room = [worker for worker in slots if load[worker] < slots[worker]]
        fullest = max(load, key=lambda worker: (load[worker], worker), default="")
        emptiest = min(with_room, key=lambda worker: (load[worker], worker), default=fullest)
        if not load or load[fullest] - load[emptiest] <= (1 if moves else UNEVEN):
            break
        moves[fullest] += 1
        load[fullest] -= 1
        load[emptiest] += 1
    return moves


def _level(channels: int, slots: Collection[int]) -> float:
    """How many each worker carries when all carry alike, and those with fewer slots as many as they have."""
    left = channels
    for number, room in enumerate(sorted(slots)):
        workers = len(slots) - number
        if room * workers >= left:
            return left / workers
        left -= room
    return max(slots, default=0)
