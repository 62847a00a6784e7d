"""What is searched: little enough for every test run, and more on demand (`python -m tests.model --large`)."""

from __future__ import annotations

from tests.model.scope import SHORT, Scope
from tests.model.state import Troubles

USUAL = (
    Scope("two windows each, batches of one or both, a worker is killed", Troubles(kills=1), most=2),
    Scope(
        "calls by halves, a worker is killed twice, the target crashes",
        Troubles(kills=2, restarts=1),
        splits=True,
        source=SHORT,
    ),
    Scope(
        "a call lives on, a lease is lost, a worker is killed",
        Troubles(kills=1, losses=1, timeouts=1),
        source=SHORT,
    ),
    Scope("a task is paused and resumed, a worker is killed", Troubles(kills=1, pauses=1, resumes=1), source=SHORT),
    Scope(
        "a batch is refused after a call that lives on, a worker is killed, the target crashes",
        Troubles(kills=1, restarts=1, timeouts=1, refusals=1),
        splits=True,
        source=SHORT,
    ),
    Scope(
        "the source's clock is seen late, so keep-alive ticks come; a worker is killed, the target crashes",
        Troubles(kills=1, restarts=1),
        presents=(88,),
        source=SHORT,
    ),
    Scope(
        "a standby that others have ticked; a worker is killed, the target crashes",
        Troubles(kills=1, restarts=1),
        present=8,
        presents=(92,),
        source=SHORT,
    ),
)

LARGE = (
    Scope(
        "a call by halves that lives on, a refusal, a kill, a pause, a resume, a crash of the target",
        Troubles(kills=1, restarts=1, pauses=1, resumes=1, timeouts=1, refusals=1),
        splits=True,
        source=SHORT,
    ),
    Scope(
        "a call that lives on, a refusal, a lost lease, a pause, a resume, a crash of the target",
        Troubles(losses=1, restarts=1, pauses=1, resumes=1, timeouts=1, refusals=1),
        source=SHORT,
    ),
    Scope(
        "two windows each, batches of one or both, calls by halves; a worker is killed, the target crashes",
        Troubles(kills=1, restarts=1),
        most=2,
        splits=True,
    ),
    Scope(
        "the source's clock is seen to go on, a task is paused, a worker is killed, the target crashes",
        Troubles(kills=1, restarts=1, pauses=1),
        presents=(88, 96),
        source=SHORT,
    ),
)
