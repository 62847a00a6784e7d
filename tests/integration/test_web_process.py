"""The web process as the Procfile runs it: gunicorn over a real Redis, etcd and RocksMQ."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from cdc_core.codec.protobuf import common_pb2, msg_pb2
from cdc_core.coordination.client import connect
from cdc_core.coordination.secrets import Secrets
from cdc_core.coordination.tasks import TaskStore
from cdc_core.model.catalog import ObjectState
from cdc_core.model.message import Kind
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.names import Keys
from deploy.local import Etcd, Redis
from tests.contract.brokers import RocksmqBroker
from tests.contract.catalogs import EtcdHands, a_collection

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PCHANNEL, OP_CHANNEL = "by-dev-rootcoord-dml_0", "by-dev-replicate-msg"
DATABASE, BROKER = 8, 9
KEY = Fernet.generate_key().decode()


def message(kind: int, timestamp: int) -> bytes:
    return msg_pb2.TimeTickMsg(base=common_pb2.MsgBase(msg_type=kind, timestamp=timestamp)).SerializeToString()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def command(tmp_path: Path, **environment: str) -> subprocess.Popen[bytes]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CDC_")}
    with (tmp_path / "web.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "api/gunicorn.py", "api.wsgi:app"],
            cwd=ROOT,
            env={**inherited, **environment},
            stdout=log,
            stderr=log,
        )


class Web:
    """The running process and a client of it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def ask(self, kind: str, **data: Any) -> dict[str, Any]:
        status, answer = self.send("POST", "/cdc", json.dumps({"request_type": kind, "request_data": data}).encode())
        assert status == 200
        return answer

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.send("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(self.log.read_text())


@pytest.fixture
def source(etcd_server: Etcd, tmp_path: Path) -> Iterator[tuple[EtcdHands, RocksmqBroker]]:
    hands, broker = EtcdHands(etcd_server), RocksmqBroker(tmp_path)
    hands.put_collection(a_collection(451, "a"))
    hands.put_collection(a_collection(452, "b", state=ObjectState.CREATING))
    yield hands, broker
    broker.close()
    hands.close()


@pytest.fixture
def web(
    redis_server: Redis, etcd_server: Etcd, source: tuple[EtcdHands, RocksmqBroker], tmp_path: Path
) -> Iterator[Web]:
    with connect(redis_server.url(DATABASE)) as state:
        state.flushdb()
    port = free_port()
    process = command(
        tmp_path,
        CDC_HTTP_ADDRESS=f"127.0.0.1:{port}",
        CDC_REDIS_URL=redis_server.url(DATABASE),
        CDC_BROKER_URL=redis_server.url(BROKER),
        CDC_SOURCE_ETCD_ENDPOINTS=etcd_server.endpoint,
        CDC_SOURCE_ETCD_ROOT=source[0].root,
        CDC_SOURCE_MQ=f"rocksmq://{tmp_path / 'rocksmq'}",
        CDC_SECRET_KEY=KEY,
        CDC_LOG_LEVEL="debug",
    )
    web = Web(process, port, tmp_path / "web.log")
    try:
        web.wait_ready()
        yield web
    finally:
        process.kill()
        process.wait()


def test_a_task_is_made_at_the_present_end_of_a_real_source(
    web: Web, source: tuple[EtcdHands, RocksmqBroker], redis_server: Redis
) -> None:
    _, broker = source
    broker.append(PCHANNEL, message(Kind.TIME_TICK, 10 << 18))
    tick = broker.append(PCHANNEL, message(Kind.TIME_TICK, 11 << 18))
    op = broker.append(OP_CHANNEL, message(300, 5 << 18))
    param = {"uri": "http://target:19530", "token": "root:hunter2"}
    answer = web.ask("create", task_id="one", milvus_connect_param=param, collection_infos=[{"name": "*"}])
    assert answer == {"code": 200, "data": {"task_id": "one"}}
    with connect(redis_server.url(DATABASE)) as state:
        task = TaskStore(state, Keys(), Secrets(KEY)).get("one")
    assert task is not None
    assert task.beginning.existing == {451}
    ends = {channel: (end.message_id, end.timestamp) for channel, end in task.beginning.tails.items()}
    assert ends == {PCHANNEL: (tick, 11 << 18), OP_CHANNEL: (op, 5 << 18)}
    with connect(redis_server.url(BROKER)) as broker_state:
        assert broker_state.llen("cdc:celery:cdc") >= 1
    log = web.log.read_text()
    assert '"request_type": "create"' in log
    assert "hunter2" not in log


def test_every_request_answers_in_the_shape_that_clients_know(
    web: Web, source: tuple[EtcdHands, RocksmqBroker], redis_server: Redis
) -> None:
    """One task's life, over HTTP and without a worker; the target is down, which a task waits for."""
    source[1].append(PCHANNEL, message(Kind.TIME_TICK, 10 << 18))
    param = {"host": "127.0.0.1", "port": free_port(), "username": "root", "password": "hunter2", "channel_num": 4}
    made = web.ask("create", milvus_connect_param=param, collection_infos=[{"name": "a"}])
    task_id = made["data"]["task_id"]
    assert made == {"code": 200, "data": {"task_id": task_id}}
    assert (len(task_id), int(task_id, 16) > 0) == (32, True)

    task = web.ask("get", task_id=task_id)["data"]["task"]
    dial = dict.fromkeys(("server_name", "server_pem_path", "ca_pem_path", "client_pem_path", "client_key_path"), "")
    sasl = {"mechanisms": "", "security_protocol": ""}
    assert task == {
        "task_id": task_id,
        "milvus_connect_param": {
            "uri": "",
            "host": "127.0.0.1",
            "port": param["port"],
            "enable_tls": False,
            "connect_timeout": 10,
            "channel_num": 4,
            "ignore_partition": False,
            "dial_config": dial,
        },
        "kafka_connect_param": {"address": "", "topic": "", "enable_sasl": False, "sasl": sasl},
        "collection_infos": [{"name": "a"}],
        "db_collections": {},
        "state": "Initial",
    }
    assert web.ask("get", task_id=task_id) == {"code": 200, "data": {"task": task, "Task": task}}
    assert web.ask("list") == {"code": 200, "data": {"tasks": [task]}}

    at = Position("by-dev-rootcoord-dml_0_451v0", b"\1" * 8, Tso((1_700_000_000_000 << 18) + 7))
    on_target = Position("standby-rootcoord-dml_1", b"", at.timestamp)
    with connect(redis_server.url(DATABASE)) as state:  # as a worker records it
        state.sadd(Keys().channels(task_id), at.channel)
        record = {"position": at.to_base64(), "target_position": on_target.to_base64()}
        state.hset(Keys().channel(task_id, at.channel), mapping=record)
    moment = {"collection_id": 451, "time": 1_700_000_000_000, "tt": int(at.timestamp)}
    positions = {
        "positions": [{**moment, "channel_name": at.channel, "msg_id": at.to_base64()}],
        "op_positions": [],
        "target_positions": [{**moment, "channel_name": on_target.channel, "msg_id": on_target.to_base64()}],
    }
    assert web.ask("position", task_id=task_id) == {"code": 200, "data": positions}
    assert web.ask("position") == {"code": 200, "data": positions}

    assert web.ask("pause", task_id=task_id) == {"code": 200, "data": {}}
    assert web.ask("pause", task_id=task_id) == {
        "code": 400,
        "message": f"fail to handle the pause request, error: the task has paused, task_id: {task_id}",
    }
    assert web.ask("get", task_id=task_id)["data"]["task"]["state"] == "Paused"
    assert web.ask("resume", task_id=task_id) == {"code": 200, "data": {}}
    assert web.ask("maintenance", operation="set_log_level", params={"log_level": "info"}) == {
        "code": 200,
        "data": {"State": "set log level to info"},
    }
    assert web.ask("delete", task_id=task_id) == {"code": 200, "data": {}}
    assert web.ask("get", task_id=task_id) == {
        "code": 400,
        "message": f"fail to handle the get request, error: not found: [{task_id}]",
    }
    assert web.ask("delete", task_id=task_id, ignore_not_found=True) == {"code": 200, "data": {}}
    assert web.ask("list") == {"code": 200, "data": {"tasks": []}}
    assert "hunter2" not in web.log.read_text()


def test_how_clients_speak_http(web: Web) -> None:
    """One connection for many requests; a body in chunks, without a type, or with curl's; other methods."""
    good, answer = json.dumps({"request_type": "list"}).encode(), {"code": 200, "data": {"tasks": []}}
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, headers in ((good, {}), (good, form), (iter([good[:5], good[5:]]), {})):
        connection.request("POST", "/cdc", body, headers)
        response = connection.getresponse()
        assert (response.status, response.getheader("Content-Type")) == (200, "application/json")
        assert json.loads(response.read()) == answer
    connection.close()
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        status, refusal = web.send(method, "/cdc", good)
        assert (status, refusal["code"], method in refusal["message"]) == (200, 405, True)
    assert web.send("POST", "/cdc", b"{}")[1]["message"].startswith("request_type is missing, expected one of create, ")


def test_a_look_ahead_at_a_source_and_a_target_that_is_down(
    web: Web, source: tuple[EtcdHands, RocksmqBroker], redis_server: Redis
) -> None:
    source[1].append(PCHANNEL, message(Kind.TIME_TICK, 10 << 18))
    param = {"uri": f"http://127.0.0.1:{free_port()}"}
    answer = web.ask("create", milvus_connect_param=param, collection_infos=[{"name": "*"}], validate_only=True)
    checks = {each["name"]: each for each in answer["data"]["checks"]}
    assert {name for name, each in checks.items() if each["status"] == "pass"} == {
        *("source_etcd", "source_queue", "source_cluster", "names", "positions"),
    }
    assert {name for name, each in checks.items() if each["status"] == "fail"} == {"target"}
    assert checks["target"]["advice"].startswith("start the target")
    with connect(redis_server.url(DATABASE)) as state:
        assert set(state.keys("*")) <= {"cdc:origin"}


def test_it_ends_within_seconds_of_a_sigterm_and_probes_answer(web: Web) -> None:
    assert web.send("GET", "/healthz") == (200, {"status": "ok"})
    assert web.send("POST", "/cdc", b" " * (20 << 20))[0] == 413
    assert web.ask("list") == {"code": 200, "data": {"tasks": []}}
    began = time.monotonic()
    web.process.send_signal(signal.SIGTERM)
    assert web.process.wait(15) == 0
    assert time.monotonic() - began < 10


def test_wrong_settings_end_the_start_with_all_their_names(tmp_path: Path) -> None:
    process = command(tmp_path, CDC_HTTP_ADDRESS="here", CDC_SOURCE_MQ="amqp://x", CDC_REDIS_URL="http://:hunter2@x")
    assert process.wait(30) != 0
    log = (tmp_path / "web.log").read_text()
    assert all(name in log for name in ("CDC_HTTP_ADDRESS", "CDC_SOURCE_MQ", "CDC_REDIS_URL"))
    assert "hunter2" not in log
    assert "Traceback" not in log
