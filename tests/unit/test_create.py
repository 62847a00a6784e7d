"""From the data of a `create` to a spec: what is right, in all its spellings. (What is wrong: test_api.py.)"""

from typing import Any

import pytest

from api.create import spec_of
from api.errors import RefusedError
from api.schemas import CreateSchema, load
from cdc_core.coordination.log_switch import LogSettings
from cdc_core.model.connect import SinkKind
from cdc_core.model.position import Position
from cdc_core.model.rate import RateLimits
from cdc_core.model.task import BufferConfig, CollectionSelector, DialConfig, MilvusConnect, OnUndecodable, TaskSpec
from cdc_core.settings import Settings

pytestmark = pytest.mark.unit

SETTINGS = Settings(source_mq="kafka://127.0.0.1:9092", source_channel_prefix="in")
TARGET = {"milvus_connect_param": {"uri": "http://target:19530"}}


def spec(**data: Any) -> TaskSpec:
    return spec_of(load(CreateSchema(), {**TARGET, **data}), SETTINGS)


def test_every_field_is_taken() -> None:
    at, op = Position("in-rootcoord-dml_0", b"\1" * 8), Position("in-replicate-msg", b"\2" * 8)
    dial = {"ca_pem_path": "/ca", "client_pem_path": "/c", "client_key_path": "/k", "server_name": "n"}
    made = spec(
        task_id="one",
        milvus_connect_param={
            "host": "target",
            "port": 19530,
            "username": "u",
            "password": "p",
            "enable_tls": True,
            "dial_config": dial,
            "connect_timeout": 3,
            "channel_num": 4,
            "ignore_partition": True,
        },
        collection_infos=[{"name": "a", "positions": {"in-rootcoord-dml_0_5v0": at.to_base64()}}, {"name": "*"}],
        rpc_channel_info={"name": "in-replicate-msg", "position": op.to_base64()},
        extra_info={"enable_user_role": False},
        buffer_config={"period": 1, "size": 2},
        name_mapping=[],
        disable_auto_start=True,
        on_undecodable="skip",
    )
    assert made == TaskSpec(
        task_id="one",
        target=MilvusConnect(
            "", "target", 19530, "u", "p", "", True, DialConfig("n", "", "/ca", "/c", "/k"), 3, 4, True
        ),
        selectors={
            "default": (CollectionSelector("a", {"in-rootcoord-dml_0_5v0": at}), CollectionSelector("*", {})),
        },
        op_position=op,
        buffer_config=BufferConfig(1, 2),
        disable_auto_start=True,
        on_undecodable=OnUndecodable.SKIP,
    )


def test_empty_parameters_of_the_other_kind_of_target_are_as_absent() -> None:
    empty = {"address": "", "topic": "", "enable_sasl": False, "sasl": {"username": ""}}
    assert spec(collection_infos=[{"name": "a"}], kafka_connect_param=empty, db_collections={}).by_database is False
    made = spec(db_collections={"*": [{"name": "a", "use_start_position": True}]}, collection_infos=[])
    assert made.by_database
    assert made.selectors == {"*": (CollectionSelector("a", {}, True),)}


def test_a_name_of_exactly_the_limit_is_taken_and_bytes_count() -> None:
    assert spec(collection_infos=[{"name": "a" * 256}]).selectors["default"][0].name == "a" * 256
    with pytest.raises(RefusedError, match="longer than 256 bytes"):
        spec(collection_infos=[{"name": "ä" * 129}])


def test_uri_and_host_may_both_be_there_when_they_agree() -> None:
    param = {"uri": "http://target:19530", "host": "TARGET", "port": 19530}
    assert spec(milvus_connect_param=param, collection_infos=[{"name": "a"}]).target.identity == "target:19530"


def test_when_data_messages_are_logged() -> None:
    sampling = LogSettings(count=2, minutes=1, since=100.0)
    assert sampling.wants_messages(now=101.0, logged=1)
    assert not sampling.wants_messages(now=101.0, logged=2)
    assert not sampling.wants_messages(now=161.0, logged=0)
    assert LogSettings(force=True).wants_messages(now=1e9, logged=10**6)


def test_a_file_of_milvus_lite_is_a_target_of_its_own_kind_only() -> None:
    made = spec(milvus_connect_param={"uri": "./films.db"}, extension={"sink": "sdk"}, collection_infos=[{"name": "a"}])
    assert isinstance(made.target, MilvusConnect)
    assert (made.target.sink, made.target.file, made.target.identity) == (SinkKind.SDK, "films.db", "films.db")


@pytest.mark.parametrize(
    ("connect", "extension", "complaint"),
    [
        ({"uri": "./films.db"}, {}, 'give "extension": {"sink": "sdk"}'),
        ({"uri": "./films.db", "token": "a:b"}, {"sink": "sdk"}, "no host, port, credentials or TLS"),
        ({"uri": "/films.db", "host": "h", "port": 1}, {"sink": "sdk"}, "no host, port, credentials or TLS"),
        ({"uri": "/films.db", "dial_config": {"server_pem_path": "/c"}}, {"sink": "sdk"}, "credentials or TLS"),
        ({"uri": "./films"}, {"sink": "sdk"}, "no address"),
        ({"uri": "ftp://films.db"}, {"sink": "sdk"}, "unknown scheme"),
        ({"uri": "http://target"}, {"sink": "other"}, "expected standby or sdk"),
    ],
)
def test_what_is_no_such_file(connect: dict[str, Any], extension: dict[str, str], complaint: str) -> None:
    with pytest.raises(RefusedError, match=complaint):
        spec(milvus_connect_param=connect, extension=extension, collection_infos=[{"name": "a"}])


def test_rate_limits_survive_the_record_of_a_task_and_older_ones_have_none() -> None:
    limited = spec(
        collection_infos=[{"name": "a"}], extension={"max_rows_per_second": 1_000, "max_bytes_per_second": 2_000_000}
    )
    assert limited.rate_limits == RateLimits(rows=1_000, bytes=2_000_000)
    record = limited.to_dict()
    assert TaskSpec.from_dict(record) == limited
    del record["rate_limits"]
    assert not TaskSpec.from_dict(record).rate_limits


def test_a_server_whose_name_ends_like_a_file_has_a_scheme_or_a_port() -> None:
    for uri in ("http://films.db", "films.db:19530"):
        made = spec(milvus_connect_param={"uri": uri}, collection_infos=[{"name": "a"}])
        assert made.target.identity == "films.db:19530"


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"collection_infos": [{"name": f"c{n}"} for n in range(10_001)]}, "collection_infos: 10,001 collections"),
        (
            {"db_collections": {f"d{n}": [{"name": f"c{m}"} for m in range(200)] for n in range(51)}},
            "db_collections: 10,200 collections, expected 10,000 at most; make several tasks",
        ),
        ({"db_collections": {"*": [{"name": f"c{n}"} for n in range(501)]}}, r"501 names with \*, expected 500"),
        ({"db_collections": {f"d{n}": [{"name": "*"}] for n in range(501)}}, r"501 names with \*, expected 500"),
        (
            {"collection_infos": [{"name": f"c{n}", "positions": dict.fromkeys("ab", "")} for n in range(5_001)]},
            "collection_infos: 10,002 positions, expected 10,000",
        ),
        (
            {
                "collection_infos": [{"name": "*"}],
                "name_mapping": [
                    {"source_db": "d", "target_db": "e", "collection_mapping": {str(n): "x" for n in range(10_000)}}
                ],
            },
            "name_mapping: 10,001 names, expected 10,000",
        ),
    ],
)
def test_a_request_names_so_many_and_no_more(data: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RefusedError, match=complaint):
        spec(**data)


def test_thousands_of_names_are_taken() -> None:
    made = spec(collection_infos=[{"name": f"c{number}"} for number in range(10_000)])
    assert len(made.selectors["default"]) == 10_000


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("u:secretpw@h:1", "address: credentials do not belong into it; use enable_sasl"),
        ("h:1,u:secretpw@h:1", "address: credentials do not belong into it"),
        (",", "expected host:port"),
        ("h:1,", "expected host:port"),
        ("h:1\0", "expected host:port"),
        ("h\n:1", "expected host:port"),
        ("h g:1", "expected host:port"),
        ("h:99999", "expected host:port"),
        ("h:0", "expected host:port"),
        ("h:", "expected host:port"),
        (":1", "expected host:port"),
        ("h:secretpw", "expected host:port"),
        ("SASL_SSL://h:1", "expected host:port"),
        ("h:1/path", "expected host:port"),
        ("h:1?secretpw", "expected host:port"),
    ],
)
def test_an_address_of_kafka_that_is_none(address: str, complaint: str) -> None:
    kafka = {"milvus_connect_param": {}, "kafka_connect_param": {"address": address, "topic": "t"}}
    with pytest.raises(RefusedError, match=f"kafka_connect_param.*{complaint}") as caught:
        spec(**kafka, collection_infos=[{"name": "a"}])
    assert "secretpw" not in str(caught.value)


def test_a_kafka_is_one_in_all_spellings_of_its_address() -> None:
    def identity(address: str) -> str:
        kafka = {"milvus_connect_param": {}, "kafka_connect_param": {"address": address, "topic": "t"}}
        return spec(**kafka, collection_infos=[{"name": "a"}]).target.identity

    assert identity("h, [::1]:1") == identity("[::1]:1,H:9092,h") == "[::1]:1,h:9092/t"


def test_a_password_in_the_place_of_a_port_is_not_repeated() -> None:
    with pytest.raises(RefusedError, match=r"milvus_connect_param\.uri: no address") as caught:
        spec(milvus_connect_param={"uri": "http://root:secretpw"}, collection_infos=[{"name": "a"}])
    assert "secretpw" not in str(caught.value)


@pytest.mark.parametrize("name", ["server_pem_path", "server_name"])
def test_a_path_that_cannot_be_printed_is_none(name: str) -> None:
    for text in ("/ca\0.pem", "/ca\n.pem"):
        with pytest.raises(RefusedError, match=f"dial_config.{name}: .* cannot be printed"):
            spec(milvus_connect_param={"uri": "h:1", "dial_config": {name: text}}, collection_infos=[{"name": "a"}])


def test_a_file_of_milvus_lite_whose_name_cannot_be_printed_is_none() -> None:
    with pytest.raises(RefusedError, match="uri: the name of the file"):
        spec(
            milvus_connect_param={"uri": "/films\0.db"},
            extension={"sink": "sdk"},
            collection_infos=[{"name": "a"}],
        )
