"""What Redis says is left of a time that it counts down."""

import time

ROUNDING = 0.005
"""Seconds: its scripts count in whole milliseconds, some of them more than once."""


def check_left(left: float, of: float, since: float) -> None:
    """No more than all `of` the seconds, and no less than is left when they began at `since`, by `time.monotonic`: take
    that before the call that begins them. How slow the machine is does not matter.
    """
    passed = time.monotonic() - since
    assert of - passed - ROUNDING <= left <= of + ROUNDING, f"{left} s left of {of} s, {passed} s after their begin"
