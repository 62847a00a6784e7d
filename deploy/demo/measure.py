"""The demo's two figures: how soon a row is visible on the standby, and how fast a backlog is worked off."""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from deploy.demo.story import FILMS, SONGS, Story
from deploy.local.compare import Side
from deploy.local.errors import LocalServerError
from deploy.local.system import Api

SAMPLES = 60
BACKLOG = 50_000

_SMALL = 10  # rows of one insert
_POLL = 0.003  # seconds between two looks
_PATIENCE = 60.0  # seconds until something that is awaited is given up


class Overdue(LocalServerError):
    """What was awaited did not come."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from the call of insert on the source to its rows' being visible on the standby."""

    p50: float
    p99: float
    samples: int


def latency(story: Story, target: Side, samples: int = SAMPLES) -> Latency:
    """Small inserts, one after the other, at moments that are in no step with the source's ticks."""
    pauses = random.Random(7)  # noqa: S311 - no secret
    seconds = []
    for _ in range(samples):
        time.sleep(pauses.uniform(0.05, 0.25))
        began = time.monotonic()
        keys = story.insert_films(_SMALL, "modern")
        await_that(lambda keys=keys: _visible(target, keys), "ten rows are visible on the standby", _POLL)  # type: ignore[misc]
        seconds.append(time.monotonic() - began)
    hundredths = statistics.quantiles(seconds, n=100, method="inclusive")
    return Latency(hundredths[49], hundredths[98], samples)


def catch_up(api: Api, task: str, story: Story, source: Side, target: Side) -> float:
    """Rows a second, from resume to all of a backlog being visible; it is made while the task is paused."""
    api.pause(task)
    await_that(lambda: api.get(task)["state"] == "Paused", "the task is paused")
    story.insert_songs(BACKLOG)
    expected = source.count(SONGS)
    began = time.monotonic()
    api.resume(task)
    await_that(lambda: target.count(SONGS) == expected, f"the standby has all {BACKLOG:,} rows of the backlog", 0.05)
    return BACKLOG / (time.monotonic() - began)


def await_that(condition: Callable[[], bool], what: str, pause: float = 0.1, patience: float = _PATIENCE) -> None:
    """Raises Overdue."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise Overdue(f"after {patience:.0f} s it is still not so that {what}")
        time.sleep(pause)


def _visible(target: Side, keys: list[int]) -> bool:
    found = target.client.query(
        FILMS, f"key in {keys}", output_fields=["key"], consistency_level="Eventually", timeout=_PATIENCE
    )
    return len(found) == len(keys)
