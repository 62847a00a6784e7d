"""Whether a collection of the target can take the source's rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdc_core.codec.protobuf import schema_pb2
from cdc_core.model.catalog import Collection
from cdc_core.sink.base import TargetCollection

FIRST_USER_FIELD = 100
"""Milvus numbers the fields of a new collection from here, in the order of the request, `$meta` last."""

_PARAMETERS = ("dim", "max_length", "max_capacity")
_PROPERTIES = ("is_primary_key", "autoID", "is_partition_key", "nullable", "element_type")


def difference(source: Collection, target: TargetCollection) -> str | None:
    """The first thing that keeps the target's collection from being the source's twin, in words; None when it is.

    On a target with channels the shards and field ids count: rows carry them, and it stores by them. Pure.
    """
    return next(_differences(source, target), None)


def user_fields(schema: Any) -> list[Any]:
    """The fields a user has made, in the order of their ids."""
    fields = [field for field in schema.fields if not field.is_dynamic and field.fieldID not in (0, 1)]
    return sorted(fields, key=lambda field: field.fieldID)


def is_dynamic(schema: Any) -> bool:
    return bool(schema.enable_dynamic_field) or any(field.is_dynamic for field in schema.fields)


def _differences(source: Collection, target: TargetCollection) -> Iterator[str]:
    ours = schema_pb2.CollectionSchema.FromString(source.schema)
    theirs = schema_pb2.CollectionSchema.FromString(target.schema)
    by_id = bool(target.vchannels)
    if by_id and source.shards != target.shards:
        yield f"{source.shards} shards, on the target {target.shards}"
    if is_dynamic(ours) != is_dynamic(theirs):
        yield f"dynamic fields are {_on(is_dynamic(ours))}, on the target {_on(is_dynamic(theirs))}"
    by_name = {field.name: field for field in user_fields(theirs)}
    for field in user_fields(ours):
        other = by_name.pop(field.name, None)
        if other is None:
            yield f"field {field.name!r} is missing on the target"
        else:
            yield from _field_differences(field, other, by_id=by_id)
    for name in by_name:
        yield f"field {name!r} exists on the target only"
    if by_id:
        yield from _dynamic_id_difference(ours)


def _field_differences(ours: Any, theirs: Any, *, by_id: bool) -> Iterator[str]:
    if ours.data_type != theirs.data_type:
        mine, other = (schema_pb2.DataType.Name(field.data_type) for field in (ours, theirs))
        yield f"field {ours.name!r} has type {mine}, on the target {other}"
    for name in _PROPERTIES:
        if getattr(ours, name) != getattr(theirs, name):
            yield f"field {ours.name!r} has {name} {getattr(ours, name)}, on the target {getattr(theirs, name)}"
    for name in _PARAMETERS:
        mine, other = _parameter(ours, name), _parameter(theirs, name)
        if mine != other:
            yield f"field {ours.name!r} has {name} {mine}, on the target {other}"
    if by_id and ours.fieldID != theirs.fieldID:
        yield f"field {ours.name!r} has field id {ours.fieldID}, on the target {theirs.fieldID}"


def _dynamic_id_difference(schema: Any) -> Iterator[str]:
    """A target does not show the id of its `$meta`: it is the one behind the last field."""
    expected = FIRST_USER_FIELD + len(user_fields(schema))
    for field in schema.fields:
        if field.is_dynamic and field.fieldID != expected:
            yield f"the dynamic field has field id {field.fieldID}, on the target {expected}"


def _parameter(field: Any, name: str) -> str | None:
    return next((pair.value for pair in field.type_params if pair.key == name), None)


def _on(flag: bool) -> str:
    return "on" if flag else "off"
