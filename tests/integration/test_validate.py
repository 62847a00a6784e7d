"""`create` with `validate_only`, and what a create is refused for; source and target in memory, Redis real."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from api.targets import LiveTargets
from cdc_core.coordination.client import connect
from cdc_core.coordination.workers import Workers
from cdc_core.errors import TaskStopped
from cdc_core.model.position import Position
from cdc_core.names import Keys
from cdc_core.source.sequence import to_message_id
from deploy.local import Redis
from tests.api_twin import Api, make_api
from tests.certificates import Authority
from tests.messages import KEY, collection

pytestmark = pytest.mark.integration

DATABASE = 10
PCHANNEL = "by-dev-rootcoord-dml_0"


@pytest.fixture
def state(redis_server: Redis) -> Iterator[redis.Redis]:
    with connect(redis_server.url(DATABASE)) as client:
        client.flushdb()
        yield client


@pytest.fixture
def api(redis_server: Redis, state: redis.Redis) -> Api:  # noqa: ARG001  an empty state
    """Of a source with the collection `a` and ten messages, and an empty standby."""
    api = make_api(redis_server.url(DATABASE))
    api.source.catalog.put_collection(collection("a"))
    for number in range(10):
        api.source.messages.append(PCHANNEL, b"%d" % number)
    return api


def validate(api: Api, *names: str, **more: Any) -> dict[str, dict[str, str]]:
    """The checks by their names."""
    answer = api.create(*names, validate_only=True, **more)
    assert answer["code"] == 200
    assert set(answer["data"]) == {"checks", "ok"}
    checks = answer["data"]["checks"]
    assert all(set(each) == {"name", "status", "message", "advice"} for each in checks)
    assert answer["data"]["ok"] is all(each["status"] != "fail" for each in checks)
    return {each["name"]: each for each in checks}


def statuses(checks: dict[str, dict[str, str]]) -> dict[str, str]:
    """Of those that did not pass."""
    return {name: each["status"] for name, each in checks.items() if each["status"] != "pass"}


def test_a_look_ahead_says_that_all_is_well_and_makes_nothing(api: Api, state: redis.Redis) -> None:
    Workers(state, Keys()).beat("w", 100, stopping=False, about={})
    before = state.keys("*")
    assert statuses(validate(api, "a")) == {}
    assert set(state.keys("*")) - {"cdc:origin"} == set(before)
    assert (api.source.asked, api.office.tickets) == (0, [])


def test_free_slots_are_those_that_no_running_task_has(api: Api, state: redis.Redis) -> None:
    assert "no worker is alive" in validate(api, "a")["workers"]["message"]
    Workers(state, Keys()).beat("w", 2, stopping=False, about={})
    Workers(state, Keys()).beat("ending", 2, stopping=True, about={})
    api.create("b", task_id="other")
    state.sadd(Keys().channels("other"), "by-dev-rootcoord-dml_0_9v0", "by-dev-rootcoord-dml_1_9v1")
    assert "0 of 2 slots of 1 workers are free: 1 vchannels will wait" in validate(api, "a")["workers"]["message"]
    api.ask("pause", task_id="other")
    assert statuses(validate(api, "a")) == {}


def test_what_the_request_says_wrong_is_refused_as_by_a_create(api: Api) -> None:
    api.create("a", task_id="one")
    assert "default.a is replicated by the task one already" in api.refused(api.create("a", validate_only=True))
    assert "task_id: '/' is none" in api.refused(api.create("b", validate_only=True, task_id="/"))
    assert "validate_only: not a valid boolean" in api.refused(api.create("b", validate_only="true"))
    assert "names" in validate(api, "a", task_id="one")


def test_a_target_that_is_no_standby_refuses_a_create(api: Api, state: redis.Redis) -> None:
    api.target.standby = False
    assert statuses(validate(api, "a")) == {"standby": "fail", "workers": "warn"}
    message = api.refused(api.create("a"))
    assert message == (
        "fail to handle the create request, error: standby: the target is no standby: it refuses replicated messages; "
        "set common.ttMsgEnabled to false in the target's milvus.yaml and restart it, or have it written as by any "
        'client, by primary key: "extension": {"sink": "sdk"}'
    )
    assert set(state.keys("*")) <= {"cdc:origin"}
    assert (api.source.asked, api.office.tickets) == (0, [])
    api.target.standby = True
    assert api.create("a")["code"] == 200


def test_a_target_that_cannot_be_dialled_refuses_a_create(api: Api) -> None:
    api.target.error = TaskStopped("the target's TLS file /no cannot be read on this host")
    assert statuses(validate(api, "a"))["target"] == "fail"
    assert "target: the target's TLS file /no" in api.refused(api.create("a"))


def test_a_collection_that_differs_refuses_the_task_that_names_it_and_no_other(api: Api) -> None:
    api.target.create_collection(collection("a", (KEY,)))
    for names in (("a",), ("*",)):
        check = validate(api, *names)["schemas"]
        assert (check["status"], "default.a differs: field 'v' is missing" in check["message"]) == ("fail", True)
    assert "schemas: default.a differs" in api.refused(api.create("a"))
    assert api.create("*")["code"] == 200


def test_a_position_that_the_queue_no_longer_holds_refuses_a_create(api: Api) -> None:
    (known,) = api.source.catalog.current().collections.values()
    (channel,) = known.vchannels
    api.source.messages.trim(PCHANNEL, to_message_id(5))
    for number, code in ((4, 400), (5, 200)):
        positions = {channel.name: Position(PCHANNEL, to_message_id(number)).to_base64()}
        answer = api.create(collection_infos=[{"name": "a", "positions": positions}])
        assert answer["code"] == code
        if code == 400:
            assert f"positions: the queue does not hold the position of {channel.name} (4," in answer["message"]


def test_a_queue_of_another_cluster_refuses_a_create(api: Api) -> None:
    api.source.messages.drop(PCHANNEL)
    api.source.messages.append("other-rootcoord-dml_0", b"")
    assert statuses(validate(api, "a"))["source_cluster"] == "fail"
    assert "CDC_SOURCE_ETCD_ROOT" in api.refused(api.create("a"))


def test_a_source_whose_etcd_is_away(api: Api) -> None:
    """What needs no names is still looked at."""
    api.source.catalog.set_available(False)
    unknown = dict.fromkeys(("source_cluster", "names", "schemas", "workers"), "warn")
    assert statuses(validate(api, "a")) == {"source_etcd": "fail", **unknown}
    assert api.create("a")["code"] == 500


def test_a_source_that_is_away_is_seen_by_a_look_and_fails_a_create(api: Api, state: redis.Redis) -> None:
    api.source.messages.set_available(False)
    expected = {"source_queue": "fail", "source_cluster": "warn", "positions": "warn", "workers": "warn"}
    assert statuses(validate(api, "a")) == expected
    answer = api.create("a")
    assert (answer["code"], answer["message"].count("told to be unavailable")) == (500, 1)
    assert set(state.keys("*")) <= {"cdc:origin"}


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of somebody who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_targets_that_cannot_be_reached_are_waited_for_by_the_task(
    redis_server: Redis, state: redis.Redis, silent: str
) -> None:
    """Dialled for real: nobody there, somebody who does not answer."""
    api = make_api(redis_server.url(DATABASE), open_target=LiveTargets().open)
    for address in ("127.0.0.1:1", silent):
        check = validate(api, "a", milvus_connect_param={"uri": address})["target"]
        assert (check["status"], f"at {address}: " in check["message"]) == ("fail", True), check
        assert api.create("a", task_id=f"at-{address}", milvus_connect_param={"uri": address})["code"] == 200
    assert len(state.smembers("cdc:tasks")) == 2


def test_a_tls_file_is_read_again_when_it_was_mended(redis_server: Redis, state: redis.Redis, tmp_path: Path) -> None:  # noqa: ARG001  an empty state
    api = make_api(redis_server.url(DATABASE), open_target=LiveTargets().open)
    file = tmp_path / "server.pem"
    param = {"uri": "127.0.0.1:1", "dial_config": {"server_pem_path": str(file)}}
    assert f"target: dial_config.server_pem_path: the target's TLS file {file} cannot be read" in api.refused(
        api.create("a", milvus_connect_param=param)
    )
    file.write_bytes(Authority(tmp_path).pem.read_bytes())
    check = validate(api, "a", milvus_connect_param=param)["target"]
    assert "127.0.0.1:1: failed to connect" in check["message"]
