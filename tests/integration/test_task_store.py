"""The tasks in Redis: each branch of its scripts, against a real server."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from cryptography.fernet import Fernet

from cdc_core.coordination.channels import ChannelStore
from cdc_core.coordination.client import connect
from cdc_core.coordination.secrets import Secrets, SecretsError
from cdc_core.coordination.tasks import Changed, Checkpoint, Created, SchemaError, TaskStore
from cdc_core.errors import StateUnavailable
from cdc_core.model.channel import VChannel
from cdc_core.model.plan import Plan
from cdc_core.model.position import Position
from cdc_core.model.task import Beginning, CollectionSelector, Desired, MilvusConnect, Task, TaskSpec, TaskState
from cdc_core.model.timestamp import Tso
from cdc_core.names import CATALOG, Keys, object_note
from deploy.local import Redis

pytestmark = pytest.mark.integration

VCHANNEL = "by-dev-rootcoord-dml_0_451v1"
KEYS = Keys("cdc:")


def a_task(task_id: str = "one", collection: str = "a") -> Task:
    target = MilvusConnect(uri="http://target:19530", username="root", password="hunter2", token="key-hunter3")
    spec = TaskSpec(task_id, target, {"default": (CollectionSelector(collection, {}),)})
    beginning = Beginning({"by-dev-rootcoord-dml_0": Position("by-dev-rootcoord-dml_0", b"\1")}, frozenset({2**62}))
    return Task(spec, beginning, Desired.RUNNING, TaskState.INITIAL, "", 1_700_000_000.25)


def a_plan(collection: str, number: int) -> Plan:
    vchannel = VChannel("by-dev-rootcoord-dml_0", number, 0)
    return Plan(
        vchannel=vchannel,
        database="shop",
        collection=collection,
        shards=1,
        created=Tso(1),
        start=Position(vchannel.name, b""),
        target="k:9092/t",
        target_database="shop",
        target_collection=collection,
        target_collection_id=number,
        target_vchannel=vchannel,
    )


@pytest.fixture
def client(redis_server: Redis) -> Iterator[redis.Redis]:
    with connect(redis_server.url(5)) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture
def store(client: redis.Redis) -> TaskStore:
    return TaskStore(client, KEYS, Secrets(None))


def make(store: TaskStore, task: Task, limit: int = 100) -> Created:
    return store.create(task, store.snapshot().revision, limit)


def test_a_task_comes_back_as_it_was_stored_with_its_catalogs_record(store: TaskStore, client: redis.Redis) -> None:
    store.check()
    assert make(store, a_task()) is Created.CREATED
    assert store.get("one") == a_task()
    assert store.all() == [a_task()]
    assert client.get("cdc:schema") == "1"
    assert client.smembers("cdc:channels:one") == {CATALOG}
    assert client.hgetall("cdc:channel:one/catalog") == {"kind": "catalog"}
    assert store.get("another") is None


def test_an_existing_id_is_told_and_nothing_changes(store: TaskStore) -> None:
    make(store, a_task())
    assert make(store, a_task(collection="b")) is Created.EXISTS
    assert store.get("one") == a_task()


def test_a_create_that_did_not_see_the_latest_tasks_must_look_again(store: TaskStore) -> None:
    revision = store.snapshot().revision
    make(store, a_task())
    assert store.create(a_task("two"), revision, 100) is Created.STALE
    revision = store.snapshot().revision
    store.set_desired("one", Desired.DELETED)
    assert store.create(a_task("two"), revision, 100) is Created.STALE
    assert store.get("two") is None


def test_a_task_that_is_being_deleted_does_not_count_and_its_id_is_not_free_yet(
    store: TaskStore, client: redis.Redis
) -> None:
    make(store, a_task("one"), limit=1)
    assert make(store, a_task("two"), limit=1) is Created.LIMIT
    assert store.set_desired("one", Desired.DELETED) is Changed.CHANGED
    assert store.snapshot().tasks == ()
    assert [task.desired for task in store.all()] == [Desired.DELETED]
    assert make(store, a_task("one")) is Created.DELETING
    assert make(store, a_task("two"), limit=1) is Created.CREATED
    client.delete("cdc:task:one")
    client.srem("cdc:tasks", "one")
    assert make(store, a_task("one")) is Created.CREATED


def test_pause_and_resume(store: TaskStore, client: redis.Redis) -> None:
    make(store, a_task())
    client.sadd("cdc:channels:one", VCHANNEL)
    assert store.set_desired("one", Desired.PAUSED) is Changed.CHANGED
    task = store.get("one")
    assert task is not None
    assert (task.desired, task.state) == (Desired.PAUSED, TaskState.PAUSED)
    assert store.set_desired("one", Desired.PAUSED) is Changed.ALREADY

    client.hset("cdc:task:one", "reason", "the target is no standby")
    client.hset(
        f"cdc:channel:one/{VCHANNEL}",
        mapping={"stopped": "s", "backoff": "1", "attempts": "2", "reason": "r", "epoch": "7"},
    )
    assert store.set_desired("one", Desired.RUNNING) is Changed.CHANGED
    task = store.get("one")
    assert task is not None
    assert (task.desired, task.state, task.reason) == (Desired.RUNNING, TaskState.RUNNING, "")
    assert client.hgetall(f"cdc:channel:one/{VCHANNEL}") == {"epoch": "7"}
    assert store.set_desired("one", Desired.RUNNING) is Changed.ALREADY


def test_resume_before_the_first_claim_leaves_it_initial(store: TaskStore) -> None:
    make(store, a_task())
    assert store.set_desired("one", Desired.RUNNING) is Changed.CHANGED
    task = store.get("one")
    assert task is not None
    assert task.state is TaskState.INITIAL


@pytest.mark.parametrize("desired", list(Desired))
def test_what_does_not_exist_or_is_being_deleted_is_unknown(store: TaskStore, desired: Desired) -> None:
    assert store.set_desired("one", desired) is Changed.UNKNOWN
    make(store, a_task())
    store.set_desired("one", Desired.DELETED)
    assert store.set_desired("one", desired) is Changed.UNKNOWN


def test_every_change_wakes_who_waits(store: TaskStore, client: redis.Redis) -> None:
    with client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("cdc:wake")
        listener.get_message(timeout=5)
        make(store, a_task())
        for desired in (Desired.PAUSED, Desired.RUNNING, Desired.DELETED):
            store.set_desired("one", desired)
        store.set_desired("one", Desired.DELETED)
        heard = []
        while message := listener.get_message(timeout=0.5):
            heard.append(message["data"])
    assert heard == ["one"] * 4


def test_with_a_task_goes_what_is_noted_of_its_collections(store: TaskStore, client: redis.Redis) -> None:
    """Not what another task of that target has taken over, nor databases, which are nobody's."""
    notes = {"films": object_note("shop", "films"), "books": object_note("shop", "books"), "shop": object_note("shop")}
    for task in ("one", "two"):
        make(store, a_task(task))
    channels = ChannelStore(client, KEYS)
    channels.put("one", [a_plan("films", 451), a_plan("books", 452)])
    channels.put("two", [a_plan("books", 453)])
    client.hset("cdc:target:k:9092/t", mapping=dict.fromkeys(notes.values(), "{}"))
    store.forget("one")
    assert set(client.hkeys("cdc:target:k:9092/t")) == {notes["books"], notes["shop"]}
    store.forget("two")
    assert set(client.hkeys("cdc:target:k:9092/t")) == {notes["shop"]}


def test_another_schema_is_refused_by_every_call(store: TaskStore, client: redis.Redis) -> None:
    make(store, a_task())
    client.set("cdc:schema", "99")
    for call in (
        store.check,
        store.all,
        store.snapshot,
        lambda: store.get("one"),
        lambda: store.create(a_task("two"), "1", 100),
        lambda: store.set_desired("one", Desired.PAUSED),
    ):
        with pytest.raises(SchemaError, match="schema version 99"):
            call()
    assert client.hget("cdc:task:one", "desired") == "RUNNING"


def test_checkpoints_and_troubles(store: TaskStore, client: redis.Redis) -> None:
    make(store, a_task())
    at = Position("by-dev-rootcoord-dml_0", b"\1" * 8, Tso.of(1_700_000_000_000, 3))
    there = Position("standby-rootcoord-dml_4", b"", Tso.of(1_700_000_000_000))
    op = Position("by-dev-replicate-msg", b"\2" * 8)
    client.sadd("cdc:channels:one", VCHANNEL, "by-dev-rootcoord-dml_1_451v0")
    client.hset(
        f"cdc:channel:one/{VCHANNEL}", mapping={"position": at.to_base64(), "target_position": there.to_base64()}
    )
    client.hset("cdc:channel:one/catalog", mapping={"position": op.to_base64(), "reason": "waits for the target"})
    client.hset("cdc:channel:one/by-dev-rootcoord-dml_1_451v0", mapping={"stopped": "schemas differ", "reason": "x"})
    assert store.checkpoints("one") == [
        Checkpoint("by-dev-replicate-msg", -10, op),
        Checkpoint(VCHANNEL, 451, at, there),
    ]
    assert store.troubles(["one", "none"]) == {
        "one": {"catalog": "waits for the target", "by-dev-rootcoord-dml_1_451v0": "schemas differ"},
        "none": {},
    }


def test_secrets_rest_encrypted_and_the_key_is_needed(client: redis.Redis) -> None:
    store = TaskStore(client, KEYS, Secrets(Fernet.generate_key().decode()))
    make(store, a_task())
    stored = client.hget("cdc:task:one", "spec")
    assert isinstance(stored, str)
    assert "hunter" not in stored
    assert "username" not in json.loads(stored)["target"]["milvus"]
    assert store.get("one") == a_task()
    with pytest.raises(SecretsError, match="set CDC_SECRET_KEY"):
        TaskStore(client, KEYS, Secrets(None)).get("one")
    other = TaskStore(client, KEYS, Secrets(Fernet.generate_key().decode()))
    with pytest.raises(SecretsError, match="another key"):
        other.all()
    assert other.set_desired("one", Desired.DELETED) is Changed.CHANGED


def test_secrets_stored_before_there_was_a_key_are_still_read(store: TaskStore, client: redis.Redis) -> None:
    make(store, a_task())
    assert TaskStore(client, KEYS, Secrets(Fernet.generate_key().decode())).get("one") == a_task()


def test_of_many_creates_at_once_one_wins(store: TaskStore) -> None:
    barrier = threading.Barrier(8)

    def attempt(number: int) -> Created:
        revision = store.snapshot().revision
        barrier.wait()
        return store.create(a_task(f"task-{number}"), revision, 100)

    with ThreadPoolExecutor(8) as pool:
        ends = sorted(pool.map(attempt, range(8)))
    assert ends == [Created.CREATED, *[Created.STALE] * 7]


def test_no_redis_is_state_unavailable_without_its_password() -> None:
    store = TaskStore(connect("redis://user:hunter2@127.0.0.1:1/0"), KEYS, Secrets(None))
    with pytest.raises(StateUnavailable, match="CDC_REDIS_URL") as caught:
        store.all()
    assert "hunter2" not in str(caught.value)
