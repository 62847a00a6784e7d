"""A Redis state of its own for a test, with the hands to put things into it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from cdc_core.coordination.channels import ChannelStore
from cdc_core.coordination.leases import ChannelKey, Claim, Leases
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import Created, TaskStore
from cdc_core.model.channel import VChannel
from cdc_core.model.connect import MilvusConnect
from cdc_core.model.plan import Plan
from cdc_core.model.position import Position
from cdc_core.model.task import Beginning, CollectionSelector, Desired, Task, TaskSpec, TaskState
from cdc_core.model.timestamp import Tso
from cdc_core.names import CATALOG, Keys


class State:
    """Keys of a prefix of their own in a shared Redis."""

    def __init__(self, url: str) -> None:
        self.keys = Keys(f"t{uuid.uuid4().hex[:10]}:")
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self.client.set(self.keys.origin, "a test")
        self.channels = ChannelStore(self.client, self.keys)

    def task(self, task: str = "one", desired: str = "RUNNING", state: str = "Running") -> None:
        self.client.hset(self.keys.task(task), mapping={"desired": desired, "state": state})

    def create(self, task: str = "one") -> None:
        """As the API does: a task that is to run, over everything."""
        spec = TaskSpec(task, MilvusConnect(uri="http://t:19530"), {"default": (CollectionSelector("*", {}),)})
        made = Task(spec, Beginning({}, frozenset()), Desired.RUNNING, TaskState.INITIAL, "", 1.0)
        store = TaskStore(self.client, self.keys, Secrets(None))
        assert store.create(made, store.snapshot().revision, 10) is Created.CREATED

    def vchannel(self, number: int = 0, task: str = "one", start: Tso = Tso(0), **fields: str) -> ChannelKey:  # noqa: B008
        """A record as the catalog makes it."""
        vchannel = VChannel("by-dev-rootcoord-dml_0", 440 + number, 0)
        plan = Plan(
            vchannel=vchannel,
            database="default",
            collection=f"c{number}",
            shards=1,
            created=start,
            start=Position(vchannel.name, b"", start),
            target="target:19530",
            target_database="default",
            target_collection=f"c{number}",
            target_collection_id=900 + number,
            target_vchannel=VChannel("target-dml_0", 900 + number, 0),
        )
        self.channels.put(task, [plan])
        key = ChannelKey(task, vchannel.name)
        if fields:
            self.client.hset(self.name(key), mapping=fields)
        return key

    def catalog(self, task: str = "one") -> ChannelKey:
        self.channels.put_catalog(task)
        return ChannelKey(task, CATALOG)

    def name(self, key: ChannelKey) -> str:
        return self.keys.channel(key.task, key.name)

    def fields(self, key: ChannelKey) -> dict[str, str]:
        return self.client.hgetall(self.name(key))

    def put(self, key: ChannelKey, **fields: str) -> None:
        self.client.hset(self.name(key), mapping=fields)

    def claimed(self, key: ChannelKey, owner: str) -> Claim:
        """A claim that must succeed, with a ticket made for it."""
        self.put(key, ticket="t")
        claim = Leases(self.client, self.keys, owner).claim(key, "t")
        assert isinstance(claim, Claim), claim
        return claim

    def expire(self, key: ChannelKey) -> None:
        """The lease runs out."""
        self.put(key, deadline="1")

    @contextmanager
    def heard(self) -> Iterator[list[str]]:
        """What is said on the bus inside."""
        found: list[str] = []
        with self.client.pubsub(ignore_subscribe_messages=True) as listener:
            listener.subscribe(self.keys.wake)
            listener.get_message(timeout=5)
            yield found
            self.client.publish(self.keys.wake, "end")
            while (message := listener.get_message(timeout=5)) and message["data"] != "end":
                found.append(message["data"])

    def close(self) -> None:
        names = list(self.client.scan_iter(match=f"{self.keys.prefix}*", count=1000))
        if names:
            self.client.delete(*names)
        self.client.close()
