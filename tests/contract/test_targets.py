"""How a process keeps one connection to a target, though its tasks bring several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cdc_core.coordination.gates import Gates
from cdc_core.errors import NoStandby
from cdc_core.model.connect import DialConfig, MilvusConnect
from cdc_core.pipeline.target import Target
from cdc_core.pipeline.targets import Targets
from cdc_core.pipeline.transport import Replicated
from cdc_core.sink.memory import MemoryTarget
from tests.contract.state import State

pytestmark = pytest.mark.contract

FIRST = MilvusConnect(uri="http://target:19530", token="root:first")
OTHER = replace(FIRST, token="root:other")


class Ways:
    """What each way leads to, a standby or (`standby=False`) a refusal, and in which order they were opened."""

    def __init__(self, state: State, **leads: bool) -> None:
        self._leads = leads
        self.opened: list[str] = []
        gates = Gates(state.client, state.keys, "worker")
        self.targets = Targets(self._open, lambda identity, *way: Target(identity, *way, gates, lambda: None, 0.3))

    def _open(self, connect: MilvusConnect) -> tuple[Replicated, MemoryTarget]:
        name = connect.token.rpartition(":")[2]
        self.opened.append(name)
        target = MemoryTarget()
        target.standby = self._leads[name]
        return Replicated(target), target


@pytest.fixture
def ways(state: State) -> Iterator[Callable[..., Ways]]:
    """`ways(first=True)` makes them; what was opened is closed."""
    made: list[Ways] = []

    def make(**leads: bool) -> Ways:
        made.append(Ways(state, **leads))
        return made[-1]

    yield make
    for each in made:
        each.targets.close()


def test_tasks_share_the_way_of_the_first_as_long_as_it_leads_there(ways: Callable[..., Ways]) -> None:
    one = ways(first=True, other=True)
    assert one.targets.reach(FIRST) is one.targets.reach(OTHER)
    assert one.opened == ["first"]
    assert one.targets.all() == [one.targets.find(FIRST.identity)]


def test_a_way_that_is_refused_gives_place_to_one_that_leads_there(ways: Callable[..., Ways]) -> None:
    """Also for who has the target in hands already: its gates."""
    one = ways(first=False, other=True)
    target = one.targets.reach(FIRST)
    before = target.catalog
    target.gate("channel")
    with pytest.raises(NoStandby):
        target.transport.check(1)
    assert one.targets.reach(OTHER) is target
    target.transport.check(1)
    assert target.catalog is not before
    assert one.targets.reach(FIRST) is target
    target.transport.check(1)
    assert one.opened == ["first", "other"]


def test_a_wrong_way_never_takes_the_place_of_another(ways: Callable[..., Ways]) -> None:
    one = ways(first=False, other=False)
    target = one.targets.reach(FIRST)
    before = target.transport
    with pytest.raises(NoStandby):
        one.targets.reach(OTHER)
    assert target.transport is before
    assert one.opened == ["first", "other"]


def test_a_look_by_the_leader_changes_nothing(ways: Callable[..., Ways]) -> None:
    one = ways(first=False, other=True)
    assert one.targets.known(FIRST) is one.targets.known(OTHER)
    assert one.opened == ["first"]


def test_files_that_were_renewed_are_another_way(ways: Callable[..., Ways], tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    connect = replace(FIRST, dial_config=DialConfig(server_pem_path=str(file)))
    one = ways(first=False)
    one.targets.reach(connect)
    one.targets.reach(connect)
    assert one.opened == ["first"]
    os.utime(file, (1, 1))
    with pytest.raises(NoStandby):
        one.targets.reach(connect)
    assert one.opened == ["first", "first"]
