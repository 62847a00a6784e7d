"""Every name that two processes must agree on, once: Redis keys, queues, Celery tasks, events."""

from __future__ import annotations

import json

SCHEMA_VERSION = "1"
"""Of what Redis holds; a process refuses to work on another one."""

COMMON_QUEUE = "cdc"
"""Tickets of catalogs: any worker may take them."""

BROKER_PREFIX = "cdc:celery:"
"""Before every key of the broker (Celery's `global_keyprefix`), so that it may share a database with the state."""

CATALOG_TASK = "cdc.catalog"
VCHANNEL_TASK = "cdc.vchannel"
REPLICATING_EVENT = "task-replicating"

CATALOG = "catalog"
"""The channel name of a task's catalog, beside its vchannels' names."""

NOBODY_LEADS = "nobody leads"
"""Said over the bus by a leader that ends: another one begins at once."""

OP_COLLECTION_ID = -10
"""The collection id under which `position` answers the op channel, as the reference does."""


def worker_queue(worker: str) -> str:
    """The queue of one worker incarnation."""
    return f"cdc.w.{worker}"


def object_note(database: str, collection: str | None = None) -> str:
    """The name under which a database, or a collection, of a target without objects of its own is noted."""
    return json.dumps([database] if collection is None else [database, collection])


def _literal(text: str) -> str:
    """As a part of a Redis pattern: a task's id may hold any character."""
    return "".join(f"\\{c}" if c in "*?[]^-\\" else c for c in text)


class Keys:
    """The Redis keys of the state, all below one prefix.

    schema                        text: SCHEMA_VERSION
    origin                        text: the name of this state, never changed (coordination/origin.py)
    tasks                         set: task ids, also those being deleted
    tasks-revision                number: grows when a task is made or deleted
    task:<id>                     hash: spec, begin, desired, state, reason, created
    channels:<id>                 set: channel names of that task (`catalog` and vchannels)
    channel:<id>/<name>           hash: lease, checkpoint, in-flight record (scripts/channel.lua)
    gate:<target>/<pchannel>      hash: tick, top, h:<member>, of a target pchannel
    objects:<id>/<collection>     hash: source partition id -> target partition id
    wanted:<id>                   set: <collection>/<partition> that rows wait for
    barriers:<id>                 hash: barrier name -> barrier
    barrier:<id>/<name>           set: vchannels that have arrived
    ops:<id>                      set: ids of operations that are done above the op channel's position
    intents:<id>                  hash: source collection id -> what is being made for it on the target
    target:<target>               hash: object_note -> what was made on a target that has no objects of its own
    requests:<id>                 hash: number -> question to the task's catalog
    answer:<number>               list with expiry: its answer
    dead-letters:<id>             hash: count; number -> a message that cannot be read (scripts/dead_letters.lua)
    dead-letter-places:<id>       set: where those are that were counted
    retention:<id>                hash with expiry: pchannel -> why what was not read there is in danger
    shortage                      hash with expiry: task -> how many of its vchannels no worker has a slot for
    rate:<id>                     hash with expiry: until when what has travelled is paid for (scripts/rate.lua)
    trimmings                     hash: pchannel -> where it begins, and how far that moved at once
    late-writes                   number: records that were refused because their worker's lease was over
    source-clock                  hash: offset of the source's clock to Redis' one, in ms
    workers                       set: worker ids
    worker:<id>                   hash with expiry: heartbeat
    log-level                     hash: what `maintenance` set: level, force, count, minutes, since
    leader                        text with expiry: worker id
    wake                          pub/sub: something changed, look now
    """

    def __init__(self, prefix: str = "cdc:") -> None:
        self.prefix = prefix
        self.schema = f"{prefix}schema"
        self.origin = f"{prefix}origin"
        self.tasks = f"{prefix}tasks"
        self.tasks_revision = f"{prefix}tasks-revision"
        self.log_level = f"{prefix}log-level"
        self.workers = f"{prefix}workers"
        self.leader = f"{prefix}leader"
        self.wake = f"{prefix}wake"
        self.shortage = f"{prefix}shortage"
        self.trimmings = f"{prefix}trimmings"
        self.late_writes = f"{prefix}late-writes"
        self.source_clock = f"{prefix}source-clock"

    def task(self, task: str) -> str:
        return f"{self.prefix}task:{task}"

    def channels(self, task: str) -> str:
        return f"{self.prefix}channels:{task}"

    def channel(self, task: str, name: str) -> str:
        return f"{self.prefix}channel:{task}/{name}"

    def gate(self, target: str, pchannel: str) -> str:
        return f"{self.prefix}gate:{target}/{pchannel}"

    def target(self, identity: str) -> str:
        return f"{self.prefix}target:{identity}"

    def objects(self, task: str, collection: int) -> str:
        return f"{self.prefix}objects:{task}/{collection}"

    def objects_of(self, task: str) -> str:
        """A pattern for all of a task's partition maps."""
        return f"{self.prefix}objects:{_literal(task)}/*"

    def barriers_of(self, task: str) -> str:
        """A pattern for the arrivals at all of a task's barriers."""
        return f"{self.prefix}barrier:{_literal(task)}/*"

    def barrier(self, task: str, name: str) -> str:
        return f"{self.prefix}barrier:{task}/{name}"

    def barriers(self, task: str) -> str:
        return f"{self.prefix}barriers:{task}"

    def ops(self, task: str) -> str:
        return f"{self.prefix}ops:{task}"

    def intents(self, task: str) -> str:
        return f"{self.prefix}intents:{task}"

    def requests(self, task: str) -> str:
        return f"{self.prefix}requests:{task}"

    def answer(self, number: str) -> str:
        return f"{self.prefix}answer:{number}"

    def dead_letters(self, task: str) -> str:
        return f"{self.prefix}dead-letters:{task}"

    def dead_letter_places(self, task: str) -> str:
        return f"{self.prefix}dead-letter-places:{task}"

    def retention(self, task: str) -> str:
        return f"{self.prefix}retention:{task}"

    def rate(self, task: str) -> str:
        return f"{self.prefix}rate:{task}"

    def wanted(self, task: str) -> str:
        return f"{self.prefix}wanted:{task}"

    def worker(self, worker: str) -> str:
        return f"{self.prefix}worker:{worker}"
