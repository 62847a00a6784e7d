"""What a client is told when it is refused."""

import pytest

from api.errors import MOST_PROBLEMS, RefusedError

pytestmark = pytest.mark.unit


def test_all_problems_are_told_as_far_as_one_can_read_them() -> None:
    assert str(RefusedError.of(["one", "two"])) == "one; two"
    assert str(RefusedError.of(map(str, range(MOST_PROBLEMS)))).endswith("; 19")
    assert str(RefusedError.of(map(str, range(MOST_PROBLEMS + 1)))).endswith("; 19; and 1 more")
    assert str(RefusedError.of(["wrong"] * 200_000)).endswith("; and 199,980 more")


def test_a_problem_is_no_longer_than_one_can_read_it() -> None:
    assert len(str(RefusedError.of(["x" * 1_000_000] * 100))) < 50_000
