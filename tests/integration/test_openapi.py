"""`POST /cdc` against anything: bodies of the shape that `GET /openapi.json` tells, almost of it, and of none.

FUZZ_EXAMPLES (100) sets how many bodies each test tries; a failure prints the body that shows it, as small as it gets.
`--hypothesis-show-statistics` tells what was answered.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import schemathesis
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema

from api.openapi import document
from api.schemas import CreateSchema, TaskSchema
from cdc_core.coordination.client import connect
from deploy.local import Redis
from tests.api_twin import Api, make_api
from tests.messages import collection

pytestmark = pytest.mark.integration

DATABASE = 11
KINDS = ["create", "delete", "pause", "resume", "get", "position", "list", "maintenance"]
TASK = "one"

fuzzed = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module")
def state(redis_server: Redis) -> Iterator[redis.Redis]:
    with connect(redis_server.url(DATABASE)) as client:
        yield client


@pytest.fixture(scope="module")
def api(redis_server: Redis) -> Api:
    """Of a source with a collection, and a standby that has another one of that name."""
    api = make_api(redis_server.url(DATABASE), max_tasks=3)
    api.source.catalog.put_collection(collection("a"))
    api.source.messages.append("by-dev-rootcoord-dml_0", b"")
    api.target.create_collection(collection("a", shards=2))
    return api


@pytest.fixture(scope="module")
def described(api: Api) -> BaseSchema:
    return schemathesis.openapi.from_dict(api.client.get("/openapi.json").json)


def bodies(described: BaseSchema, mode: GenerationMode) -> st.SearchStrategy[Any]:
    return described["/cdc"]["POST"].as_strategy(generation_mode=mode).map(lambda case: case.body)


def content(state: redis.Redis) -> dict[str, bytes | None]:
    """All that Redis holds."""
    return {key: state.execute_command("DUMP", key, NEVER_DECODE=True) for key in sorted(state.keys("*"))}


def answers_in_words(api: Api, state: redis.Redis, body: Any) -> int:
    """Given a task, then whatever is sent is answered, and what is refused changes nothing; the answer's code."""
    if found := [key for key in state.keys("*") if key != "cdc:origin"]:  # without it the state is lost
        state.delete(*found)
    api.create("b", task_id=TASK)
    api.office.tickets.clear()
    before = content(state)
    answer = api.post(body if isinstance(body, bytes) else json.dumps(body))
    code: int = answer["code"]
    kind = body.get("request_type") if isinstance(body, dict) else None
    event(f"{kind if isinstance(kind, str) and kind in KINDS else 'no request'}: {code}")
    assert code in (200, 400), answer
    assert set(answer) == ({"code", "data"} if code == 200 else {"code", "message"})
    if code == 400:
        assert answer["message"]
        assert content(state) == before
        assert api.office.tickets == []
    return code


def sensible(body: Any, data: st.DataObject) -> Any:
    """Mostly with a task that exists, a target and names: what is behind those would hardly be reached."""
    wanted = body.get("request_data") if isinstance(body, dict) else None
    if not isinstance(wanted, dict) or not data.draw(st.integers(0, 3)):
        return body
    if body.get("request_type") == "create":
        names = data.draw(st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=2))
        more = {"milvus_connect_param": {"uri": "target:1"}, "collection_infos": [{"name": name} for name in names]}
        kept = {key: wanted[key] for key in ("on_undecodable", "disable_auto_start", "validate_only") if key in wanted}
        return {**body, "request_data": {**kept, **more}}
    return {**body, "request_data": {**wanted, "task_id": TASK}} if "task_id" in wanted else body


@fuzzed
@given(data=st.data())
def test_bodies_of_the_documented_shape(
    api: Api, state: redis.Redis, described: BaseSchema, data: st.DataObject
) -> None:
    answers_in_words(api, state, sensible(data.draw(bodies(described, GenerationMode.POSITIVE)), data))


@fuzzed
@given(data=st.data())
def test_bodies_of_almost_that_shape(api: Api, state: redis.Redis, described: BaseSchema, data: st.DataObject) -> None:
    answers_in_words(api, state, sensible(data.draw(bodies(described, GenerationMode.NEGATIVE)), data))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
requests = st.fixed_dictionaries({"request_type": st.sampled_from(KINDS) | json_values, "request_data": json_values})


@fuzzed
@given(body=requests | json_values | st.binary(max_size=50))
def test_bodies_of_any_shape(api: Api, state: redis.Redis, body: Any) -> None:
    answers_in_words(api, state, body)


def test_the_document_names_every_request_and_every_field(api: Api) -> None:
    told = api.client.get("/openapi.json").json
    schemas = told["components"]["schemas"]
    assert told["openapi"] == "3.1.0"
    assert [schemas[f"{kind.capitalize()}Request"]["properties"]["request_type"]["enum"] for kind in KINDS] == [
        [kind] for kind in KINDS
    ]
    assert set(schemas["Create"]["properties"]) == set(CreateSchema().fields)
    assert not any(each["additionalProperties"] for each in (schemas["Create"], schemas["MilvusConnect"]))


def test_requests_of_one_shape_share_it() -> None:
    schemas = document({"get": TaskSchema(), "pause": TaskSchema()})["components"]["schemas"]
    assert set(schemas) == {"Answer", "Task", "GetRequest", "PauseRequest"}
