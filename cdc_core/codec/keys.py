"""Primary keys of the rows in a message. Source: milvus-proto, `msg.proto` and `schema.proto`."""

from __future__ import annotations

from typing import Any

Key = int | str


def of_delete(request: Any) -> list[Key]:
    """Of a DeleteRequest, one per row timestamp."""
    kind = request.primary_keys.WhichOneof("id_field")
    return list(getattr(request.primary_keys, kind).data if kind else request.int64_primary_keys)


def of_insert(request: Any, field: str) -> list[Key]:
    """Of an InsertRequest, whose primary key is that field. :raises KeyError: it has no such column of keys."""
    for column in request.fields_data:
        if column.field_name == field:
            kind = column.scalars.WhichOneof("data")
            if kind in ("long_data", "string_data"):
                return list(getattr(column.scalars, kind).data)
    raise KeyError(field)
