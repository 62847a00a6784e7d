"""Messages as a source writes them, for tests of whatever reads or takes them."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from cdc_core.codec import head
from cdc_core.codec.protobuf import common_pb2, msg_pb2, schema_pb2
from cdc_core.model.catalog import Collection, ObjectState, Partition
from cdc_core.model.channel import VChannel
from cdc_core.model.message import Message
from cdc_core.model.timestamp import Tso
from cdc_core.source.base import Record

INSERT, DELETE = 400, 401
SOURCE_PCHANNEL = "by-dev-rootcoord-dml_0"
_numbers = itertools.count(1)

DataType = schema_pb2.DataType
_SCALARS = {
    DataType.Bool: "bool_data",
    DataType.Int8: "int_data",
    DataType.Int16: "int_data",
    DataType.Int32: "int_data",
    DataType.Int64: "long_data",
    DataType.Float: "float_data",
    DataType.Double: "double_data",
    DataType.VarChar: "string_data",
    DataType.JSON: "json_data",
}


def parsed(payload: bytes, order: int | None = None) -> Message:
    order = next(_numbers) if order is None else order
    return head.parse(Record(SOURCE_PCHANNEL, order.to_bytes(8, "little"), order, payload))


def schema_field(number: int, name: str, data_type: int, **more: Any) -> schema_pb2.FieldSchema:
    """`dim`, `max_length` and `max_capacity` become type parameters."""
    parameters = [
        common_pb2.KeyValuePair(key=key, value=str(more.pop(key)))
        for key in ("dim", "max_length", "max_capacity")
        if key in more
    ]
    return schema_pb2.FieldSchema(fieldID=number, name=name, data_type=data_type, type_params=parameters, **more)


KEY = schema_field(100, "id", DataType.Int64, is_primary_key=True)
VECTOR = schema_field(101, "v", DataType.FloatVector, dim=4)


def collection(
    name: str,
    fields: Sequence[schema_pb2.FieldSchema] = (KEY, VECTOR),
    *,
    shards: int = 1,
    database: str = "default",
    partitions: Sequence[str] = ("_default",),
    **more: Any,
) -> Collection:
    """A collection of the source."""
    number = 440_000_000_000_000_000 + next(_numbers)
    created = Tso.of(1_700_000_000_000)
    auto_id = any(field.autoID for field in fields)
    schema = schema_pb2.CollectionSchema(name=name, fields=fields, autoID=auto_id, **more)
    return Collection(
        id=number,
        database=database,
        name=name,
        created=created,
        state=ObjectState.CREATED,
        schema=schema.SerializeToString(),
        vchannels=tuple(VChannel(f"by-dev-rootcoord-dml_{shard}", number, shard) for shard in range(shards)),
        start_positions={},
        consistency_level=2,
        properties={},
        partitions=tuple(Partition(next(_numbers), each, created, ObjectState.CREATED) for each in partitions),
    )


def column(field: schema_pb2.FieldSchema, values: Sequence[Any]) -> schema_pb2.FieldData:
    """The values of one field; bytes for binary vectors, lists for float vectors and arrays."""
    data = schema_pb2.FieldData(
        type=field.data_type, field_name=field.name, field_id=field.fieldID, is_dynamic=field.is_dynamic
    )
    if field.data_type in (DataType.FloatVector, DataType.BinaryVector, DataType.Float16Vector):
        _fill_vectors(data.vectors, field, values)
    elif field.data_type == DataType.SparseFloatVector:
        data.vectors.sparse_float_vector.contents.extend(values)
    elif field.data_type == DataType.Array:
        data.scalars.array_data.element_type = field.element_type
        for value in values:
            row = data.scalars.array_data.data.add()
            getattr(row, _SCALARS[field.element_type]).data.extend(value)
    else:
        getattr(data.scalars, _SCALARS[field.data_type]).data.extend(values)
    return data


def insert(
    rows: Mapping[str, Sequence[Any]],
    timestamps: int | Sequence[int],
    *,
    fields: Sequence[schema_pb2.FieldSchema] = (KEY, VECTOR),
    msg_id: int | None = None,
    vchannel: str = f"{SOURCE_PCHANNEL}_440v0",
    partition: tuple[int, str] = (441, "_default"),
    half: bool = False,
    **more: Any,
) -> msg_pb2.InsertRequest:
    """An insert of a source, with one timestamp for all rows or one for each; `half` of an upsert, which has none in
    its base.
    """
    count = len(next(iter(rows.values())))
    stamps = [timestamps] * count if isinstance(timestamps, int) else timestamps
    number = next(_numbers) if msg_id is None else msg_id
    return msg_pb2.InsertRequest(
        base=common_pb2.MsgBase(msg_type=INSERT, msgID=number, sourceID=3, timestamp=0 if half else stamps[0]),
        shardName=vchannel,
        collection_name="of_the_source",
        partition_name=partition[1],
        collectionID=VChannel.parse(vchannel).collection_id,
        partitionID=partition[0],
        segmentID=7,
        timestamps=stamps,
        rowIDs=[next(_numbers) for _ in range(count)],
        fields_data=[column(field, rows[field.name]) for field in fields],
        num_rows=count,
        version=1,
        **more,
    )


def vectors(count: int, dim: int = 4) -> list[list[float]]:
    return [[float(row)] * dim for row in range(count)]


def simple_insert(keys: Sequence[int], timestamps: int | Sequence[int], **more: Any) -> msg_pb2.InsertRequest:
    """Of the fields `id` and `v`."""
    return insert({"id": keys, "v": vectors(len(keys))}, timestamps, **more)


def delete(
    keys: Sequence[int] | Sequence[str],
    timestamps: int | Sequence[int],
    *,
    msg_id: int | None = None,
    vchannel: str = f"{SOURCE_PCHANNEL}_440v0",
    partition: tuple[int, str] = (-1, ""),
    old: bool = False,
) -> msg_pb2.DeleteRequest:
    """A delete of a source; `old` has the keys where they were before there were string keys."""
    stamps = [timestamps] * len(keys) if isinstance(timestamps, int) else timestamps
    request = msg_pb2.DeleteRequest(
        base=common_pb2.MsgBase(msg_type=DELETE, msgID=next(_numbers) if msg_id is None else msg_id, sourceID=3),
        shardName=vchannel,
        collection_name="of_the_source",
        partition_name=partition[1],
        collectionID=VChannel.parse(vchannel).collection_id,
        partitionID=partition[0],
        timestamps=stamps,
        num_rows=len(keys),
    )
    if old:
        request.int64_primary_keys.extend(keys)
    elif keys and isinstance(keys[0], str):
        request.primary_keys.str_id.data.extend(keys)
    else:
        request.primary_keys.int_id.data.extend(keys)
    return request


def _fill_vectors(data: schema_pb2.VectorField, field: schema_pb2.FieldSchema, values: Sequence[Any]) -> None:
    data.dim = int(next(pair.value for pair in field.type_params if pair.key == "dim"))
    if field.data_type == DataType.FloatVector:
        data.float_vector.data.extend([number for value in values for number in value])
    elif field.data_type == DataType.BinaryVector:
        data.binary_vector = b"".join(values)
    else:
        data.float16_vector = b"".join(values)


def imported(collection: Collection, at: int, job: int) -> Any:
    """`msg_pb2.ImportMsg` into all partitions, as a 2.5 source sends it to every vchannel: without a msgID."""
    return msg_pb2.ImportMsg(
        base=common_pb2.MsgBase(msg_type=408, timestamp=at),
        db_name=collection.database,
        collection_name=collection.name,
        collectionID=collection.id,
        partitionIDs=[partition.id for partition in collection.partitions],
        options={"timeout": "300s"},
        files=[msg_pb2.ImportFile(id=1, paths=["rows/1.parquet"])],
        schema=schema_pb2.CollectionSchema.FromString(collection.schema),
        jobID=job,
    )
