"""What only a real standby shows: restarts, refusals, credentials."""

import base64
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cdc_core.codec import rewrite
from cdc_core.codec.operation import OperationKind
from cdc_core.codec.protobuf import milvus_pb2
from cdc_core.errors import Refused, TargetUnavailable, TaskStopped
from cdc_core.model.connect import DialConfig, MilvusConnect
from cdc_core.model.timestamp import Tso
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.milvus_catalog import MilvusCatalog
from cdc_core.sink.milvus_client import MilvusChannel
from cdc_core.sink.milvus_manner import AsStandby, base_of
from cdc_core.sink.milvus_replicate import MilvusReplicate
from cdc_core.sink.milvus_version import server_version
from deploy.local import Milvus, MilvusOptions, Stack
from tests.contract.targets import TIMEOUT, RealStandby, Times, address, fresh, operation
from tests.messages import collection, parsed, simple_insert

pytestmark = pytest.mark.contract


@pytest.fixture
def standby(standby_server: Milvus) -> Iterator[RealStandby]:
    real = RealStandby(standby_server)
    yield real
    real.close()


def test_a_milvus_that_is_no_standby_stops_the_task(rocksmq_stack: Stack) -> None:
    """`check` finds it without writing anything; a send finds it too."""
    channel = MilvusChannel(MilvusConnect(uri=rocksmq_stack.source.uri))
    at = Tso.of(1_700_000_000_000)
    with pytest.raises(TaskStopped, match="ttMsgEnabled"):
        MilvusReplicate(channel).check(TIMEOUT)
    with pytest.raises(TaskStopped, match="ttMsgEnabled"):
        MilvusReplicate(channel).send("by-dev-rootcoord-dml_0", (), begin=at, end=at, tick=at, timeout=TIMEOUT)
    channel.close()


def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    channel = MilvusChannel(MilvusConnect(uri="127.0.0.1:1", connect_timeout=1))
    sink = MilvusReplicate(channel)
    at = Tso.of(1_700_000_000_000)
    with pytest.raises(TargetUnavailable, match="no connection"):
        sink.check(TIMEOUT)
    with pytest.raises(TargetUnavailable):
        server_version(channel, TIMEOUT)
    with pytest.raises(TargetUnavailable):
        sink.send("p", (), begin=at, end=at, tick=at, timeout=1)
    assert set(sink.tick_all({"p": at, "q": at}, 1)) == {"p", "q"}
    sink.close()
    with pytest.raises(TargetUnavailable):
        sink.send("p", (), begin=at, end=at, tick=at, timeout=1)
    with pytest.raises(TaskStopped, match="cannot be read"):
        MilvusChannel(MilvusConnect(uri="https://h", dial_config=DialConfig(server_pem_path=str(tmp_path / "no"))))


def test_a_target_without_tls_is_told_to_who_comes_with_it(standby_server: Milvus) -> None:
    channel = MilvusChannel(MilvusConnect(uri=f"https://{standby_server.address}", connect_timeout=1))
    with pytest.raises(TargetUnavailable, match="speaks no TLS at this address"):
        MilvusReplicate(channel).check(TIMEOUT)
    channel.close()


def test_a_2_3_runs_no_imports(standby: RealStandby) -> None:
    assert standby.sink.takes_imports(TIMEOUT) is False


def test_rows_ahead_of_the_target_s_clock_are_taken(standby: RealStandby) -> None:
    """The source's clock may run ahead; the request says "now"."""
    wanted = collection(fresh("ahead"))
    standby.catalog.create_collection(wanted)
    described = standby.catalog.describe("default", wanted.name)
    assert described is not None
    at = Tso.of(int(time.time() * 1000) + 8_000)
    payload = rewrite.in_step(parsed(simple_insert([1], at).SerializeToString()), address(described))
    standby.sink.send(described.vchannels[0].pchannel, [payload], begin=at, end=at, tick=None, timeout=TIMEOUT)
    standby.catalog.drop_collection("default", wanted.name, at)


def test_an_alias_is_not_taken_for_a_collection(standby: RealStandby) -> None:
    wanted = collection(fresh("behind"))
    alias = fresh("alias")
    standby.catalog.create_collection(wanted)
    request = milvus_pb2.CreateAliasRequest(
        base=base_of(AsStandby(), wanted.created), collection_name=wanted.name, alias=alias
    )
    assert standby.channel.call("CreateAlias", request).code == 0
    assert standby.catalog.describe("default", alias) is None
    with pytest.raises(Refused, match="alias"):
        standby.catalog.create_collection(collection(alias))
    standby.catalog.drop_collection("default", alias, wanted.created)
    assert standby.catalog.describe("default", wanted.name) is not None
    dropped = milvus_pb2.DropAliasRequest(base=base_of(AsStandby(), wanted.created), alias=alias)
    assert standby.channel.call("DropAlias", dropped).code == 0
    standby.catalog.drop_collection("default", wanted.name, wanted.created)


def test_a_call_too_large_for_grpc_is_refused(standby: RealStandby) -> None:
    request = milvus_pb2.ReplicateMessageRequest(channel_name="p", Msgs=[bytes(65 * 1024 * 1024)])
    with pytest.raises(Refused, match="larger than max"):
        standby.channel.call("ReplicateMessage", request, 30)


def test_credentials_and_users(tmp_path: Path) -> None:
    with Milvus(tmp_path / "guarded", MilvusOptions(name="guarded", standby=True, authorization=True)) as server:
        for token in ("", "root:wrong", "nobody:Milvus"):
            channel = MilvusChannel(MilvusConnect(uri=server.uri, token=token))
            with pytest.raises(TaskStopped, match="credentials"):
                MilvusReplicate(channel).check(TIMEOUT)
            with pytest.raises(TaskStopped, match="credentials"):
                server_version(channel, TIMEOUT)
            channel.close()
        channel = MilvusChannel(MilvusConnect(uri=server.uri, username="root", password="Milvus"))
        MilvusReplicate(channel).check(TIMEOUT)
        assert MilvusCatalog(channel).databases() == {"default"}
        _users_and_roles(MilvusCatalog(channel))
        assert "2.3" in server_version(channel, TIMEOUT)
        channel.close()


def _users_and_roles(catalog: MilvusCatalog) -> None:
    """Made and dropped, each also twice: only a server that asks for credentials knows who grants."""
    user, role = fresh("user"), fresh("role")
    granted = milvus_pb2.GrantEntity(
        role=milvus_pb2.RoleEntity(name=role),
        object=milvus_pb2.ObjectEntity(name="Collection"),
        object_name="*",
        grantor=milvus_pb2.GrantorEntity(
            user=milvus_pb2.UserEntity(name="root"), privilege=milvus_pb2.PrivilegeEntity(name="Search")
        ),
    )
    password = base64.b64encode(b"password1").decode()
    made = [
        operation(OperationKind.CREATE_CREDENTIAL, username=user, password=password),
        operation(OperationKind.CREATE_ROLE, entity=milvus_pb2.RoleEntity(name=role)),
        operation(OperationKind.OPERATE_USER_ROLE, username=user, role_name=role, type=0),
        operation(OperationKind.OPERATE_PRIVILEGE, entity=granted, type=milvus_pb2.Grant),
    ]
    dropped = [
        operation(OperationKind.OPERATE_PRIVILEGE, entity=granted, type=milvus_pb2.Revoke),
        operation(OperationKind.OPERATE_USER_ROLE, username=user, role_name=role, type=1),
        operation(OperationKind.DROP_ROLE, role_name=role),
        operation(OperationKind.DELETE_CREDENTIAL, username=user),
    ]
    for wanted in (*made, *made, *dropped, *dropped):
        catalog.apply(wanted)


def test_a_target_that_restarts_is_unavailable_and_then_goes_on(tmp_path: Path) -> None:
    """Rows sent and not ticked before the kill are there after it, once, though sent again."""
    with Milvus(tmp_path / "restarted", MilvusOptions(name="restarted", standby=True, session_ttl=5)) as server:
        standby = RealStandby(server)
        try:
            _restart_with_rows_in_flight(server, standby)
        finally:
            standby.close()


def _restart_with_rows_in_flight(server: Milvus, standby: RealStandby) -> None:
    wanted = collection(fresh("restart"))
    standby.catalog.create_collection(wanted)
    described = standby.catalog.describe("default", wanted.name)
    assert described is not None
    times = Times(standby)
    standby.load(described)
    at = times.next()
    payload = rewrite.in_step(parsed(simple_insert([1, 2, 3], at).SerializeToString()), address(described))
    send = {"begin": at, "end": at, "tick": None, "timeout": TIMEOUT}
    pchannel = described.vchannels[0].pchannel
    standby.sink.send(pchannel, [payload], **send)

    server.kill()
    with pytest.raises(TargetUnavailable):
        standby.sink.send(pchannel, [payload], **send)
    server.start()
    _eventually(lambda: standby.sink.send(pchannel, [payload], **send))

    _eventually(lambda: _assert_three_rows(standby, times, described))
    time.sleep(1)
    _assert_three_rows(standby, times, described)
    standby.catalog.drop_collection("default", wanted.name, at)


def _assert_three_rows(standby: RealStandby, times: Times, described: TargetCollection) -> None:
    times.tick()
    assert standby.count(described) == 3


def _eventually(action: Callable[[], None], seconds: float = 120) -> None:
    give_up = time.monotonic() + seconds
    while True:
        try:
            action()
        except Exception:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.3)
        else:
            return
