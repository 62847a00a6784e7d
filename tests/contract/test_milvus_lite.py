"""A Milvus Lite in a file, served by the process that writes to it."""

from pathlib import Path

import pytest
import redis

from cdc_core.codec.protobuf import milvus_pb2
from cdc_core.errors import Refused, TargetUnavailable, TaskStopped
from cdc_core.model.connect import MilvusConnect, SinkKind
from cdc_core.model.timestamp import Tso
from cdc_core.names import Keys
from cdc_core.pipeline.transport import Transport
from cdc_core.sink import milvus_lite
from cdc_core.sink.base import TargetCatalog
from cdc_core.sink.milvus_catalog import MilvusCatalog
from cdc_core.sink.milvus_lite import LiteChannel
from cdc_core.sink.milvus_manner import ByKey
from tests.contract.targets import TIMEOUT, fresh
from tests.messages import collection
from workers.targets import open_target

pytestmark = pytest.mark.contract


@pytest.fixture
def connect(tmp_path: Path) -> MilvusConnect:
    return MilvusConnect(uri=f"{tmp_path}/films.db", sink=SinkKind.SDK)


def opened(connect: MilvusConnect) -> tuple[Transport, TargetCatalog]:
    """As a worker does it; the state is for targets of another kind."""
    return open_target(redis.Redis(), Keys(), connect)


def test_it_is_served_with_the_first_call_and_kept_when_closed(connect: MilvusConnect) -> None:
    wanted = collection(fresh("kept"))
    transport, catalog = opened(connect)
    assert not Path(connect.file).exists()
    transport.check(TIMEOUT)
    catalog.create_collection(wanted)
    transport.close()
    catalog.close()
    with pytest.raises(TargetUnavailable, match="closed"):
        transport.check(TIMEOUT)
    _, catalog = opened(connect)
    assert catalog.describe("default", wanted.name) is not None
    catalog.close()


def test_a_file_that_another_process_has_says_so_until_it_is_free(connect: MilvusConnect) -> None:
    """A lock, which the operating system takes from a process that was killed."""
    first, second = LiteChannel(connect), LiteChannel(connect)
    first.wait_ready()
    for _ in range(2):
        with pytest.raises(TargetUnavailable, match="only one worker process"):
            second.wait_ready()
    first.close()
    second.wait_ready()
    second.close()


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / "taken.db").write_text("no directory")
    channel = LiteChannel(MilvusConnect(uri=f"{tmp_path}/taken.db", sink=SinkKind.SDK))
    with pytest.raises(TargetUnavailable, match=r"taken\.db cannot be opened"):
        channel.call("GetVersion", milvus_pb2.GetVersionRequest())
    channel.close()


def test_without_the_package_the_task_says_what_to_install(
    connect: MilvusConnect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_lite, "_PACKAGE", "no_such_package")
    with pytest.raises(TaskStopped, match="pip install milvus-lite"):
        opened(connect)


def test_what_it_does_not_know_is_refused_for_good(connect: MilvusConnect) -> None:
    catalog = MilvusCatalog(LiteChannel(connect), ByKey())
    wanted = collection(fresh("nowhere"), database="no_such_database")
    with pytest.raises(Refused, match="does not exist"):
        catalog.create_collection(wanted)
    assert catalog.describe(wanted.database, wanted.name) is None
    catalog.drop_collection(wanted.database, wanted.name, Tso(1))
    catalog.close()
