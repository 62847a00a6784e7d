"""The task's values: they come back from JSON as they were, and a target has one identity however it is spelt."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.coordination.secrets import Secrets
from cdc_core.model.position import Position
from cdc_core.model.task import (
    Beginning,
    BufferConfig,
    CollectionSelector,
    Desired,
    DialConfig,
    KafkaConnect,
    KafkaSasl,
    MilvusConnect,
    NameMapping,
    OnUndecodable,
    Task,
    TaskSpec,
    TaskState,
)
from cdc_core.model.timestamp import Tso

pytestmark = pytest.mark.unit

texts = st.text(max_size=8)
positions = st.builds(Position, texts, st.binary(min_size=1, max_size=9), st.integers(0, 2**63 - 1).map(Tso), texts)
milvus = st.builds(
    MilvusConnect, uri=texts, username=texts, password=texts, token=texts, dial_config=st.builds(DialConfig, texts)
)
kafka = st.builds(KafkaConnect, texts, texts, st.booleans(), st.builds(KafkaSasl, texts, texts))
selectors = st.builds(CollectionSelector, texts, st.dictionaries(texts, positions, max_size=2), st.booleans())
specs = st.builds(
    TaskSpec,
    task_id=texts,
    target=milvus | kafka,
    selectors=st.dictionaries(texts, st.lists(selectors, max_size=2).map(tuple), max_size=2),
    by_database=st.booleans(),
    excluded=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
    op_position=st.none() | positions,
    name_mapping=st.lists(
        st.builds(NameMapping, texts, texts, st.dictionaries(texts, texts, max_size=2)), max_size=2
    ).map(tuple),
    enable_user_role=st.booleans(),
    buffer_config=st.builds(BufferConfig, st.integers(0, 9), st.integers(0, 9)),
    disable_auto_start=st.booleans(),
    on_undecodable=st.sampled_from(OnUndecodable),
)
beginnings = st.builds(
    Beginning, st.dictionaries(texts, positions, max_size=2), st.frozensets(st.integers(0, 2**63 - 1), max_size=3)
)
tasks = st.builds(
    Task, specs, beginnings, st.sampled_from(Desired), st.sampled_from(TaskState), texts, st.floats(0, 2e9)
)


@given(tasks)
def test_a_task_comes_back_from_json_as_it_was(task: Task) -> None:
    assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task


@given(specs)
def test_a_spec_that_was_stored_before_there_were_dead_letters_stops_at_them(spec: TaskSpec) -> None:
    stored = spec.to_dict()
    del stored["on_undecodable"]
    assert TaskSpec.from_dict(stored) == replace(spec, on_undecodable=OnUndecodable.STOP)


@given(specs)
def test_sealed_secrets_come_back_and_nothing_else_is_changed(spec: TaskSpec) -> None:
    secrets = Secrets("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    stored = spec.to_dict()
    assert TaskSpec.from_dict(secrets.unseal(json.loads(json.dumps(secrets.seal(stored))))) == spec
    assert stored == spec.to_dict()


@pytest.mark.parametrize(
    ("connect", "address", "tls"),
    [
        (MilvusConnect(uri="http://Target:19530"), "target:19530", False),
        (MilvusConnect(uri="target:19530"), "target:19530", False),
        (MilvusConnect(uri="http://target/"), "target:19530", False),
        (MilvusConnect(uri="HTTPS://target"), "target:443", True),
        (MilvusConnect(uri="tcp://target:1"), "target:1", False),
        (MilvusConnect(host="TARGET", port=19530), "target:19530", False),
        (MilvusConnect(host="::1", port=19530), "[::1]:19530", False),
        (MilvusConnect(uri="http://[::1]:19530"), "[::1]:19530", False),
        (MilvusConnect(uri="target:1", enable_tls=True), "target:1", True),
        (MilvusConnect(uri="target:1", dial_config=DialConfig(server_pem_path="x")), "target:1", True),
    ],
)
def test_the_address_of_a_target(connect: MilvusConnect, address: str, tls: bool) -> None:
    assert (connect.address, connect.identity, connect.tls) == (address, address, tls)


@pytest.mark.parametrize(
    "uri", ["", " ", "ftp://h", "http://", "http://h:0", "http://h:99999", "h:x", "http://h/db", "http://h?a", "a b:1"]
)
def test_what_is_no_address(uri: str) -> None:
    with pytest.raises(ValueError, match=r"expected http://host:port|unknown scheme"):
        MilvusConnect(uri=uri or "http://", host="").endpoint  # noqa: B018  the property raises


def test_credentials_in_a_uri_are_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="credentials") as caught:
        MilvusConnect(uri="http://root:hunter2@h:1").endpoint  # noqa: B018  the property raises
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("connect", "token"),
    [
        (MilvusConnect(), ""),
        (MilvusConnect(username="u", password="p"), "u:p"),
        (MilvusConnect(username="u", password="p", token="t"), "t"),
    ],
)
def test_the_token_wins(connect: MilvusConnect, token: str) -> None:
    assert connect.auth_token == token


def test_secrets_are_not_in_the_repr() -> None:
    sasl = KafkaSasl("hunter1", "hunter2")
    connects = (
        MilvusConnect(username="hunter1", password="hunter2", token="hunter3"),
        KafkaConnect("a", "t", True, sasl),
    )
    assert "hunter" not in repr(connects)


def test_one_kafka_has_one_identity_however_its_brokers_are_ordered() -> None:
    assert KafkaConnect("B:1, a:1", "t").identity == KafkaConnect("a:1,b:1", "t").identity
    assert KafkaConnect("a:1", "t").identity != KafkaConnect("a:1", "u").identity
    assert KafkaConnect("U:pw@a:1,", "t").identity == "u:pw@a:1/t", "an older task's has been as it is"
