"""`validate_only` and refused creates, against a real source and real targets."""

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from pymilvus import MilvusClient

from cdc_core.coordination.client import connect
from cdc_core.coordination.workers import Workers
from cdc_core.model.channel import VChannel
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.names import Keys
from cdc_core.source.catalog import SourceCatalog
from cdc_core.source.sequence import to_message_id
from deploy.local import Milvus, Stack
from deploy.local.system import Api, Refused, Web
from tests.contract.targets import RealStandby, Times, drop
from tests.messages import KEY, VECTOR, collection
from tests.workload import Shape, make_collection

pytestmark = pytest.mark.integration

DATABASE = 12
Checks = dict[str, dict[str, str]]


class Pair:
    """The API's own process over a real source; each look at a target goes to a real one, or to nobody."""

    def __init__(self, web: Web, stack: Stack, standby: Milvus) -> None:
        self.client = Api(web.address)
        self.state = connect(web.environment["CDC_REDIS_URL"])
        self.source = MilvusClient(uri=stack.source.uri)
        self.stack = stack
        self.uri = standby.uri

    def create(self, name: str, uri: str = "", **info: Any) -> str:
        """The task's id. :raises Refused:"""
        param = {"uri": uri or self.uri}
        return self.client.create(milvus_connect_param=param, collection_infos=[{"name": name, **info}])

    def validate(self, name: str, uri: str = "", **info: Any) -> Checks:
        Workers(self.state, Keys()).beat("w", 100, stopping=False, about={})
        param, infos = {"uri": uri or self.uri}, [{"name": name, **info}]
        found = self.client.send("create", milvus_connect_param=param, collection_infos=infos, validate_only=True)
        return {check["name"]: check for check in found["checks"]}

    def channel_of(self, name: str) -> VChannel:
        """The first one of a collection of the source."""
        source = self.stack.source
        with closing(SourceCatalog(source.etcd_endpoint, source.etcd_root, "meta")) as catalog:
            return next(each for each in catalog.refresh().collections.values() if each.name == name).vchannels[0]

    def close(self) -> None:
        self.source.close()
        self.state.flushdb()
        self.state.close()


@pytest.fixture(scope="module")
def pair(rocksmq_stack: Stack, standby_server: Milvus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    environment = rocksmq_stack.environment() | {"CDC_REDIS_URL": rocksmq_stack.redis.url(DATABASE)}
    with (
        Web(tmp_path_factory.mktemp("web"), environment) as web,
        closing(Pair(web, rocksmq_stack, standby_server)) as made,
    ):
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
    with pytest.raises(Refused, match=r"400: .*ttMsgEnabled"):
        pair.create(name, rocksmq_stack.source.uri)


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
    with pytest.raises(Refused, match=f"400: .*default.{name} differs"):
        pair.create(name)
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
        with pytest.raises(Refused, match=f"400: .*{re.escape(told)}"):
            pair.create(name, positions={str(key): gone})


def test_a_target_that_is_down_is_told_and_refuses_no_create(
    pair: Pair, source_collection: Callable[[Shape], str]
) -> None:
    name, uri = source_collection(Shape()), "http://127.0.0.1:1"
    checks = pair.validate(name, uri)
    unknown = dict.fromkeys(("standby", "version", "channels", "schemas"), "warn")
    assert not_passed(checks) == {"target": "fail", **unknown}
    pair.client.delete(pair.create(name, uri))
