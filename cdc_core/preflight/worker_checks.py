"""Judgements about who is to do the work. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cdc_core.preflight.check import Check, passed, warned
from cdc_core.preflight.facts import Chosen, WorkerFacts

_ADVICE = "start one more (`make worker`), or raise CDC_WORKER_SLOTS where there is memory for it"


def workers(facts: WorkerFacts, collections: Sequence[Chosen]) -> Check:
    """A slot carries a vchannel; those without one wait until one is free."""
    needed = sum(each.collection.shards for each in collections)
    if not facts.workers:
        return warned("workers", "no worker is alive: the task begins when one is", "start a worker: `make worker`")
    free = max(0, facts.slots - facts.taken)
    said = f"{needed} vchannels, {free} of {facts.slots} slots of {facts.workers} workers are free"
    if needed > free:
        return warned("workers", f"{said}: {needed - free} vchannels will wait", _ADVICE)
    return passed("workers", said)
