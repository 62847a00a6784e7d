"""`validate_only` and refused creates, against a real source and real targets."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from pymilvus import MilvusClient

from api.app import create_app
from api.source import LiveSource
from cdc_core.coordination.client import connect
from cdc_core.coordination.workers import Workers
from cdc_core.model.channel import VChannel
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.names import Keys
from cdc_core.settings import Settings
from cdc_core.source.sequence import to_message_id
from deploy.local import Milvus, Stack
from tests.api_twin import Office
from tests.contract.targets import RealStandby, Times, drop
from tests.messages import KEY, VECTOR, collection
from tests.workload import Shape, make_collection

pytestmark = pytest.mark.integration

DATABASE = 12
Checks = dict[str, dict[str, str]]


class Pair:
    """The API over a real source; each look at a target goes to a real one, or to nobody."""

    def __init__(self, stack: Stack, standby: Milvus) -> None:
        own = {name.removeprefix("CDC_").lower(): value for name, value in stack.environment().items()}
        url = stack.redis.url(DATABASE)
        self.state = connect(url)
        self.state.flushdb()
        settings = Settings(**{**own, "redis_url": url})
        self.live = LiveSource(settings)
        self.client = create_app(settings, source=self.live, tickets=Office()).test_client()
        self.source = MilvusClient(uri=stack.source.uri)
        self.uri = standby.uri

    def create(self, name: str, uri: str = "", **info: Any) -> dict[str, Any]:
        param = {"uri": uri or self.uri}
        return self.ask("create", milvus_connect_param=param, collection_infos=[{"name": name, **info}])

    def validate(self, name: str, uri: str = "", **info: Any) -> Checks:
        Workers(self.state, Keys()).beat("w", 100, stopping=False, about={})
        param, infos = {"uri": uri or self.uri}, [{"name": name, **info}]
        answer = self.ask("create", milvus_connect_param=param, collection_infos=infos, validate_only=True)
        assert answer["code"] == 200, answer
        return {check["name"]: check for check in answer["data"]["checks"]}

    def ask(self, kind: str, **data: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.post("/cdc", json={"request_type": kind, "request_data": data}).json
        return answer

    def channel_of(self, name: str) -> VChannel:
        """The first one of a collection of the source."""
        return next(each for each in self.live.refresh().collections.values() if each.name == name).vchannels[0]

    def close(self) -> None:
        self.source.close()
        self.state.flushdb()
        self.state.close()


@pytest.fixture(scope="module")
def pair(rocksmq_stack: Stack, standby_server: Milvus) -> Iterator[Pair]:
    with closing(Pair(rocksmq_stack, standby_server)) as made:
        yield made


@pytest.fixture(scope="module")
def standby(standby_server: Milvus) -> Iterator[RealStandby]:
    with closing(RealStandby(standby_server)) as made:
        yield made


@pytest.fixture
def source_collection(pair: Pair) -> Iterator[Callable[[Shape], str]]:
    """Makes collections of the source; they are gone after the test."""
    made: list[str] = []

    def make(shape: Shape) -> str:
        made.append(f"looked_{uuid.uuid4().hex[:8]}")
        make_collection(pair.source, made[-1], shape, load=False)
        return made[-1]

    yield make
    for name in made:
        pair.source.drop_collection(name)


def not_passed(checks: Checks) -> dict[str, str]:
    return {name: check["status"] for name, check in checks.items() if check["status"] != "pass"}


def test_a_source_and_a_standby_are_fine(pair: Pair, source_collection: Callable[[Shape], str]) -> None:
    """All checks pass, also for a name with places to begin at and for a wildcard."""
    name = source_collection(Shape(shards=2))
    for wanted, info in ((name, {}), (name, {"use_start_position": True}), ("*", {})):
        checks = pair.validate(wanted, **info)
        assert not_passed(checks) == {}, checks
    assert pair.validate(name)["channels"]["message"].startswith("2 vchannels for 16 dml channels")
    assert pair.validate(name)["version"]["message"].startswith("Milvus")


def test_a_target_that_is_no_standby(
    pair: Pair, rocksmq_stack: Stack, source_collection: Callable[[Shape], str]
) -> None:
    name = source_collection(Shape())
    checks = pair.validate(name, rocksmq_stack.source.uri)
    assert not_passed(checks) == {"standby": "fail"}
    assert "common.ttMsgEnabled" in checks["standby"]["advice"]
    answer = pair.create(name, rocksmq_stack.source.uri)
    assert (answer["code"], "ttMsgEnabled" in answer["message"]) == (400, True)


@pytest.mark.parametrize(
    ("fields", "shards", "difference"),
    [((KEY, VECTOR), 2, "is missing on the target"), (None, 3, "2 shards, on the target 3")],
    ids=["schema", "shards"],
)
def test_a_collection_of_the_standby_that_differs(
    pair: Pair,
    standby: RealStandby,
    source_collection: Callable[[Shape], str],
    fields: tuple[Any, ...] | None,
    shards: int,
    difference: str,
) -> None:
    name = source_collection(Shape(shards=2))
    standby.catalog.create_collection(collection(name, fields or (KEY, VECTOR), shards=shards))
    checks = pair.validate(name)
    assert not_passed(checks) == {"schemas": "fail"}
    assert difference in checks["schemas"]["message"]
    answer = pair.create(name)
    assert (answer["code"], f"default.{name} differs" in answer["message"]) == (400, True)
    made = standby.catalog.describe("default", name)
    assert made is not None
    drop(standby, Times(standby), made)
    assert not_passed(pair.validate(name)) == {}


def test_positions(pair: Pair, source_collection: Callable[[Shape], str]) -> None:
    """Before what the queue holds: refused. Of a collection that is gone: refused."""
    name = source_collection(Shape())
    channel = pair.channel_of(name)
    gone = Position(channel.name, to_message_id(1), Tso.of(1)).to_base64()
    other = VChannel(channel.pchannel, 7, 0)
    for key, told in ((channel, f"does not hold the position of {channel} (1,"), (other, f"{other} belongs to no")):
        checks = pair.validate(name, positions={str(key): gone})
        assert not_passed(checks) == {"positions": "fail"}
        assert told in checks["positions"]["message"]
        answer = pair.create(name, positions={str(key): gone})
        assert (answer["code"], told in answer["message"]) == (400, True)


def test_a_target_that_is_down_is_told_and_refuses_no_create(
    pair: Pair, source_collection: Callable[[Shape], str]
) -> None:
    name, uri = source_collection(Shape()), "http://127.0.0.1:1"
    checks = pair.validate(name, uri)
    unknown = dict.fromkeys(("standby", "version", "channels", "schemas"), "warn")
    assert not_passed(checks) == {"target": "fail", **unknown}
    task = pair.create(name, uri)
    assert task["code"] == 200
    assert pair.ask("delete", task_id=task["data"]["task_id"])["code"] == 200
