"""What a walk along two collections finds, against sets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.comparison import Comparison, Tally

pytestmark = pytest.mark.unit

Rows = dict[int, int]
SOME_ROWS = st.dictionaries(st.integers(0, 12), st.integers(0, 1))


def in_order(rows: Rows) -> Any:
    return ((key, {"value": rows[key]}) for key in sorted(rows))


@given(SOME_ROWS, SOME_ROWS)
def test_missing_surplus_and_different_rows_are_all_named(ours: Rows, theirs: Rows) -> None:
    tally = Tally()
    tally.add("p", in_order(ours), in_order(theirs))

    assert {key for _, key in tally.missing} == ours.keys() - theirs.keys()
    assert {key for _, key in tally.surplus} == theirs.keys() - ours.keys()
    assert {key for _, key in tally.different} == {
        key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]
    }
    assert (tally.rows_source, tally.rows_target) == (len(ours), len(theirs))


@pytest.mark.parametrize(
    ("count_source", "count_target", "mismatches"),
    [(10, 10, 0), (10, 12, 2), (12, 10, 2), (12, 12, 0)],
    ids=["equal", "doubled", "a copy is missing", "doubled on both sides"],
)
def test_copies_of_a_key_count(count_source: int, count_target: int, mismatches: int) -> None:
    found = Comparison("films", 10, 10, count_source, count_target, (), (), ())

    assert found.mismatches == mismatches
    assert found.equal == (mismatches == 0)


def test_it_names_a_few_of_many_keys() -> None:
    found = Comparison("films", 9, 0, 9, 0, tuple(("p", key) for key in range(9)), (), ())

    assert str(found).endswith("9 missing: ('p', 0), ('p', 1), ('p', 2), ('p', 3), ('p', 4) ...")
