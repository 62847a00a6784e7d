"""A real standby behind TLS: one-way, and two-way with users; and every way to get it wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cdc_core.codec import rewrite
from cdc_core.coordination.gates import Gates
from cdc_core.errors import CdcError, TargetUnavailable, TaskStopped
from cdc_core.model.connect import DialConfig, MilvusConnect
from cdc_core.pipeline.target import Target
from cdc_core.pipeline.targets import Targets
from cdc_core.pipeline.transport import Replicated, Transport
from cdc_core.sink.base import TargetCatalog
from cdc_core.sink.milvus_catalog import MilvusCatalog
from cdc_core.sink.milvus_client import MilvusChannel
from cdc_core.sink.milvus_replicate import MilvusReplicate
from cdc_core.sink.milvus_version import server_version
from deploy.local import Milvus, MilvusOptions, MilvusTls
from tests.certificates import Authority, Certificate
from tests.contract.state import State
from tests.contract.targets import TIMEOUT, RealStandby, Times, address, drop, fresh
from tests.messages import collection, parsed, simple_insert
from tests.servers import or_skip

pytestmark = pytest.mark.contract

NAME = "standby.test"
SECONDS = 1  # of a connection that cannot come about


@dataclass(frozen=True)
class Papers:
    """Who signs for the standbys and their clients, and somebody else; files that are no certificates."""

    trusted: Authority
    foreign: Authority
    server: Certificate
    client: Certificate
    stranger: Certificate
    nonsense: Path
    locked: Path

    @property
    def one_way(self) -> DialConfig:
        return DialConfig(NAME, server_pem_path=str(self.trusted.pem))

    @property
    def two_way(self) -> DialConfig:
        files = (self.trusted.pem, self.client.pem, self.client.key)
        return DialConfig(NAME, "", *map(str, files))


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    directory = tmp_path_factory.mktemp("papers")
    trusted, foreign = Authority(directory / "trusted"), Authority(directory / "foreign")
    nonsense = directory / "nonsense.pem"
    nonsense.write_text("this is no certificate\n")
    client = trusted.sign("client.test")
    return Papers(
        trusted, foreign, trusted.sign(NAME), client, foreign.sign("client.test"), nonsense, client.locked("secret")
    )


@pytest.fixture(scope="module")
def one_way(papers: Papers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """TLS, no users."""
    with _standby(tmp_path_factory.mktemp("one-way"), papers, two_way=False) as server:
        yield server


@pytest.fixture(scope="module")
def two_way(papers: Papers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """TLS on both ends, and users."""
    with _standby(tmp_path_factory.mktemp("two-way"), papers, two_way=True) as server:
        yield server


def _standby(directory: Path, papers: Papers, *, two_way: bool) -> Milvus:
    tls = MilvusTls(papers.server.pem, papers.server.key, papers.trusted.pem, two_way)
    options = MilvusOptions(name="guarded", standby=True, authorization=two_way, tls=tls)
    return or_skip(lambda: Milvus(directory, options))


def test_one_way_takes_calls_and_rows(one_way: Milvus, papers: Papers) -> None:
    _takes_calls_and_rows(one_way, MilvusConnect(uri=one_way.address, dial_config=papers.one_way))


def test_two_way_with_a_token_takes_calls_and_rows(two_way: Milvus, papers: Papers) -> None:
    _takes_calls_and_rows(two_way, MilvusConnect(uri=two_way.uri, token="root:Milvus", dial_config=papers.two_way))


def test_two_way_with_a_user_takes_calls(two_way: Milvus, papers: Papers) -> None:
    connect = MilvusConnect(uri=two_way.uri, username="root", password="Milvus", dial_config=papers.two_way)
    with _channel(connect) as channel:
        MilvusReplicate(channel).check(TIMEOUT)
        assert "2.3" in server_version(channel, TIMEOUT)


def test_the_address_will_do_where_the_certificate_has_it(two_way: Milvus, papers: Papers) -> None:
    """Without `server_name` the target is the host of its address."""
    with _channel(MilvusConnect(uri=two_way.uri, token="root:Milvus", dial_config=_unnamed(papers))) as channel:
        MilvusReplicate(channel).check(TIMEOUT)


@pytest.mark.parametrize("token", ["", "root:wrong", "nobody:Milvus"])
def test_wrong_credentials_stop_the_task(two_way: Milvus, papers: Papers, token: str) -> None:
    connect = MilvusConnect(uri=two_way.uri, token=token, dial_config=papers.two_way)
    _is_told(connect, TaskStopped, "refuses the credentials: give a user")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            lambda papers: replace(papers.one_way, server_pem_path=str(papers.foreign.pem)),
            "signed by nobody.*_pem_path",
        ),
        (lambda papers: replace(papers.one_way, server_pem_path=""), "signed by nobody that is trusted.*_pem_path"),
        (lambda papers: replace(papers.one_way, server_name="other.test"), "server_name a name that is in"),
    ],
    ids=["foreign authority", "the usual authorities", "another name"],
)
def test_a_server_that_is_not_trusted_is_not_talked_to(
    one_way: Milvus, papers: Papers, wrong: Callable[[Papers], DialConfig], told: str
) -> None:
    _is_told(MilvusConnect(uri=one_way.uri, dial_config=wrong(papers)), TargetUnavailable, told)


def test_a_task_with_the_right_file_is_not_held_up_by_an_earlier_one(
    one_way: Milvus, papers: Papers, state: State
) -> None:
    """In one worker, whose tasks share a connection."""
    gates = Gates(state.client, state.keys, "worker")
    targets = Targets(_open, lambda name, *way: Target(name, *way, gates, lambda: None, 0.3))
    right = MilvusConnect(uri=one_way.uri, connect_timeout=SECONDS, dial_config=papers.one_way)
    foreign = replace(papers.one_way, server_pem_path=str(papers.foreign.pem))
    with closing(targets):
        target = targets.reach(replace(right, dial_config=foreign))
        with pytest.raises(TargetUnavailable, match="signed by nobody"):
            target.transport.check(TIMEOUT)
        assert targets.reach(right) is target
        target.transport.check(TIMEOUT)
        assert target.catalog.databases() == {"default"}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda papers: papers.one_way,
        lambda papers: replace(
            papers.two_way, client_pem_path=str(papers.stranger.pem), client_key_path=str(papers.stranger.key)
        ),
    ],
    ids=["none", "a stranger's"],
)
def test_a_client_s_certificate_that_is_missing_or_foreign_is_told(
    two_way: Milvus, papers: Papers, wrong: Callable[[Papers], DialConfig]
) -> None:
    connect = MilvusConnect(uri=two_way.uri, token="root:Milvus", dial_config=wrong(papers))
    _is_told(connect, TargetUnavailable, "wants a certificate of ours.*client_pem_path and client_key_path")


def test_a_target_that_wants_tls_is_told_to_who_comes_without(one_way: Milvus) -> None:
    _is_told(MilvusConnect(uri=one_way.address), TargetUnavailable, "hangs up.*use https:// or dial_config")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            lambda papers: replace(papers.one_way, server_pem_path="/no/ca.pem"),
            "server_pem_path: .* /no/ca.pem cannot",
        ),
        (lambda papers: DialConfig(server_pem_path=str(papers.nonsense)), "server_pem_path: .* holds no certificate"),
        (lambda papers: replace(papers.two_way, ca_pem_path=str(papers.nonsense)), "ca_pem_path: .* holds no certif"),
        (lambda papers: replace(papers.two_way, ca_pem_path="/no/ca.pem"), "ca_pem_path: .* cannot be read"),
        (lambda papers: replace(papers.two_way, client_pem_path="/no/c.pem"), "client_pem_path: .* cannot be read"),
        (lambda papers: replace(papers.two_way, client_key_path="/no/c.key"), "client_key_path: .* cannot be read"),
        (lambda papers: replace(papers.two_way, client_pem_path=str(papers.nonsense)), "is no certificate of the key"),
        (lambda papers: replace(papers.two_way, client_key_path=str(papers.server.key)), "is no certificate of the"),
        (lambda papers: replace(papers.two_way, client_key_path=str(papers.locked)), "key without a password"),
    ],
)
def test_a_wrong_file_stops_the_task_before_anybody_is_called(
    papers: Papers, wrong: Callable[[Papers], DialConfig], told: str
) -> None:
    with pytest.raises(TaskStopped, match=told):
        MilvusChannel(MilvusConnect(uri="https://127.0.0.1:1", dial_config=wrong(papers)))


def _open(connect: MilvusConnect) -> tuple[Transport, TargetCatalog]:
    channel = MilvusChannel(connect)
    return Replicated(MilvusReplicate(channel)), MilvusCatalog(channel)


def _unnamed(papers: Papers) -> DialConfig:
    return replace(papers.two_way, server_name="")


def _takes_calls_and_rows(server: Milvus, connect: MilvusConnect) -> None:
    with closing(RealStandby(server, connect)) as standby:
        standby.sink.check(TIMEOUT)
        wanted = collection(fresh("encrypted"))
        standby.catalog.create_collection(wanted)
        made = standby.catalog.describe("default", wanted.name)
        assert made is not None
        times = Times(standby)
        standby.load(made)
        at = times.next()
        payload = rewrite.in_step(parsed(simple_insert([1, 2, 3], at).SerializeToString()), address(made))
        tick = at.ceil()
        standby.sink.send(made.vchannels[0].pchannel, [payload], begin=at, end=at, tick=tick, timeout=TIMEOUT)
        _until(lambda: standby.keys(made) == [1, 2, 3], times)
        drop(standby, times, made)


def _until(condition: Callable[[], bool], times: Times) -> None:
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up, "the rows are not there"
        times.tick()
        time.sleep(0.05)


def _is_told(connect: MilvusConnect, kind: type[CdcError], told: str) -> None:
    """By the first look, and by every other call."""
    with _channel(replace(connect, connect_timeout=SECONDS)) as channel:
        with pytest.raises(kind, match=told):
            MilvusReplicate(channel).check(TIMEOUT)
        with pytest.raises(kind, match=told):
            server_version(channel, TIMEOUT)


@contextmanager
def _channel(connect: MilvusConnect) -> Iterator[MilvusChannel]:
    channel = MilvusChannel(connect)
    try:
        yield channel
    finally:
        channel.close()
