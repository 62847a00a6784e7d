"""The messages of a Kafka target, byte for byte where it matters."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.codec.operation import OperationKind
from cdc_core.codec.protobuf import schema_pb2
from cdc_core.errors import Refused, TargetUnavailable, TaskStopped
from cdc_core.model.address import WHOLE_COLLECTION, Address, Row
from cdc_core.model.connect import VectorFormat
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.sink import kafka_errors
from cdc_core.sink.json_text import plain, text_of
from cdc_core.sink.kafka_form import KafkaForm
from cdc_core.sink.kafka_record import KafkaRecord
from cdc_core.sink.kafka_reference_form import ReferenceForm
from cdc_core.sink.kafka_rows_form import RowsForm
from cdc_core.sink.object_change import ObjectChange
from cdc_core.sink.row_change import changes
from tests.contract.targets import operation
from tests.messages import DataType, collection, delete, insert, parsed, schema_field

pytestmark = pytest.mark.unit

T = Tso.of(1_700_000_000_000, 5)
VCHANNEL = "by-dev-rootcoord-dml_0_440v0"
ARRAY = DataType.Array
FIELDS = (
    schema_field(100, "id", DataType.Int64, is_primary_key=True),
    schema_field(101, "flag", DataType.Bool),
    schema_field(102, "tiny", DataType.Int8),
    schema_field(103, "long", DataType.Int64),
    schema_field(104, "real", DataType.Float),
    schema_field(105, "double", DataType.Double),
    schema_field(106, "text", DataType.VarChar, max_length=100),
    schema_field(107, "json", DataType.JSON),
    schema_field(108, "flags", ARRAY, element_type=DataType.Bool, max_capacity=8),
    schema_field(109, "longs", ARRAY, element_type=DataType.Int64, max_capacity=8),
    schema_field(110, "doubles", ARRAY, element_type=DataType.Double, max_capacity=8),
    schema_field(111, "texts", ARRAY, element_type=DataType.VarChar, max_capacity=8, max_length=9),
    schema_field(112, "v", DataType.FloatVector, dim=2),
    schema_field(113, "bits", DataType.BinaryVector, dim=16),
    schema_field(114, "$meta", DataType.JSON, is_dynamic=True),
)
VALUES: dict[str, Any] = {
    "id": [2**63 - 1],
    "flag": [True],
    "tiny": [-128],
    "long": [-(2**63)],
    "real": [0.5],
    "double": [1e300],
    "text": ['ünï "☃"\n'],
    "json": [b'{"a": [1, null, 9007199254740993], "b": 0.1}'],
    "flags": [[True, False]],
    "longs": [[2**62, -1]],
    "doubles": [[]],
    "texts": [["a", ""]],
    "v": [[0.5, -0.25]],
    "bits": [b"\x01\xff"],
    "$meta": [b'{"year":1927}'],
}
ROW = (
    '{"id":9223372036854775807,"flag":true,"tiny":-128,"long":-9223372036854775808,"real":0.5,"double":1e+300,'
    '"text":"ünï \\"☃\\"\\n","json":{"a":[1,null,9007199254740993],"b":0.1},"flags":[true,false],'
    '"longs":[4611686018427387904,-1],"doubles":[],"texts":["a",""],"v":%s,"bits":%s,"$meta":{"year":1927}}'
)
POSITION = "ChxieS1kZXYtcm9vdGNvb3JkLWRtbF8wXzQ0MHYwEggqAAAAAAAAACCFgICA2vLPlwY="


def told(form: KafkaForm, *requests: Any) -> list[KafkaRecord]:
    rows = []
    for request in requests:
        message = parsed(request.SerializeToString(), order=42)
        whole = message.partition_id == WHOLE_COLLECTION
        partition = (WHOLE_COLLECTION, "") if whole else (message.partition_id, message.partition_name)
        rows.append(Row(message, Address(7, message.vchannel, "films", "shop", *partition)))
    return [record for change in changes(rows, lambda _: "id") for record in form.of_row(change)]


def every_type(values: dict[str, Sequence[Any]] = VALUES) -> Any:
    return insert(values, T, fields=FIELDS, vchannel=VCHANNEL)


@pytest.mark.parametrize(
    ("vectors", "floats", "bits"),
    [
        (VectorFormat.ARRAY, "[0.5,-0.25]", "[1,255]"),
        (VectorFormat.BASE64, '"AAAAPwAAgL4="', '"Af8="'),
    ],
)
def test_a_row_of_every_type(vectors: VectorFormat, floats: str, bits: str) -> None:
    (record,) = told(RowsForm(vectors), every_type())
    row = ROW % (floats, bits)
    assert record.key == "shop.films/9223372036854775807"
    assert record.place == "7/9223372036854775807"
    assert record.value.decode() == (
        '{"op":"insert","database":"shop","collection":"films","collection_id":"7","partition":"_default",'
        f'"key":9223372036854775807,"row":{row},"timestamp":"{int(T)}","time":1700000000000,'
        f'"position":"{POSITION}","vchannel":"{VCHANNEL}"}}'
    )
    assert Position.from_base64(POSITION) == Position(VCHANNEL, (42).to_bytes(8, "little"), T)
    assert struct.unpack("<2f", base64.b64decode("AAAAPwAAgL4=")) == (0.5, -0.25)


def test_a_delete_names_its_key_and_no_row() -> None:
    everywhere, here = told(
        RowsForm(VectorFormat.ARRAY),
        delete(["a/b"], T, vchannel=VCHANNEL),
        delete([1], T, vchannel=VCHANNEL, partition=(9, "p1"), old=True),
    )
    assert everywhere.key == "shop.films/a/b"
    first, second = json.loads(everywhere.value), json.loads(here.value)
    assert (first["op"], first["key"], first["partition"]) == ("delete", "a/b", None)
    assert (second["op"], second["key"], second["partition"]) == ("delete", 1, "p1")
    assert "row" not in first


def test_what_json_has_no_number_for() -> None:
    values = VALUES | {"real": [math.nan], "double": [-math.inf], "v": [[math.inf, 1.0]], "json": [b'{"a": 1e400}']}
    (record,) = told(RowsForm(VectorFormat.ARRAY), every_type(values))
    row = json.loads(record.value, parse_constant=_refuse)["row"]
    assert (row["real"], row["double"], row["v"], row["json"]) == (
        "NaN",
        "-Infinity",
        ["Infinity", 1.0],
        {"a": "Infinity"},
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"", None),
        (b"no json", "no json"),
        (b"\xff", "\\xff"),
        (b'"\\ud800"', "\ud800"),
        (b"[" * 100_000, "[" * 100_000),
        (b"1" + b"0" * 5_000, "1" + "0" * 5_000),
    ],
)
def test_a_json_field_that_is_hard_to_read(given: bytes, expected: object) -> None:
    text = text_of(plain(given, DataType.JSON, VectorFormat.ARRAY))
    assert json.loads(text, parse_constant=_refuse) == expected


@pytest.mark.parametrize(
    ("data_type", "given", "expected"),
    [
        (DataType.Float16Vector, struct.pack("<2e", 0.5, -2.0), [0.5, -2.0]),
        (DataType.BFloat16Vector, b"\x00\x3f\x00\xc0", [0.5, -2.0]),
        (DataType.SparseFloatVector, struct.pack("<IfIf", 3, 0.5, 2**32 - 1, 1.0), {"3": 0.5, "4294967295": 1.0}),
        (schema_pb2.DataType.Int8Vector, b"\x01\xff", [1, -1]),
    ],
)
def test_vectors_of_newer_servers(data_type: int, given: bytes, expected: object) -> None:
    assert json.loads(text_of(plain(given, data_type, VectorFormat.ARRAY))) == expected
    assert plain(given, data_type, VectorFormat.BASE64) == base64.b64encode(given).decode()
    assert plain(None, data_type, VectorFormat.ARRAY) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


@given(json_values)
def test_whatever_it_is_it_is_json(value: object) -> None:
    json.loads(text_of(value).decode(), parse_constant=_refuse)


def test_a_row_that_lacks_a_value() -> None:
    request = every_type({name: values * 2 for name, values in VALUES.items()})
    text, long = (next(c for c in request.fields_data if c.field_name == name) for name in ("text", "long"))
    text.valid_data.extend([True, False])
    long.valid_data.extend([False, True])
    del long.scalars.long_data.data[0]
    rows = [json.loads(record.value)["row"] for record in told(RowsForm(VectorFormat.ARRAY), request)]
    assert [row["text"] for row in rows] == ['ünï "☃"\n', None]
    assert [row["long"] for row in rows] == [None, -(2**63)]


# The reference's envelope


def test_the_envelope_of_a_row() -> None:
    (record,) = told(ReferenceForm(VectorFormat.ARRAY), every_type())
    envelope = json.loads(record.value)
    assert envelope.keys() == {"data", "info"}
    assert envelope["info"] == "insert data"
    data = json.loads(envelope["data"])
    assert {each["msg"] for each in data} == {"insert entity in collection films"}
    assert [(each["name"], each["type"], each["value"]) for each in data] == [
        ("id", "int64", 2**63 - 1),
        ("flag", "bool", True),
        ("tiny", "int8", -128),
        ("long", "int64", -(2**63)),
        ("real", "float32", 0.5),
        ("double", "float64", 1e300),
        ("text", "string", 'ünï "☃"\n'),
        ("json", "JSON", base64.b64encode(VALUES["json"][0]).decode()),
        ("flags", "Array", [True, False]),
        ("longs", "Array", [2**62, -1]),
        ("doubles", "Array", []),
        ("texts", "Array", ["a", ""]),
        ("v", "[]float32", [0.5, -0.25]),
        ("bits", "[]byte", "Af8="),
        ("$meta", "JSON", base64.b64encode(VALUES["$meta"][0]).decode()),
    ]
    assert dict(record.headers) == {
        "database": b"shop",
        "collection": b"films",
        "partition": b"_default",
        "timestamp": str(int(T)).encode(),
        "position": POSITION.encode(),
        "vchannel": VCHANNEL.encode(),
    }


def test_the_envelope_of_a_delete_and_of_an_upsert() -> None:
    form, p1 = ReferenceForm(VectorFormat.ARRAY), (9, "p1")
    gone = delete(["a"], T, vchannel=VCHANNEL)
    upsert = [every_type(), delete([2**63 - 1], T, vchannel=VCHANNEL, partition=(441, "_default"))]
    (record,) = told(form, gone)
    told_key = {"name": "id", "type": "string", "value": "a", "msg": "delete entity in collection films"}
    assert json.loads(record.value)["info"] == "delete data"
    assert json.loads(json.loads(record.value)["data"]) == told_key
    assert [json.loads(each.value)["info"] for each in told(form, *upsert)] == ["delete data", "insert data"]
    assert json.loads(told(form, delete([1], T, vchannel=VCHANNEL, partition=p1))[0].value)["info"] == "delete data"


def test_the_envelopes_of_objects() -> None:
    form, made = ReferenceForm(VectorFormat.ARRAY), collection("films", FIELDS)
    about: dict[str, Any] = {"database": "shop", "collection": "films", "collection_id": 7}
    index = operation(OperationKind.CREATE_INDEX, "shop", "films", field_name="v", index_name="of_v")
    user = operation(OperationKind.UPDATE_CREDENTIAL, username="ada", newPassword="s", oldPassword="t")
    revoke = operation(OperationKind.OPERATE_PRIVILEGE, type=2)
    expected = [
        (ObjectChange("create_collection", **about, at=T, made=made), "create collection"),
        (ObjectChange("drop_partition", **about, at=T, details={"partition": "p1"}), "drop partition"),
        (ObjectChange("create_database", "shop"), "create database"),
        (ObjectChange("create_index", **about, operation=index), "create index"),
        (ObjectChange("update_credential", "", operation=user), "update user"),
        (ObjectChange("operate_privilege", "", operation=revoke), "revoke privilege"),
    ]
    found = [record for change, _ in expected for record in form.of_objects(change)]
    assert [json.loads(record.value)["info"] for record in found] == [info for _, info in expected]
    assert all(record.place is None for record in found)
    create, partition, database, indexed, updated, _ = (json.loads(json.loads(r.value)["data"]) for r in found)
    assert create["Base"] == {"replicateInfo": {"isReplicate": True, "msgTimestamp": int(T)}}
    assert create["Schema"]["CollectionName"] == "films"
    assert [field["Name"] for field in create["Schema"]["Fields"]] == [field.name for field in FIELDS]
    assert (partition["CollectionName"], partition["PartitionName"], partition["Database"]) == ("films", "p1", "shop")
    assert database["db_name"] == "shop"
    assert (indexed["collection_name"], indexed["field_name"]) == ("films", "v")
    assert updated["username"] == "ada"
    assert "assword" not in json.dumps(updated)


# Errors


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        (KafkaError._AUTHENTICATION, TaskStopped, "password"),  # noqa: SLF001
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, TaskStopped, "allow the user"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, TaskStopped, "allow the user"),
        (KafkaError.POLICY_VIOLATION, TaskStopped, "make the topic"),
        (KafkaError.MSG_SIZE_TOO_LARGE, Refused, "max.message.bytes"),
        (KafkaError.INVALID_RECORD, Refused, "the topic"),
        (KafkaError.NOT_ENOUGH_REPLICAS, TargetUnavailable, "the topic"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TargetUnavailable, "the topic"),
    ],
)
def test_errors_say_whether_it_may_work_later(code: int, kind: type[Exception], told: str) -> None:
    error = kafka_errors.of_error(KafkaError(code), "the topic 'films'")
    assert type(error) is kind
    assert told in str(error)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
