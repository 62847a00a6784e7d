"""The checker of what came to a target: every rule finds the history that breaks it, and nothing in good ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc_core.model.message import Kind
from cdc_core.model.timestamp import Tso
from tests.chaos.call import Call, Sent, read
from tests.chaos.history import broken

pytestmark = pytest.mark.unit

SHARD = "standby-dml_1_7v0"


def sent(msg_id: int, first: int, last: int | None = None, digest: str = "", *, kind: Kind = Kind.INSERT) -> Sent:
    """At that millisecond, or from one to another."""
    return Sent(kind, SHARD, msg_id, Tso.of(first), Tso.of(first if last is None else last), digest or f"of {msg_id}")


def call(at: float, *messages: Sent, tick: int | None = None, seconds: float = 0.5, answer: str = "") -> Call:
    """One that takes half a second."""
    ticks = () if tick is None else (Tso.of(tick),)
    channel = "standby-dml_1"
    return Call(int(at * 10), "a", channel, Tso(0), Tso(0), messages, ticks, at, "pass", True, at + seconds, answer)


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([call(1, sent(1, 910), sent(2, 960), tick=1000), call(2, sent(3, 1010), tick=1050)], id="in step"),
        pytest.param([call(1, sent(1, 910), answer="lost"), call(2, sent(1, 910)), call(3, tick=950)], id="a resend"),
        pytest.param(
            [call(1, sent(1, 910), answer="lost"), call(2, tick=900), call(3, sent(1, 910)), call(4, tick=950)],
            id="a resend, a lower tick between",
        ),
        pytest.param([call(1, tick=1000), call(2, sent(1, 1001), sent(2, 1002)), call(3, tick=1050)], id="from behind"),
        pytest.param([call(1, tick=1000), call(2, tick=950)], id="a lower tick of who is slower"),
        pytest.param([call(1, tick=1000), call(99, sent(1, 1050), tick=950)], id="one that was repeated with its rows"),
        pytest.param([call(1, tick=1000), call(1.1, tick=950)], id="two ticks at once"),
        pytest.param([call(1, tick=1000, answer="lost"), call(99, tick=950)], id="a lower tick than one of no answer"),
        pytest.param([call(1, tick=1000), call(2, tick=1000)], id="a tick again"),
        pytest.param(
            [
                replace(call(1, sent(1, 910), answer="refused"), reached=False),
                call(2, tick=1000),
                call(3, sent(1, 1001, digest="stamped anew")),
            ],
            id="stamped anew what never got there",
        ),
        pytest.param([call(1, sent(1, 910), sent(2, 910, kind=Kind.DELETE))], id="an upsert"),
    ],
)
def test_nothing_is_found_in_a_good_history(calls: list[Call]) -> None:
    assert broken(calls) == []


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        ([call(1, tick=1000), call(2, sent(1, 1000))], "I3 INSERT 1"),
        ([call(1, tick=1000), call(2, sent(1, 990, kind=Kind.DROP_PARTITION))], "below the tick"),
        ([call(1, sent(1, 910), tick=950), call(2, sent(1, 910))], "below the tick"),  # it counts twice
        ([call(1, sent(1, 910), seconds=5, answer="late"), call(2, tick=950)], "overtaken by the tick"),
        ([replace(call(1, sent(1, 910)), ended=None), call(2, tick=950)], "overtaken by the tick"),
        ([call(1, tick=1000), call(17, tick=950)], "back from"),
        ([call(1, sent(1, 910)), call(2, sent(1, 910, digest="other"))], "sent again with other bytes"),
        ([call(1, sent(1, 910)), call(2, sent(1, 1001, digest="stamped anew"))], "sent again with other bytes"),
        ([call(1, sent(2, 960)), call(2, sent(1, 910))], "which came before"),
        ([call(1, sent(2, 960), sent(1, 910))], "which came before"),
        ([call(1, sent(1, 950, 951))], "I6 INSERT 1"),
        ([call(1, sent(1, 910, 940)), call(2, tick=930)], "inside a message"),
    ],
)
def test_a_broken_rule_is_found(calls: list[Call], words: str) -> None:
    found = broken(calls)
    assert len(found) == 1, found
    assert words in found[0]


def test_channels_and_shards_are_apart() -> None:
    """Neither a tick nor a message id says anything about another channel."""
    other = replace(call(2, replace(sent(1, 910, digest="other"), vchannel="standby-dml_2_7v1")), channel="dml_2")
    assert broken([call(1, sent(1, 960), tick=1000), other]) == []


def test_a_call_is_read_from_a_log_as_it_was_written() -> None:
    """With its end, or without one as long as it is under way."""
    first, second = call(1, sent(1, 910, 920), tick=950, answer="lost"), replace(call(2, tick=1000), ended=None)
    assert first.ended is not None
    lines = [
        second.arrival_line(),
        first.arrival_line(),
        first.end_line(first.ended, first.answer, reached=first.reached),
    ]
    assert read(lines) == [first, second]
