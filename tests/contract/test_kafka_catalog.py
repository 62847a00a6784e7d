"""How a Kafka target tells of its objects, and what it remembers of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from cdc_core.codec.operation import OperationKind
from cdc_core.codec.protobuf import common_pb2
from cdc_core.errors import TargetUnavailable
from cdc_core.model.address import Address
from cdc_core.model.connect import KafkaConnect
from cdc_core.model.timestamp import Tso
from cdc_core.sink.kafka_catalog import KafkaCatalog
from cdc_core.sink.kafka_rows import form_of
from cdc_core.sink.kafka_writer import KafkaWriter
from cdc_core.sink.notes import MemoryNotes
from deploy.local import Kafka
from tests.contract.targets import index, operation
from tests.kafka_topic import KafkaTopic
from tests.messages import KEY, DataType, collection, schema_field

pytestmark = pytest.mark.contract

T = Tso.of(1_700_000_000_000)


class Opened:
    """A catalog as one worker has it; `notes` outlive it."""

    def __init__(self, topic: KafkaTopic, notes: MemoryNotes) -> None:
        connect = KafkaConnect(topic.address, topic.name)
        self.catalog = KafkaCatalog(KafkaWriter(connect), form_of(connect), notes)


@pytest.fixture
def topic(kafka_server: Kafka) -> KafkaTopic:
    return KafkaTopic(kafka_server.address, 1)


@pytest.fixture
def notes() -> MemoryNotes:
    return MemoryNotes()


@pytest.fixture
def catalog(topic: KafkaTopic, notes: MemoryNotes) -> Iterator[KafkaCatalog]:
    opened = Opened(topic, notes)
    yield opened.catalog
    opened.catalog.close()


def told(topic: KafkaTopic) -> list[str]:
    return [change["op"] for change in topic.changes()]


def test_every_change_is_told_once_and_a_repeated_one_not_at_all(catalog: KafkaCatalog, topic: KafkaTopic) -> None:
    films, books = collection("films"), collection("books", database="shop")
    pair = common_pb2.KeyValuePair(key="max", value="7")
    for _ in range(2):
        catalog.create_database("shop", {"replicas": "1"})
        catalog.create_collection(films)
        catalog.create_collection(books)
        catalog.create_partition("default", "films", "p1", T)
        catalog.alter_collection("default", "films", {"collection.ttl.seconds": "60"})
        catalog.put_alias("default", "films", "movies")
        catalog.apply(index("default", "films"))
        catalog.apply(operation(OperationKind.LOAD_COLLECTION, "default", "films"))
        catalog.apply(operation(OperationKind.ALTER_DATABASE, "shop", properties=[pair], delete_keys=["replicas"]))
    assert catalog.database_properties("shop") == {"max": "7"}
    for _ in range(2):
        catalog.apply(operation(OperationKind.RELEASE_COLLECTION, "default", "films"))
        catalog.apply(operation(OperationKind.DROP_INDEX, "default", "films", index_name="of_v"))
        catalog.drop_alias("default", "movies")
        catalog.drop_partition("default", "films", "p1", T)
        catalog.drop_collection("shop", "books", T)
        catalog.drop_database("shop")
    assert told(topic) == [
        "create_database",
        "create_collection",
        "create_collection",
        "create_partition",
        "alter_collection",
        "put_alias",
        "create_index",
        "load_collection",
        "alter_database",
        "release_collection",
        "drop_index",
        "drop_alias",
        "drop_partition",
        "drop_collection",
        "drop_database",
    ]


def test_what_is_told_of_a_collection(catalog: KafkaCatalog, topic: KafkaTopic) -> None:
    fields = (
        KEY,
        schema_field(101, "tags", DataType.Array, element_type=DataType.VarChar, max_length=8, max_capacity=4),
        schema_field(102, "$meta", DataType.JSON, is_dynamic=True),
    )
    films = replace(collection("films", fields, shards=2, partitions=["_default", "p1"]), properties={"a": "b"})
    catalog.create_collection(films)
    (change,) = topic.changes()
    assert change == {
        "op": "create_collection",
        "database": "default",
        "collection": "films",
        "collection_id": str(films.id),
        "timestamp": str(int(films.created)),
        "time": films.created.ms,
        "schema": {
            "description": "",
            "fields": [
                {"name": "id", "type": "Int64", "primary_key": True},
                {"name": "tags", "type": "Array", "element_type": "VarChar", "max_length": "8", "max_capacity": "4"},
                {"name": "$meta", "type": "JSON", "dynamic": True},
            ],
        },
        "shards": 2,
        "consistency_level": 2,
        "properties": {"a": "b"},
        "partitions": ["_default", "p1"],
    }


def test_what_is_told_of_other_objects(catalog: KafkaCatalog, topic: KafkaTopic) -> None:
    films = collection("films")
    catalog.create_collection(films)
    catalog.create_partition("default", "films", "p1", T)
    catalog.rename_collection("default", "films", "default", "movies")
    catalog.apply(index("default", "movies"))
    catalog.apply(operation(OperationKind.CREATE_CREDENTIAL, username="ada", password="secret"))
    about = {"database": "default", "collection": "films", "collection_id": str(films.id)}
    no_time = {"timestamp": None, "time": None}
    _, partition, rename, made, user = topic.changes()
    assert partition == {
        "op": "create_partition",
        **about,
        "partition": "p1",
        "timestamp": str(int(T)),
        "time": T.ms,
    }
    renamed = {"new_database": "default", "new_collection": "movies"}
    assert rename == {"op": "rename_collection", **about, **no_time, **renamed}
    assert made["request"]["field_name"] == "v"
    assert user["op"] == "create_credential"
    assert user["request"] == {"username": "ada"}


def test_what_was_made_is_known_to_the_next_worker(
    catalog: KafkaCatalog, topic: KafkaTopic, notes: MemoryNotes
) -> None:
    films = collection("films", shards=2, partitions=["_default", "p1"])
    catalog.create_database("shop", {})
    catalog.create_collection(films)
    catalog.create_partition("default", "films", "p2", T)
    catalog.put_alias("default", "films", "movies")
    catalog.apply(index("default", "films"))
    catalog.apply(operation(OperationKind.LOAD_COLLECTION, "default", "films"))
    other = Opened(topic, notes).catalog
    assert other.databases() == {"default", "shop"}
    assert other.collections("default") == {"films"}
    assert other.describe("default", "films") == catalog.describe("default", "films")
    assert other.serving("default", "films") == catalog.serving("default", "films")
    made = other.describe("default", "films")
    assert made is not None
    assert (made.id, made.schema, made.vchannels, made.aliases) == (films.id, films.schema, (), {"movies"})
    assert made.partitions == {**{each.name: each.id for each in films.partitions}, "p2": int(T)}


def test_a_partition_that_is_made_again_is_another_one(catalog: KafkaCatalog) -> None:
    catalog.create_collection(collection("films"))
    numbers = []
    for at in (T, T, Tso(T + 1)):
        catalog.create_partition("default", "films", "p1", at)
        catalog.create_partition("default", "films", f"other{len(numbers)}", at)
        made = catalog.describe("default", "films")
        assert made is not None
        assert len(set(made.partitions.values())) == len(made.partitions)
        numbers.append(made.partitions["p1"])
        if at == T and len(numbers) == 2:
            catalog.drop_partition("default", "films", "p1", at)
    assert numbers[0] == numbers[1] == T
    assert numbers[2] > T


def test_what_could_not_be_told_is_not_remembered(topic: KafkaTopic, notes: MemoryNotes) -> None:
    """So it is told when it is done again."""
    away = Opened(topic, notes).catalog
    away.close()
    with pytest.raises(TargetUnavailable):
        away.create_collection(collection("films"))
    assert away.describe("default", "films") is None
    back = Opened(topic, notes).catalog
    back.create_collection(collection("films"))
    assert told(topic) == ["create_collection"]


def test_a_primary_key_is_found_under_the_collection_s_name_of_then_and_of_now(catalog: KafkaCatalog) -> None:
    named: Mapping[str, Any] = {"vchannel": "", "database": "default", "partition_id": 1, "partition_name": "_default"}
    isbn = schema_field(100, "isbn", DataType.VarChar, is_primary_key=True)
    films, books = collection("films"), collection("books", (isbn,))
    for each in (films, books):
        catalog.create_collection(each)
    catalog.rename_collection("default", "books", "default", "novels")
    assert catalog.key_field(Address(films.id, collection_name="films", **named)) == "id"
    assert catalog.key_field(Address(books.id, collection_name="books", **named)) == "isbn"
    catalog.drop_collection("default", "novels", T)
    assert catalog.key_field(Address(books.id, collection_name="books", **named)) == "isbn", "it is kept"
    with pytest.raises(TargetUnavailable):
        catalog.key_field(Address(1, collection_name="books", **named))
