"""When a checkpoint is in danger of the queue's retention."""

import pytest

from cdc_core.model.retention import Trimming

pytestmark = pytest.mark.unit


def test_what_nobody_trims_is_in_no_danger() -> None:
    seen = Trimming(0).moved(0).moved(0)
    assert seen.danger(checkpoint=0, tail=1_000_000) == ""


@pytest.mark.parametrize(
    ("checkpoint", "expected"),
    [
        (99, "may be gone"),
        (100, "next trimming"),
        (299, "next trimming"),
        (300, ""),
        (900, ""),
        (1_000, ""),
    ],
)
def test_what_the_next_trimmings_reach_is_in_danger(checkpoint: int, expected: str) -> None:
    """Given a topic that is trimmed by 100 at a time, 100 to 1,000 of it left."""
    found = Trimming(0).moved(100).danger(checkpoint, tail=1_000)
    assert expected in found
    assert bool(found) == bool(expected)


def test_the_largest_trimming_counts() -> None:
    assert Trimming(0).moved(100).moved(110) == Trimming(110, 100)


def test_who_has_read_everything_fears_nothing() -> None:
    assert Trimming(0).moved(100).danger(checkpoint=50, tail=50) == ""


def test_another_topic_under_the_name_begins_anew() -> None:
    assert Trimming(500, 100).moved(3) == Trimming(3)
