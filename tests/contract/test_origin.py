"""A state that was emptied while somebody worked on it is told from one that is new."""

from __future__ import annotations

import pytest

from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import TaskStore
from cdc_core.coordination.workers import Workers
from cdc_core.errors import StateLost
from cdc_core.model.timestamp import Tso
from tests.contract.state import State

pytestmark = pytest.mark.contract


def of_a_process(state: State) -> TaskStore:
    return TaskStore(state.client, state.keys, Secrets(None))


def test_a_new_state_is_named_once_and_every_process_agrees_to_it(state: State) -> None:
    state.client.delete(state.keys.origin)
    first, second = of_a_process(state), of_a_process(state)
    first.check()
    name = state.client.get(state.keys.origin)
    second.check()
    first.check()
    assert name
    assert state.client.get(state.keys.origin) == name


def test_who_has_seen_a_state_refuses_an_emptied_one_and_does_not_name_it(state: State) -> None:
    process = of_a_process(state)
    process.check()
    state.client.delete(state.keys.origin)
    for _ in range(2):
        with pytest.raises(StateLost, match="restore it"):
            process.check()
    assert state.client.get(state.keys.origin) is None


def test_who_starts_on_an_emptied_state_names_it_and_the_others_go_on_refusing(state: State) -> None:
    process = of_a_process(state)
    process.check()
    state.client.delete(state.keys.origin)
    of_a_process(state).check()
    assert state.client.get(state.keys.origin)
    with pytest.raises(StateLost):
        process.check()


def test_a_state_that_is_restored_is_the_right_one_again(state: State) -> None:
    process = of_a_process(state)
    process.check()
    name = state.client.getdel(state.keys.origin)
    with pytest.raises(StateLost):
        process.check()
    state.client.set(state.keys.origin, name)
    process.check()


def test_the_beginning_the_loss_and_the_return_are_told_once(
    state: State, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    state.client.delete(state.keys.origin)
    process = of_a_process(state)
    process.check()
    name = state.client.getdel(state.keys.origin)
    for _ in range(3):
        with pytest.raises(StateLost):
            process.check()
    state.client.set(state.keys.origin, name)
    process.check()
    process.check()
    told = capsys.readouterr().out + caplog.text
    assert [told.count(event) for event in ("state_begins", "state_lost", "state_is_back")] == [1, 1, 1]


def test_an_emptied_state_gets_no_source_clock_so_that_no_gate_there_grants_a_tick(state: State) -> None:
    workers = Workers(state.client, state.keys)
    state.client.delete(state.keys.origin)
    workers.report_source_clock(Tso.of(1_700_000_000_000), 0.0)
    assert not state.client.exists(state.keys.source_clock)
    of_a_process(state).check()
    workers.report_source_clock(Tso.of(1_700_000_000_000), 0.0)
    assert state.client.exists(state.keys.source_clock)
