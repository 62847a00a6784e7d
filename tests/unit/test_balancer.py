"""Which worker gets which channel."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.coordination.balancer import UNEVEN, YIELDS_A_ROUND, Unit, place, spread, surplus

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
    assert surplus({}, {}) == []


def test_an_even_load_is_left_alone() -> None:
    held = {"v": units(10, "a"), "w": units(11, "b"), "gone": units(50, "c")}
    assert surplus(held, {"v": 99, "w": 99}) == []


def test_a_new_worker_is_given_a_share_of_the_smallest_groups() -> None:
    held = {"v": [*units(8, "a"), *units(2, "b")], "w": []}
    given = surplus(held, {"v": 99, "w": 99})
    assert 0 < len(given) <= 5
    assert {"u-b-0", "u-b-1"} <= set(given)


def test_a_fifth_worker_is_given_a_fifth() -> None:
    """The others have a quarter more than their share then, and no more than that."""
    held = {f"w{number}": units(250, "abcd"[number]) for number in range(4)}
    assert len(surplus(held, dict.fromkeys([*held, "new"], 400))) == YIELDS_A_ROUND


def test_who_has_no_slots_left_wants_nothing() -> None:
    held = {"big": units(80, "a"), "small": units(10, "b")}
    assert surplus(held, {"big": 100, "small": 10}) == []


@given(st.lists(st.integers(0, 120), min_size=2, max_size=6), st.integers(1, 40), st.integers(0, 60))
def test_giving_away_ends_and_nothing_goes_to_and_fro(loads: list[int], groups: int, few: int) -> None:
    """Round after round, as what was given away is placed again; one worker may have few slots."""
    held = {f"w{n}": [Unit(f"{n}-{k}", f"g{k % groups}") for k in range(load)] for n, load in enumerate(loads)}
    slots = dict.fromkeys(held, 10_000) | {"w0": max(loads[0], few)}
    for _ in range(100):
        given = set(surplus(held, slots))
        assert len(given) <= YIELDS_A_ROUND
        if not given:
            break
        moved = [unit for each in held.values() for unit in each if unit.name in given]
        held = {worker: [unit for unit in each if unit.name not in given] for worker, each in held.items()}
        for name, worker in place(moved, held, slots).assigned.items():
            held[worker].append(next(unit for unit in moved if unit.name == name))
    else:
        pytest.fail(f"it never ends: {[len(each) for each in held.values()]}")
    sizes = {worker: len(each) for worker, each in held.items()}
    with_room = [size for worker, size in sizes.items() if size < slots[worker]]
    assert max(sizes.values()) - min(with_room) <= UNEVEN


def test_catalogs_are_spread_over_who_has_the_fewest() -> None:
    assert spread(["x", "y", "z"], {"a": 1, "b": 0}) == {"x": "b", "y": "a", "z": "b"}
    assert spread(["x"], {}) == {"x": ""}
    assert spread([], {"a": 0}) == {}
