"""Differences between a source's and a target's collection, in words."""

from dataclasses import replace
from typing import Any

import pytest

from cdc_core.model.catalog import Collection
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.compare import difference
from tests.messages import KEY, VECTOR, DataType, collection, schema_field

pytestmark = pytest.mark.unit


def on_target(like: Collection) -> TargetCollection:
    return TargetCollection(1, "default", like.name, like.schema, like.vchannels, {}, 2, {})


def found(source: tuple[Any, ...], target: tuple[Any, ...], **more: Any) -> str | None:
    return difference(collection("c", source, **more), on_target(collection("c", target)))


def test_equal_ones_do_not_differ() -> None:
    assert found((KEY, VECTOR), (VECTOR, KEY)) is None


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (schema_field(101, "w", DataType.FloatVector, dim=4), "field 'v' is missing on the target"),
        (schema_field(101, "v", DataType.BinaryVector, dim=4), "type FloatVector, on the target BinaryVector"),
        (schema_field(101, "v", DataType.FloatVector, dim=5), "has dim 4, on the target 5"),
        (schema_field(102, "v", DataType.FloatVector, dim=4), "has field id 101, on the target 102"),
        (schema_field(101, "v", DataType.FloatVector, dim=4, is_partition_key=True), "is_partition_key False"),
    ],
)
def test_a_field_that_differs_is_named(other: Any, text: str) -> None:
    assert text in (found((KEY, VECTOR), (KEY, other)) or "")


def test_a_key_that_differs_is_named() -> None:
    auto = schema_field(100, "id", DataType.Int64, is_primary_key=True, autoID=True)
    assert found((KEY, VECTOR), (auto, VECTOR)) == "field 'id' has autoID False, on the target True"


def test_a_field_too_many_is_named() -> None:
    more = schema_field(102, "n", DataType.Int64)
    assert found((KEY, VECTOR), (KEY, VECTOR, more)) == "field 'n' exists on the target only"


def test_shards_and_dynamic_fields_count() -> None:
    assert found((KEY, VECTOR), (KEY, VECTOR), shards=2) == "2 shards, on the target 1"
    text = found((KEY, VECTOR), (KEY, VECTOR), enable_dynamic_field=True)
    assert text == "dynamic fields are on, on the target off"


def test_the_dynamic_field_s_id_counts_though_a_target_does_not_show_it() -> None:
    """A source that added fields later has its `$meta` in between."""
    meta = schema_field(102, "$meta", DataType.JSON, is_dynamic=True)
    late = schema_field(103, "late", DataType.Int64)
    source = collection("c", (KEY, VECTOR, meta), enable_dynamic_field=True)
    assert difference(source, on_target(collection("c", (KEY, VECTOR), enable_dynamic_field=True))) is None
    grown = collection("c", (KEY, VECTOR, meta, late), enable_dynamic_field=True)
    made = on_target(collection("c", (KEY, VECTOR, late), enable_dynamic_field=True))
    assert difference(grown, made) == "the dynamic field has field id 102, on the target 103"


def test_shards_and_field_ids_do_not_count_on_a_target_without_channels() -> None:
    """Rows go there by their keys and names."""
    meta, late = schema_field(102, "$meta", DataType.JSON, is_dynamic=True), schema_field(103, "late", DataType.Int64)
    source = collection("c", (KEY, VECTOR, meta, late), enable_dynamic_field=True, shards=2)
    other = (KEY, schema_field(102, "v", DataType.FloatVector, dim=4), schema_field(101, "late", DataType.Int64))
    made = replace(on_target(collection("c", other, enable_dynamic_field=True)), vchannels=())
    assert difference(source, made) is None
    assert difference(source, replace(made, schema=source.schema)) is None
    wrong = replace(on_target(collection("c", (KEY, VECTOR), enable_dynamic_field=True)), vchannels=())
    assert difference(source, wrong) == "field 'late' is missing on the target"
