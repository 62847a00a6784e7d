"""Patterns: many of them are found as one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.transform.pattern import Pattern, Patterns

pytestmark = pytest.mark.unit

names = st.sampled_from(["a", "b", "*"])
patterns = st.builds(Pattern, names, names)


@given(st.lists(patterns), patterns)
def test_those_that_meet_one(some: list[Pattern], wanted: Pattern) -> None:
    found = Patterns((each, number) for number, each in enumerate(some)).meeting(wanted)
    expected = [(each, number) for number, each in enumerate(some) if each.intersection(wanted)]
    assert sorted(found) == sorted(expected)


@given(patterns, patterns)
def test_those_that_cover_one(wanted: Pattern, other: Pattern) -> None:
    assert (other in wanted.covering) == other.covers(wanted)
    assert len(set(wanted.covering)) == len(wanted.covering)
