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
