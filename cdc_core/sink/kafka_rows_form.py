"""The messages of format `rows`: one JSON object for each change (docs/kafka-target.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdc_core.codec.protobuf import schema_pb2
from cdc_core.model.catalog import Collection, ObjectState
from cdc_core.model.connect import VectorFormat
from cdc_core.model.timestamp import Tso
from cdc_core.sink.json_text import plain, text_of
from cdc_core.sink.kafka_form import asked, key_of, name_of, place_of
from cdc_core.sink.kafka_record import KafkaRecord
from cdc_core.sink.object_change import ObjectChange
from cdc_core.sink.row_change import Op, RowChange

_FLAGS = (
    ("primary_key", "is_primary_key"),
    ("auto_id", "autoID"),
    ("partition_key", "is_partition_key"),
    ("dynamic", "is_dynamic"),
    ("nullable", "nullable"),
)


class RowsForm:
    """`KafkaForm`."""

    def __init__(self, vectors: VectorFormat) -> None:
        self._vectors = vectors

    def of_row(self, change: RowChange) -> Iterator[KafkaRecord]:
        address = change.address
        told: dict[str, object] = {
            "op": change.op.value,
            "database": address.database,
            "collection": address.collection_name,
            "collection_id": str(address.collection_id),
            "partition": change.partition,
            "key": change.key,
        }
        if change.op is not Op.DELETE:
            told["row"] = {cell.name: plain(cell.value, cell.type, self._vectors) for cell in change.cells}
        told |= {**_times(change.at), "position": change.position.to_base64(), "vchannel": change.vchannel}
        yield KafkaRecord(key_of(change), text_of(told), place_of(change))

    def of_objects(self, change: ObjectChange) -> Iterator[KafkaRecord]:
        """To every partition of the topic."""
        told: dict[str, object] = {"op": change.op, "database": change.database}
        if change.collection:
            told |= {"collection": change.collection, "collection_id": str(change.collection_id)}
        told |= _times(change.at) if change.at else {"timestamp": None, "time": None}
        told |= change.details
        if change.made:
            told |= _collection(change.made)
        if change.operation:
            told["request"] = asked(change.operation)
        yield KafkaRecord(name_of(change), text_of(told), None)


def _times(at: Tso) -> dict[str, object]:
    return {"timestamp": str(int(at)), "time": at.ms}


def _collection(made: Collection) -> dict[str, object]:
    schema = schema_pb2.CollectionSchema.FromString(made.schema)
    return {
        "schema": {"description": schema.description, "fields": [_field(each) for each in schema.fields]},
        "shards": made.shards,
        "consistency_level": made.consistency_level,
        "properties": dict(made.properties),
        "partitions": [each.name for each in made.partitions if each.state is ObjectState.CREATED],
    }


def _field(field: Any) -> dict[str, object]:
    """Flags only where they are set."""
    found: dict[str, object] = {"name": field.name, "type": schema_pb2.DataType.Name(field.data_type)}
    if field.element_type:
        found["element_type"] = schema_pb2.DataType.Name(field.element_type)
    found |= {pair.key: pair.value for pair in field.type_params}
    return found | {name: True for name, flag in _FLAGS if getattr(field, flag)}
