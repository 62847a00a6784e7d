"""`POST /cdc`: shapes, rules, conflicts and failures, over a real Redis."""

import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography.fernet import Fernet

from cdc_core.coordination.channels import ChannelStore
from cdc_core.coordination.client import connect
from cdc_core.coordination.dead_letters import DeadLetters
from cdc_core.coordination.leases import Leases
from cdc_core.coordination.reconciler import Reconciler
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.shortage import Shortage
from cdc_core.coordination.tasks import TaskStore
from cdc_core.coordination.workers import Workers
from cdc_core.errors import SourceUnavailable, TaskStopped
from cdc_core.model.dead_letter import DeadLetter
from cdc_core.model.position import Position
from cdc_core.names import CATALOG, Keys
from cdc_core.preflight.facts import KafkaFacts
from cdc_core.sink.kafka_cluster import Topic
from deploy.local import Redis
from tests.api_twin import Api, make_api

pytestmark = pytest.mark.integration

PULSAR_CHECKPOINT = (
    "CitieS1kZXYtcm9vdGNvb3JkLWRtbF8wXzQ1MTcwMDkwMjE2MjMzMzczM3YwEgkIARCZThgAIAAaO2RhdGFub2RlLTYtYnktZGV2LXJvb3Rj"
    "b29yZC1kbWxfMF80NTE3MDA5MDIxNjIzMzM3MzN2MC10cnVlIIGAkLrcgbGiBg=="
)
VCHANNEL = "by-dev-rootcoord-dml_0_451700902162333733v0"
DATABASE = 6


@pytest.fixture
def state(redis_server: Redis) -> Iterator[redis.Redis]:
    with connect(redis_server.url(DATABASE)) as client:
        client.flushdb()
        yield client


@pytest.fixture
def api(redis_server: Redis, state: redis.Redis) -> Api:  # noqa: ARG001  an empty state
    return make_api(redis_server.url(DATABASE))


# What succeeds


def test_create_answers_the_id_of_32_hex_digits_and_invites_a_worker(api: Api) -> None:
    answer = api.create("a")
    task_id = answer["data"]["task_id"]
    assert answer == {"code": 200, "data": {"task_id": task_id}}
    assert len(bytes.fromhex(task_id)) == 16
    assert api.office.tickets == [task_id]


def test_a_given_id_is_taken_and_an_existing_one_answered(api: Api) -> None:
    assert api.create("a", task_id="my-task")["data"] == {"task_id": "my-task"}
    assert api.create("b", task_id="my-task")["data"] == {"task_id": "my-task"}
    assert api.ask("get", task_id="my-task")["data"]["task"]["collection_infos"] == [{"name": "a"}]
    assert api.source.asked == 1


def test_get_shows_the_task_under_both_names_without_secrets(api: Api) -> None:
    connect_param = {"uri": "https://Target.example", "token": "root:hunter2", "dial_config": {"server_name": "t"}}
    positions = {VCHANNEL: Position("by-dev-rootcoord-dml_0", b"\5" + bytes(7)).to_base64()}
    infos = [{"name": "a", "positions": positions}, {"name": "b", "use_start_position": True}]
    api.create(task_id="one", milvus_connect_param=connect_param, collection_infos=infos)
    answer = api.ask("get", task_id="one")
    expected = {
        "task_id": "one",
        "milvus_connect_param": {
            "uri": "https://Target.example",
            "host": "",
            "port": 0,
            "enable_tls": False,
            "connect_timeout": 10,
            "channel_num": 16,
            "ignore_partition": False,
            "dial_config": {
                "server_name": "t",
                "server_pem_path": "",
                "ca_pem_path": "",
                "client_pem_path": "",
                "client_key_path": "",
            },
        },
        "kafka_connect_param": {
            "address": "",
            "topic": "",
            "enable_sasl": False,
            "sasl": {"mechanisms": "", "security_protocol": ""},
        },
        "collection_infos": infos,
        "db_collections": {},
        "state": "Initial",
    }
    assert answer == {"code": 200, "data": {"task": expected, "Task": expected}}


def test_list(api: Api) -> None:
    assert api.post({"request_type": "list"}) == {"code": 200, "data": {"tasks": []}}
    api.create("a", task_id="one")
    api.create(task_id="two", db_collections={"db": [{"name": "*"}]})
    tasks = api.ask("list")["data"]["tasks"]
    assert [task["task_id"] for task in tasks] == ["one", "two"]
    assert tasks[1]["db_collections"] == {"db": [{"name": "*"}]}
    assert tasks[1]["collection_infos"] == []


def test_pause_resume_and_delete(api: Api, state: redis.Redis) -> None:
    api.create("a", task_id="one")
    assert api.ask("pause", task_id="one") == {"code": 200, "data": {}}
    assert "the task has paused, task_id: one" in api.refused(api.ask("pause", task_id="one"))
    state.hset("cdc:task:one", "reason", "the target is no standby")
    assert api.ask("get", task_id="one")["data"]["task"]["reason"] == "the target is no standby"
    assert api.ask("resume", task_id="one") == {"code": 200, "data": {}}
    assert api.office.tickets == ["one", "one"]
    assert "the task has running, task_id: one" in api.refused(api.ask("resume", task_id="one"))
    task = api.ask("get", task_id="one")["data"]["task"]
    assert task["state"] == "Running"
    assert "reason" not in task
    assert api.ask("delete", task_id="one") == {"code": 200, "data": {}}
    assert api.ask("list")["data"]["tasks"] == []
    assert state.hget("cdc:task:one", "desired") == "DELETED"


@pytest.mark.parametrize("kind", ["pause", "resume", "delete", "get", "position"])
def test_an_unknown_or_deleted_task(api: Api, kind: str) -> None:
    api.create("a", task_id="gone")
    api.ask("delete", task_id="gone")
    for task_id in ("nope", "gone"):
        message = api.refused(api.ask(kind, task_id=task_id))
        text = f"not found: [{task_id}]" if kind == "get" else f"not found the task, task_id: {task_id}"
        assert message == f"fail to handle the {kind} request, error: {text}"
    assert api.ask("delete", task_id="nope", ignore_not_found=True) == {"code": 200, "data": {}}


def test_get_without_an_id_is_refused_and_touches_nobody(api: Api) -> None:
    api.create("a", task_id="one")
    assert "task_id is empty" in api.refused(api.post({"request_type": "get"}))
    for kind in ("pause", "resume", "delete"):
        assert "not found the task" in api.refused(api.ask(kind, task_id=""))
    assert api.ask("get", task_id="one")["data"]["task"]["state"] == "Initial"


def test_position_answers_from_checkpoints_exactly(api: Api, state: redis.Redis) -> None:
    api.create("a", task_id="one")
    empty = {"positions": [], "op_positions": [], "target_positions": []}
    assert api.ask("position", task_id="one")["data"] == empty
    state.sadd("cdc:channels:one", VCHANNEL)
    state.hset(f"cdc:channel:one/{VCHANNEL}", mapping={"position": PULSAR_CHECKPOINT})
    op = Position("by-dev-replicate-msg", b"\2" * 8)
    state.hset("cdc:channel:one/catalog", "position", op.to_base64())
    data = api.ask("position")["data"]
    assert data["positions"] == [
        {
            "collection_id": 451700902162333733,
            "channel_name": VCHANNEL,
            "time": 451701426100633601 >> 18,
            "tt": 451701426100633601,
            "msg_id": PULSAR_CHECKPOINT,
        }
    ]
    (op_position,) = data["op_positions"]
    assert (op_position["collection_id"], op_position["channel_name"]) == (-10, "by-dev-replicate-msg")
    assert op_position["msg_id"] == op.to_base64()


def test_a_stopped_collection_is_told_as_the_reason(api: Api, state: redis.Redis) -> None:
    api.create("a", task_id="one")
    state.sadd("cdc:channels:one", VCHANNEL)
    state.hset(f"cdc:channel:one/{VCHANNEL}", "stopped", "shard counts differ: 2 and 4")
    for task in (api.ask("get", task_id="one")["data"]["task"], api.ask("list")["data"]["tasks"][0]):
        assert task["reason"] == f"{VCHANNEL}: shard counts differ: 2 and 4"


def test_get_shows_dead_letters_when_there_are_any(api: Api, state: redis.Redis) -> None:
    """The reference's clients do not know of them: nothing is shown of a task that has none."""
    api.create("a", task_id="one", on_undecodable="stop")
    api.create("b", task_id="two", on_undecodable="skip")
    plain = api.ask("get", task_id="one")["data"]["task"]
    assert not {"dead_letters", "on_undecodable"} & plain.keys()
    letters = [DeadLetter("topic", bytes([number]) * 8, number, "empty", b"\xff", 9) for number in range(150)]
    DeadLetters(state, Keys()).record("two", letters)
    answer = api.ask("get", task_id="two")["data"]
    assert answer["task"] == answer["Task"]
    assert answer["task"]["on_undecodable"] == "skip"
    found = answer["task"]["dead_letters"]
    assert (found["count"], len(found["entries"])) == (150, 100)
    time = found["entries"][1].pop("time")
    assert abs(time - state.time()[0] * 1000) < 600_000
    position = Position("topic", b"\1" * 8).to_base64()
    assert found["entries"][1] == {
        "channel": "topic",
        "position": position,
        "reason": "empty",
        "bytes": "ff",
        "length": 9,
    }
    assert api.ask("get", task_id="one")["data"]["task"] == plain


@pytest.fixture
def _log_level() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.mark.usefixtures("_log_level")
@pytest.mark.parametrize(
    ("operation", "params", "text", "stored"),
    [
        ("set_log_level", {"log_level": "error"}, "set log level to error", {"level": "error"}),
        ("set_log_level", {}, "log_level is required", {}),
        ("set_log_level", {"log_level": "loud"}, "log_level: 'loud' is none", {}),
        ("set_log_level", {"log_level": {"a": 1}}, "log_level: ", {}),
        ("set_force_log_msg", {"force": True}, "set force log msg to true", {"force": "1"}),
        ("set_force_log_msg", {}, "force is required", {}),
        ("reset_log_msg", {"count": 5, "duration": "10"}, "reset log msg count to 5", {"count": "5", "minutes": "10"}),
        ("reset_log_msg", {"count": 5}, "duration is required", {}),
        ("reset_log_msg", {"count": -5, "duration": 1}, "count: '-5' is wrong", {}),
        ("reset_log_msg", {"count": "9" * 5000, "duration": 1}, "count: '999", {}),
        ("explode", {}, "unsupported operation: explode", {}),
        ("", {}, "unsupported operation: ", {}),
    ],
)
def test_maintenance(
    api: Api, state: redis.Redis, operation: str, params: dict[str, Any], text: str, stored: dict[str, str]
) -> None:
    answer = api.ask("maintenance", operation=operation, params=params)
    assert answer["code"] == 200
    assert answer["data"]["State"].startswith(text)
    held = state.hgetall("cdc:log-level")
    held.pop("since", None)
    assert held == stored


def test_who_waits_for_reconciles_leaves_threads_for_others(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given no worker that would answer, then four wait, the fifth is told at once, and later it may, too."""
    monkeypatch.setattr("api.maintenance._ANSWER_SECONDS", 3.0)
    api.create("a", task_id="one")

    def reconcile(_: int = 0) -> str:
        answer = api.ask("maintenance", operation="reconcile", params={"task_id": "one"})
        return str(answer["data"]["State"])

    with ThreadPoolExecutor(5) as pool:
        states = sorted(pool.map(reconcile, range(5)))
    assert states[0] == "4 tasks are being reconciled already, too many at once: try again"
    assert [state[:29] for state in states[1:]] == ["the task one gave no answer i"] * 4
    monkeypatch.setattr("api.maintenance._ANSWER_SECONDS", 1.0)
    assert reconcile().startswith("the task one gave no answer")


# Conflicts


def test_conflicts_between_tasks_of_one_target(api: Api) -> None:
    api.create("a", task_id="one")
    assert "default.a is replicated by the task one already" in api.refused(api.create("a", "b"))
    same = {"host": "TARGET", "port": 19530}
    assert "default.a is replicated" in api.refused(api.create("a", milvus_connect_param=same))
    assert api.create("a", milvus_connect_param={"uri": "http://another:19530"})["code"] == 200
    assert api.create("*", task_id="rest")["code"] == 200
    assert "default.b is covered by default.* of the task rest" in api.refused(api.create("b"))
    api.ask("delete", task_id="one")
    assert api.create("a")["code"] == 200


def test_users_and_roles_are_replicated_by_one_task_of_a_target(api: Api) -> None:
    users = {"extra_info": {"enable_user_role": True}}
    assert api.create("a", task_id="one", **users)["code"] == 200
    assert "the task one does that for this target already" in api.refused(api.create("b", **users))
    assert api.create("b", milvus_connect_param={"uri": "http://another:19530"}, **users)["code"] == 200


def test_two_tasks_never_write_to_one_name_of_the_target(api: Api) -> None:
    api.create("a", task_id="one")
    mapping = [{"source_db": "default", "target_db": "default", "collection_mapping": {"b": "a"}}]
    assert "default.b would be default.a on the target" in api.refused(api.create("b", name_mapping=mapping))


def test_an_id_that_is_being_deleted_is_not_free_yet(api: Api) -> None:
    api.create("a", task_id="one")
    api.ask("delete", task_id="one")
    assert "still being deleted, try again" in api.refused(api.create("a", task_id="one"))


def test_the_limit_of_tasks(redis_server: Redis, state: redis.Redis) -> None:  # noqa: ARG001  an empty state
    api = make_api(redis_server.url(DATABASE), max_tasks=2)
    for name in ("a", "b"):
        assert api.create(name, task_id=name)["code"] == 200
    assert "limit of 2" in api.refused(api.create("c"))
    api.ask("delete", task_id="a")
    assert api.create("c")["code"] == 200


def test_of_many_equal_creates_at_once_one_task_comes(api: Api, state: redis.Redis) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.create("a", task_id="one"), range(16)))
    assert answers == [{"code": 200, "data": {"task_id": "one"}}] * 16
    assert api.office.tickets == ["one"]
    assert state.smembers("cdc:tasks") == {"one"}


def test_of_many_overlapping_creates_at_once_no_name_is_taken_twice(api: Api) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: api.create("a", str(number % 3)), range(12)))
    assert sorted(answer["code"] for answer in answers) == [200, *[400] * 11]


# Kafka


def test_a_kafka_target_is_taken_though_it_does_not_answer_and_shown_without_secrets(api: Api) -> None:
    sasl = {"username": "hunter1", "password": "hunter2", "mechanisms": "PLAIN", "security_protocol": "SASL_SSL"}
    connect = {"address": "127.0.0.1:1", "topic": "films", "enable_sasl": True, "sasl": sasl}
    more = {"milvus_connect_param": None, "kafka_connect_param": connect}
    answer = api.create("a", **more, extension={"vectors": "base64", "max_rows_per_second": 500})
    assert answer["code"] == 200, answer
    told = api.ask("get", task_id=answer["data"]["task_id"])
    assert "hunter" not in json.dumps(told)
    task = told["data"]["task"]
    shown = {"mechanisms": "PLAIN", "security_protocol": "SASL_SSL"}
    assert task["kafka_connect_param"] == {**connect, "sasl": shown}
    assert task["extension"] == {"format": "rows", "vectors": "base64", "max_rows_per_second": 500}

    looked = api.create("b", **more, extension={"vectors": "base64"}, validate_only=True)["data"]
    assert [each["status"] for each in looked["checks"] if each["name"] == "target"] == ["fail"]
    api.target.kafka = KafkaFacts(TaskStopped("wrong password"))
    assert "wrong password; mend kafka_connect_param" in api.refused(
        api.create("b", **more, extension={"vectors": "base64"})
    )
    api.target.kafka = KafkaFacts(Topic("films", 3, None))
    assert api.create("b", **more, extension={"vectors": "base64"})["code"] == 200

    problem = api.refused(api.create("c", **more, extension={"format": "reference", "vectors": "base64"}))
    assert "writes format rows with vectors base64 to the topic 'films'" in problem


# What is refused


def _kafka(change: dict[str, Any]) -> dict[str, Any]:
    return {"milvus_connect_param": None, "kafka_connect_param": {"address": "k:1", "topic": "t", **change}}


CREATES: list[tuple[dict[str, Any], str]] = [
    ({"collection_infos": []}, "expected collection_infos or db_collections"),
    ({"db_collections": {"x": [{"name": "b"}]}}, "collection_infos and db_collections: expected one of them"),
    ({"milvus_connect_param": {}}, "expected a downstream"),
    ({"on_undecodable": "ignore"}, "on_undecodable: 'ignore' is none; expected stop or skip"),
    ({"on_undecodable": ""}, "on_undecodable: '' is none"),
    ({"on_undecodable": True}, "on_undecodable: not a valid string"),
    ({"milvus_connect_param": None}, "expected a downstream"),
    ({"kafka_connect_param": {"address": "k:9092", "topic": "t"}}, "expected one downstream, not both"),
    ({"milvus_connect_param": {"host": "h"}}, "milvus_connect_param.port: expected 1 to 65535"),
    ({"milvus_connect_param": {"port": 19530}}, "milvus_connect_param.host: expected with port"),
    ({"milvus_connect_param": {"host": "h", "port": "19530"}}, "milvus_connect_param.port: not a valid integer"),
    ({"milvus_connect_param": {"host": "h", "port": 70000}}, "milvus_connect_param.port: expected 1 to 65535"),
    ({"milvus_connect_param": {"host": "h", "port": True}}, "milvus_connect_param.port: not a valid"),
    ({"milvus_connect_param": {"host": "h", "port": 1e400}}, "not JSON"),
    ({"milvus_connect_param": {"uri": "ftp://h"}}, "milvus_connect_param.uri: an unknown scheme"),
    ({"milvus_connect_param": {"uri": "http://u:hunter2@h:1"}}, "credentials do not belong into a uri"),
    ({"milvus_connect_param": {"uri": "http://h:1", "host": "g", "port": 1}}, "another address than host and port"),
    ({"milvus_connect_param": {"uri": "h:1", "username": "u"}}, "username and password: expected both or neither"),
    ({"milvus_connect_param": {"uri": "h:1", "connect_timeout": -1}}, "connect_timeout: is below zero"),
    ({"milvus_connect_param": {"uri": "h:1", "dial_config": {"ca_pem_path": "x"}}}, "dial_config: expected ca_pem"),
    ({"milvus_connect_param": {"uri": "h:1", "enable_tls": "true"}}, "enable_tls: not a valid boolean"),
    ({"milvus_connect_param": {"uri": "h:1", "user": "u"}}, "milvus_connect_param.user: unknown field"),
    ({"surprise": 1}, "surprise: unknown field"),
    ({"collection_infos": [{"name": ""}]}, "collection_infos[0].name: is empty"),
    ({"collection_infos": [{}]}, "collection_infos[0].name: is empty"),
    ({"collection_infos": [{"name": "a" * 257}]}, "is longer than 256 bytes"),
    ({"collection_infos": [{"name": "a"}, {"name": "a"}]}, "'a' is there twice"),
    ({"collection_infos": [{"name": 5}]}, "collection_infos.0.name: not a valid string"),
    ({"collection_infos": {"name": "a"}}, "collection_infos: not a valid list"),
    ({"collection_infos": [{"name": "*", "positions": {VCHANNEL: PULSAR_CHECKPOINT}}]}, "not with '*'"),
    ({"collection_infos": [{"name": "a", "positions": {"p": PULSAR_CHECKPOINT}}]}, "'p' is no vchannel"),
    ({"collection_infos": [{"name": "a", "positions": {VCHANNEL: "!!"}}]}, "expected a position"),
    ({"collection_infos": [{"name": "a", "positions": {VCHANNEL: ""}}]}, "expected a position"),
    (
        {"collection_infos": [{"name": "a", "positions": {VCHANNEL: PULSAR_CHECKPOINT, "p_7v0": PULSAR_CHECKPOINT}}]},
        "belong to different collections",
    ),
    ({"rpc_channel_info": {"name": "other-replicate-msg"}}, "expected the configured channel 'by-dev-replicate-msg'"),
    ({"rpc_channel_info": {"position": "x"}}, "rpc_channel_info.position: expected a position"),
    ({"buffer_config": {"period": -1}}, "buffer_config.period: is below zero"),
    ({"buffer_config": {"size": -1}}, "buffer_config.size: is below zero"),
    ({"task_id": "a/b"}, "task_id: 'a/b' is none"),
    ({"task_id": "x" * 300}, "task_id: "),
    ({"name_mapping": [{"source_db": "x", "target_db": "d"}]}, "x.* is not among the task's collections"),
    ({"milvus_connect_param": None, "kafka_connect_param": {"address": "k:1"}}, "kafka_connect_param.topic: expected"),
    (_kafka({"topic": "a/b"}), "kafka_connect_param.topic: 'a/b' is none"),
    (_kafka({"enable_sasl": True}), "kafka_connect_param.sasl: expected username and password"),
    (
        _kafka({"enable_sasl": True, "sasl": {"mechanisms": "GSSAPI"}}),
        "sasl.mechanisms: 'GSSAPI' is none; expected PLAIN",
    ),
    (_kafka({"enable_sasl": True, "sasl": {"security_protocol": "TLS"}}), "sasl.security_protocol: 'TLS' is none"),
    (_kafka({}) | {"extension": {"format": "avro"}}, "extension.format: 'avro' is none; expected rows or reference"),
    (_kafka({}) | {"extension": {"sink": "sdk"}}, "extension.sink: is of a Milvus"),
    (_kafka({}) | {"extension": {"max_rows_per_second": 0}}, "extension.max_rows_per_second: must be greater than"),
    (_kafka({}) | {"extension": {"max_bytes_per_second": "1M"}}, "extension.max_bytes_per_second: not a valid integer"),
]


@pytest.mark.parametrize(("change", "problem"), CREATES, ids=[problem for _, problem in CREATES])
def test_a_wrong_create_is_refused_by_name_and_changes_nothing(
    api: Api, state: redis.Redis, change: dict[str, Any], problem: str
) -> None:
    data = {"milvus_connect_param": {"uri": "h:1"}, "collection_infos": [{"name": "a"}], **change}
    message = api.refused(api.post(json.dumps({"request_type": "create", "request_data": data})))
    assert problem in message
    assert "hunter2" not in message
    assert set(state.keys("*")) <= {"cdc:origin"}
    assert api.office.tickets == []


def test_all_that_is_wrong_is_told_at_once(api: Api) -> None:
    message = api.refused(api.create(buffer_config={"period": -1}, task_id="/"))
    assert all(name in message for name in ("collection_infos", "buffer_config.period", "task_id"))


def test_a_database_qualified_create(api: Api) -> None:
    refused = {"": "is empty", "d" * 257: "is longer than 256 bytes"}
    for name, problem in refused.items():
        assert problem in api.refused(api.create(db_collections={name: [{"name": "a"}]}))
    assert "expected at least one collection" in api.refused(api.create(db_collections={"db": []}))
    assert api.create(db_collections={"*": [{"name": "*"}], "db": [{"name": "a"}]})["code"] == 200


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        ("[]", "no JSON object"),
        ('"create"', "no JSON object"),
        ("null", "no JSON object"),
        ('{"a": NaN}', "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 50 + "1" + "}" * 50, "nested too deeply"),
        ('{"request_type": "list", "request_data": {"a": "\\ud800"}}', "no Unicode"),
        ("9" * 10_000, "not JSON"),
        ("{}", "request_type is missing, expected one of create, delete, pause, resume, get, position, list, maint"),
        ('{"request_type": "explode"}', "'explode' is unknown, expected one of create"),
        ('{"request_type": 5}', "'5' is unknown"),
        ('{"request_type": ["list"]}', "is unknown"),
        ('{"request_type": "list", "request_data": []}', "request_data: expected an object"),
        ('{"request_type": "list", "request_data": {"a": 1}}', "a: unknown field"),
        ('{"request_type": "list", "more": 1}', "more: unknown field"),
        ('{"request_type": "get", "request_data": {"task_id": 5}}', "task_id: not a valid string"),
        ('{"request_type": "delete", "request_data": {"task_id": "a", "ignore_not_found": 1}}', "not a valid boolean"),
    ],
)
def test_a_body_that_is_no_request(api: Api, body: str | bytes, problem: str) -> None:
    assert problem in api.refused(api.post(body))
    assert api.ask("list")["code"] == 200


def test_content_types(api: Api) -> None:
    good = json.dumps({"request_type": "list"})
    for kind in (
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "application/vnd.x+json",
        None,
    ):
        assert api.post(good, content_type=kind)["code"] == 200
    for kind in ("text/xml", "text/plain", "multipart/form-data"):
        assert "expected application/json" in api.refused(api.post(good, content_type=kind))


def test_other_methods_and_paths(api: Api) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"):
        response = api.client.open("/cdc", method=method)
        assert (response.status_code, response.json["code"]) == (200, 405)
    assert api.client.get("/nothing").status_code == 404
    assert api.client.get("/nothing").json["code"] == 404


def test_an_oversized_body_is_answered_with_413(api: Api) -> None:
    response = api.client.post("/cdc", data=b" " * (9 << 20), content_type="application/json")
    assert (response.status_code, response.json["code"]) == (413, 413)
    assert api.ask("list")["code"] == 200


# What fails


def test_a_source_that_is_away_fails_the_create_and_nothing_is_stored(api: Api, state: redis.Redis) -> None:
    api.source.error = SourceUnavailable("the source's etcd at 127.0.0.1:2379 does not answer")
    answer = api.create("a", task_id="one")
    assert answer["code"] == 500
    assert answer["message"].startswith("fail to handle the create request, error: the source's etcd")
    assert set(state.keys("*")) <= {"cdc:origin"}
    api.source.error = None
    assert api.create("a", task_id="one")["code"] == 200


def test_a_defect_of_ours_is_an_answer_too(api: Api) -> None:
    api.source.error = ZeroDivisionError("of ours")
    answer = api.create("a")
    assert answer == {"code": 500, "message": "internal error (ZeroDivisionError), see the log of the API"}


def test_a_redis_that_is_away_and_comes_back(tmp_path: Path) -> None:
    with Redis(tmp_path) as server:
        api = make_api(server.url())
        assert api.create("a", task_id="one")["code"] == 200
        assert api.client.get("/readyz").status_code == 200
        server.kill()
        for answer in (api.ask("list"), api.create("b"), api.ask("pause", task_id="one")):
            assert answer["code"] == 500
            assert "CDC_REDIS_URL" in answer["message"]
        assert api.client.get("/healthz").status_code == 200
        response = api.client.get("/readyz")
        assert (response.status_code, response.json["status"]) == (503, "not ready")
        server.start().wait_ready()
        assert [task["task_id"] for task in api.ask("list")["data"]["tasks"]] == ["one"]
        assert api.client.get("/readyz").status_code == 200


def test_another_versions_state_is_refused(api: Api, state: redis.Redis) -> None:
    state.set("cdc:schema", "0")
    assert "schema version 0" in api.client.get("/readyz").json["reason"]
    answer = api.create("a")
    assert answer["code"] == 500
    assert "schema version 0" in answer["message"]
    assert state.keys("*") == ["cdc:schema"]


def test_a_state_that_was_emptied_is_refused_by_who_knew_it_and_nothing_is_made_in_it(
    api: Api, state: redis.Redis
) -> None:
    assert api.create("a", task_id="one")["code"] == 200
    kept = state.dump("cdc:origin")
    state.flushdb()
    answers = [api.ask("list"), api.create("b"), api.ask("get", task_id="one"), api.ask("pause", task_id="one")]
    answers.append(api.ask("maintenance", operation="set_log_level", params={"log_level": "info"}))
    for answer in answers:
        assert answer["code"] == 500
        assert "has lost the state" in answer["message"]
    for path in ("/readyz", "/metrics"):
        response = api.client.get(path)
        assert response.status_code == 503
        assert "has lost the state" in response.text
    assert api.client.get("/healthz").status_code == 200
    assert state.keys("*") == []
    state.restore("cdc:origin", 0, kept)
    assert api.client.get("/readyz").status_code == 200


# Secrets


def test_secrets_are_in_no_answer_no_log_and_with_a_key_not_in_redis(
    redis_server: Redis, state: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api = make_api(redis_server.url(DATABASE), secret_key=Fernet.generate_key().decode())
    param = {"uri": "http://target:1", "username": "user-hunter1", "password": "hunter2", "token": "root:hunter3"}
    answers = [api.create("a", task_id="one", milvus_connect_param=param)]
    answers.append(api.create("a", milvus_connect_param={**param, "password": ["hunter2"]}))
    answers.append(api.create("a", milvus_connect_param=param))
    answers += [api.ask("get", task_id="one"), api.ask("list"), api.ask("position")]
    assert [answer["code"] for answer in answers] == [200, 400, 400, 200, 200, 200]
    assert "hunter" not in json.dumps(answers)
    assert "hunter" not in caplog.text
    assert "hunter" not in str(state.hgetall("cdc:task:one"))
    other = make_api(redis_server.url(DATABASE))
    answer = other.ask("get", task_id="one")
    assert answer["code"] == 500
    assert "CDC_SECRET_KEY" in answer["message"]


# Many clients


def test_many_clients_at_once(api: Api) -> None:
    """Creates, pauses, resumes, deletes and looks of one set of tasks from many threads: only worded answers."""
    start = threading.Barrier(6)

    def client(number: int) -> list[int]:
        start.wait()
        codes = []
        for turn in range(20):
            task_id = f"task-{(number + turn) % 4}"
            kinds = ("pause", "resume", "get", "position", "delete")
            codes += [api.ask(kind, task_id=task_id)["code"] for kind in kinds]
            codes += [api.ask("list")["code"]]
            codes.append(api.create(f"c{number}", task_id=f"{task_id}-{turn}")["code"])
        return codes

    with ThreadPoolExecutor(6) as pool:
        codes = {code for codes in pool.map(client, range(6)) for code in codes}
    assert codes <= {200, 400}


def test_two_processes_that_make_and_delete_one_task(api: Api, redis_server: Redis, state: redis.Redis) -> None:
    """As fast as they can, while a leader forgets what was deleted: it is there once and whole, or not at all."""
    processes = [api, make_api(redis_server.url(DATABASE))]
    start = threading.Barrier(len(processes))

    def client(process: Api) -> list[tuple[str, int]]:
        start.wait()
        answers = []
        for _ in range(50):
            answers.append(("create", process.create("c", task_id="one")["code"]))
            answers.append(("delete", process.ask("delete", task_id="one")["code"]))
        return answers

    with ThreadPoolExecutor(len(processes)) as pool, _forgetting(state) as halves:
        answers = Counter(answer for found in pool.map(client, processes) for answer in found)
    made = sum(len(process.office.tickets) for process in processes)
    assert answers.keys() <= {("create", 200), ("create", 400), ("delete", 200), ("delete", 400)}
    assert made > 1
    assert made - answers["delete", 200] == len(api.ask("list")["data"]["tasks"]), "each was deleted once"
    assert halves == []
    api.ask("delete", task_id="one")
    with _forgetting(state):
        pass
    assert not [key for key in state.scan_iter() if "one" in key]


@contextmanager
def _forgetting(state: redis.Redis) -> Iterator[list[object]]:
    """A leader passes again and again, once more at the end; what it saw of a task that was there in part."""
    keys = Keys()
    channels, leases, workers = ChannelStore(state, keys), Leases(state, keys, "leader"), Workers(state, keys)
    tasks, shortage = TaskStore(state, keys, Secrets(None)), Shortage(state, keys)
    reconciler = Reconciler(tasks, channels, leases, workers, shortage, lambda _tickets: None)
    halves: list[object] = []
    over = threading.Event()

    def lead() -> None:
        last = False
        while not last:
            last = over.is_set()
            assert leases.lead(60)
            reconciler.run()
            pipe = state.pipeline()
            pipe.sismember(keys.tasks, "one")
            pipe.hget(keys.task("one"), "desired")
            pipe.exists(keys.channel("one", CATALOG))
            known, desired, catalog = pipe.execute()
            if (known, catalog) != (1, 1) and desired == "RUNNING":
                halves.append((known, desired, catalog))

    with ThreadPoolExecutor(1) as pool:
        leading = pool.submit(lead)
        try:
            yield halves
        finally:
            over.set()
        leading.result()
