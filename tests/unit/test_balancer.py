"""Which worker gets which channel."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.coordination.balancer import YIELDS_A_ROUND, Unit, place, spread, surplus

pytestmark = pytest.mark.unit


def units(count: int, group: str, prefix: str = "u") -> list[Unit]:
    return [Unit(f"{prefix}-{group}-{number}", group) for number in range(count)]


WORLD = st.tuples(
    st.lists(st.sampled_from("abcdef"), max_size=60),
    st.lists(st.tuples(st.integers(0, 20), st.lists(st.sampled_from("abcdef"), max_size=20)), max_size=5),
)


@given(WORLD)
def test_nobody_gets_more_than_its_slots_and_everything_is_placed_if_there_is_room(
    world: tuple[list[str], list[tuple[int, list[str]]]],
) -> None:
    groups, workers = world
    free = [Unit(f"free{number}", group) for number, group in enumerate(groups)]
    slots = {f"w{number}": count for number, (count, _) in enumerate(workers)}
    held = {
        f"w{n}": [Unit(f"held{n}-{k}", group) for k, group in enumerate(have)] for n, (_, have) in enumerate(workers)
    }
    placement = place(free, held, slots)
    load = Counter(placement.assigned.values())
    room = {worker: max(0, slots[worker] - len(held[worker])) for worker in slots}
    assert all(load[worker] <= room[worker] for worker in load)
    assert len(placement.assigned) == min(len(free), sum(room.values()))
    assert placement.starved == len(free) - len(placement.assigned)
    assert placement == place(list(reversed(free)), held, slots), "whatever the order of asking"


def test_channels_of_one_gate_go_to_one_worker() -> None:
    free = [*units(4, "a"), *units(4, "b")]
    placement = place(free, {}, {"v": 100, "w": 100})
    homes = {group: {placement.assigned[u.name] for u in free if u.group == group} for group in "ab"}
    assert all(len(workers) == 1 for workers in homes.values())
    assert homes["a"] != homes["b"]


def test_a_channel_goes_home_unless_home_has_more_than_its_share() -> None:
    home = {"v": units(3, "a"), "w": units(3, "b")}
    assert place([Unit("x", "a")], home, {"v": 9, "w": 9}).assigned == {"x": "v"}
    full = {"v": units(9, "a"), "w": []}
    assert place([Unit("x", "a")], full, {"v": 99, "w": 99}).assigned == {"x": "w"}


def test_without_workers_everything_is_starved() -> None:
    assert place(units(3, "a"), {}, {}).starved == 3
    assert surplus({}, []) == []


def test_an_even_load_is_left_alone() -> None:
    held = {"v": units(10, "a"), "w": units(11, "b"), "gone": units(50, "c")}
    assert surplus(held, ["v", "w"]) == []


def test_a_new_worker_is_given_a_share_of_the_smallest_groups() -> None:
    held = {"v": [*units(8, "a"), *units(2, "b")], "w": []}
    given = surplus(held, ["v", "w"])
    assert 0 < len(given) <= 5
    assert {"u-b-0", "u-b-1"} <= set(given)


@given(st.lists(st.integers(0, 120), min_size=1, max_size=6), st.integers(1, 40))
def test_giving_away_ends_and_nothing_goes_to_and_fro(loads: list[int], groups: int) -> None:
    """Round after round, as what was given away is placed again."""
    held = {f"w{n}": [Unit(f"{n}-{k}", f"g{k % groups}") for k in range(load)] for n, load in enumerate(loads)}
    workers = list(held)
    for _ in range(100):
        given = set(surplus(held, workers))
        assert len(given) <= YIELDS_A_ROUND
        if not given:
            break
        moved = [unit for each in held.values() for unit in each if unit.name in given]
        held = {worker: [unit for unit in each if unit.name not in given] for worker, each in held.items()}
        for name, worker in place(moved, held, dict.fromkeys(workers, 10_000)).assigned.items():
            held[worker].append(next(unit for unit in moved if unit.name == name))
    else:
        pytest.fail(f"it never ends: {[len(each) for each in held.values()]}")
    sizes = [len(each) for each in held.values()]
    share = sum(sizes) / len(sizes)
    assert max(sizes) <= max(share * 1.25, share + 2) or min(sizes) >= int(max(1, share))


def test_catalogs_are_spread_over_who_has_the_fewest() -> None:
    assert spread(["x", "y", "z"], {"a": 1, "b": 0}) == {"x": "b", "y": "a", "z": "b"}
    assert spread(["x"], {}) == {"x": ""}
    assert spread([], {"a": 0}) == {}
