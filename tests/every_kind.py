"""A collection of a Milvus 2.3 with a column of every kind, and its rows."""

from __future__ import annotations

from typing import Any

from pymilvus import DataType, MilvusClient

ELEMENTS = ("BOOL", "INT8", "INT16", "INT32", "INT64", "FLOAT", "DOUBLE", "VARCHAR")


def make_every_kind(client: MilvusClient, name: str) -> None:
    """Without an index."""
    schema = client.create_schema(enable_dynamic_field=True, description="of every kind")
    schema.add_field("key", DataType.INT64, is_primary=True, description="the key")
    for kind in ("BOOL", "INT8", "INT16", "INT32", "INT64", "FLOAT", "DOUBLE", "JSON"):
        schema.add_field(kind.lower(), getattr(DataType, kind), description=f"a {kind}")
    schema.add_field("varchar", DataType.VARCHAR, max_length=500)
    for kind in ELEMENTS:
        more = {"max_length": 40} if kind == "VARCHAR" else {}
        schema.add_field(
            f"{kind.lower()}s", DataType.ARRAY, element_type=getattr(DataType, kind), max_capacity=8, **more
        )
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=8)
    client.create_collection(name, schema=schema, num_shards=2, consistency_level="Session")


def every_value(number: int, version: int = 0) -> dict[str, Any]:
    """A row for the collection with every column."""
    row: dict[str, Any] = {
        "key": number - 150,
        "bool": number % 2 == 0,
        "int8": number % 128 - 64,
        "int16": number - 30_000,
        "int32": number - 2**31,
        "int64": 2**62 + number,
        "float": number / 8,
        "double": number / 3,
        "json": {"number": number, "nested": {"list": [1, "zwei", None, 3.5]}, "version": version},
        "varchar": f"Zeile {number} ☃ {'x' * (number % 300)}",
        "vector": [number + place / 8 for place in range(8)],
        f"dynamic_{number % 3}": {"deep": [number]},
    }
    many = range(number % 8)
    row |= {
        "bools": [place % 2 == 0 for place in many],
        "int8s": list(many),
        "int16s": [place * 1_000 for place in many],
        "int32s": [place * 100_000 for place in many],
        "int64s": [place * 2**40 for place in many],
        "floats": [place / 4 for place in many],
        "doubles": [place / 3 for place in many],
        "varchars": [f"ü{place}" for place in many],
    }
    return row
