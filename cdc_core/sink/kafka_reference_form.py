"""The messages of format `reference`: the envelope of zilliztech/milvus-cdc (docs/kafka-target.md).

Source: the fields that its core/writer/kafka_common.go and kafka_formatter.go, and for objects core/api, name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdc_core.codec.protobuf import schema_pb2
from cdc_core.model.catalog import Collection
from cdc_core.model.connect import VectorFormat
from cdc_core.sink.json_text import plain, text_of
from cdc_core.sink.kafka_form import asked, key_of, name_of, place_of
from cdc_core.sink.kafka_record import KafkaRecord
from cdc_core.sink.object_change import ObjectChange
from cdc_core.sink.row_change import Cell, Op, RowChange

_TYPE = schema_pb2.DataType
_TYPES = {
    _TYPE.Bool: "bool",
    _TYPE.Int8: "int8",
    _TYPE.Int16: "int16",
    _TYPE.Int32: "int32",
    _TYPE.Int64: "int64",
    _TYPE.Float: "float32",
    _TYPE.Double: "float64",
    _TYPE.String: "string",
    _TYPE.VarChar: "string",
    _TYPE.Array: "Array",
    _TYPE.JSON: "JSON",
    _TYPE.BinaryVector: "[]byte",
    _TYPE.FloatVector: "[]float32",
    _TYPE.Float16Vector: "[]byte",
    _TYPE.BFloat16Vector: "[]byte",
}
_AS_BYTES = (_TYPE.JSON, _TYPE.BinaryVector, _TYPE.Float16Vector, _TYPE.BFloat16Vector)
_INFOS = {
    "create_credential": "create user",
    "delete_credential": "delete user",
    "update_credential": "update user",
}
"""Where it is not the operation's own name."""
_ROLES = {0: "add user to role", 1: "remove user from role"}
_PRIVILEGES = {1: "grant privilege", 2: "revoke privilege"}


class ReferenceForm:
    """`KafkaForm`. An upsert is a delete and an insert. What the envelope has no place for is in the headers."""

    def __init__(self, vectors: VectorFormat) -> None:
        self._vectors = vectors

    def of_row(self, change: RowChange) -> Iterator[KafkaRecord]:
        if change.op is not Op.INSERT:
            key = Cell(change.key_field, _TYPE.VarChar if isinstance(change.key, str) else _TYPE.Int64, change.key)
            yield self._of_row(change, Op.DELETE, self._column(change, Op.DELETE, key))
        if change.op is not Op.DELETE:
            yield self._of_row(change, Op.INSERT, [self._column(change, Op.INSERT, cell) for cell in change.cells])

    def of_objects(self, change: ObjectChange) -> Iterator[KafkaRecord]:
        """To every partition of the topic."""
        headers = {"database": change.database, "collection": change.collection, "timestamp": str(int(change.at))}
        yield KafkaRecord(name_of(change), _envelope(_data(change), _info(change)), None, _headers(headers))

    def _of_row(self, change: RowChange, op: Op, data: object) -> KafkaRecord:
        address = change.address
        headers = {
            "database": address.database,
            "collection": address.collection_name,
            "partition": change.partition or "",
            "timestamp": str(int(change.at)),
            "position": change.position.to_base64(),
            "vchannel": change.vchannel,
        }
        return KafkaRecord(key_of(change), _envelope(data, f"{op} data"), place_of(change), _headers(headers))

    def _column(self, change: RowChange, op: Op, cell: Cell) -> dict[str, object]:
        return {
            "name": cell.name,
            "type": _TYPES.get(cell.type, "undefined"),
            "value": plain(cell.value, *self._shown(cell.type)),
            "msg": f"{op} entity in collection {change.address.collection_name}",
        }

    def _shown(self, data_type: int) -> tuple[int, VectorFormat]:
        """What is bytes there, JSON fields too, is base64."""
        return (data_type, self._vectors) if data_type not in _AS_BYTES else (_TYPE.BinaryVector, VectorFormat.BASE64)


def _envelope(data: object, info: str) -> bytes:
    """The data is a text that holds JSON, as there."""
    return text_of({"data": text_of(data).decode(), "info": info})


def _headers(given: dict[str, str]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode()) for name, value in given.items())


def _info(change: ObjectChange) -> str:
    request = change.operation.request if change.operation else None
    if change.op == "operate_user_role":
        return _ROLES.get(request.type, change.op)  # type: ignore[union-attr]  # it has one
    if change.op == "operate_privilege":
        return _PRIVILEGES.get(request.type, change.op)  # type: ignore[union-attr]
    return _INFOS.get(change.op, change.op.replace("_", " "))


def _data(change: ObjectChange) -> dict[str, object]:
    replicated = {"isReplicate": True, "msgTimestamp": int(change.at)}
    found: dict[str, object] = {"Base": {"replicateInfo": replicated}, "Database": change.database}
    if change.made:
        return found | _made(change.made)
    if change.operation:
        return found | {"collection_name": change.collection} | asked(change.operation)
    if change.collection:
        found["CollectionName"] = change.collection
    names = {"partition": "PartitionName"}
    details = {names.get(name, name): value for name, value in change.details.items()}
    if not change.collection:
        found["db_name"] = change.database
    return found | details


def _made(made: Collection) -> dict[str, object]:
    schema = schema_pb2.CollectionSchema.FromString(made.schema)
    return {
        "Schema": {
            "CollectionName": made.name,
            "Description": schema.description,
            "AutoID": schema.autoID,
            "Fields": [_field(each) for each in schema.fields],
            "EnableDynamicField": schema.enable_dynamic_field,
        },
        "ShardsNum": made.shards,
        "ConsistencyLevel": made.consistency_level,
        "Properties": [{"key": key, "value": value} for key, value in sorted(made.properties.items())],
    }


def _field(field: Any) -> dict[str, object]:
    return {
        "ID": field.fieldID,
        "Name": field.name,
        "PrimaryKey": field.is_primary_key,
        "AutoID": field.autoID,
        "Description": field.description,
        "DataType": field.data_type,
        "TypeParams": {pair.key: pair.value for pair in field.type_params},
        "IndexParams": {pair.key: pair.value for pair in field.index_params},
        "IsDynamic": field.is_dynamic,
        "IsPartitionKey": field.is_partition_key,
        "ElementType": field.element_type,
    }
