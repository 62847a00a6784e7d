"""The bus on a real Redis."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import closing

import pytest

from cdc_core.coordination.wake import WakeBus
from tests.contract.guarded import until
from tests.contract.state import State

pytestmark = pytest.mark.contract

PATIENCE = 30.0


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.said: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __call__(self, message: str) -> None:
        self.said.put(message)

    def next(self) -> str:
        return self.said.get(timeout=PATIENCE)


@pytest.fixture
def bus(state: State) -> Iterator[WakeBus]:
    """Listening already."""
    heard = Heard()
    with closing(WakeBus(state.client, state.keys.wake)) as bus:
        end = bus.listen(heard)
        bus.start()
        until(lambda: state.client.publish(state.keys.wake, "begin"))
        heard.next()
        end()
        yield bus


def test_who_listens_for_one_message_gets_no_other(bus: WakeBus) -> None:
    everything, one, other = Heard(), Heard(), Heard()
    bus.listen(everything)
    bus.listen(one, "objects one")
    bus.listen(other, "objects one2")
    for message in ("objects one2", "gate x", "objects one", "objects one2"):
        bus.publish(message)
    assert [everything.next() for _ in range(4)] == ["objects one2", "gate x", "objects one", "objects one2"]
    assert one.next() == "objects one"
    assert [other.next(), other.next()] == ["objects one2"] * 2


def test_who_has_ended_hears_nothing_and_others_go_on(bus: WakeBus) -> None:
    ended, stays, everything = Heard(), Heard(), Heard()
    end = bus.listen(ended, "objects one")
    bus.listen(stays, "objects one")
    bus.listen(everything)
    end()
    bus.publish("objects one")
    bus.publish("end")
    assert stays.next() == "objects one"
    assert [everything.next(), everything.next()] == ["objects one", "end"]
    with pytest.raises(queue.Empty):
        ended.said.get_nowait()


def test_a_listener_that_fails_keeps_no_other_from_hearing(bus: WakeBus) -> None:
    def failing(_message: str) -> None:
        raise ValueError("of a test")

    heard = Heard()
    bus.listen(failing)
    bus.listen(heard, "reconcile")
    for _ in range(2):
        bus.publish("reconcile")
    assert [heard.next(), heard.next()] == ["reconcile"] * 2
