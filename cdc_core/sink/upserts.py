"""Upsert calls out of the rows that are to be written: large ones, and nothing decoded that need not be. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from cdc_core.codec import columns
from cdc_core.errors import Refused
from cdc_core.sink.row_changes import Picked

MERGED_BYTES = 4 << 20
"""No call that is put together has parts of more than this: 5 to 10 messages of 1,000 rows in one call are written
2.5 times as fast as one by one, more gain nothing."""

_COLUMN_BASED = 1


@dataclass(frozen=True, slots=True)
class Upsert:
    """One call's columns (`schema.FieldData`); `size` in bytes, about."""

    fields_data: Sequence[Any]
    num_rows: int
    size: int
    is_joined: bool = False


def upserts(picked: Sequence[Picked]) -> Iterator[Upsert]:
    """The calls of one partition, in order; small ones of one layout that follow each other are joined.

    :raises Refused: rows in a form that this version cannot write.
    """
    filling: Upsert | None = None
    layout: object = None
    for each in picked:
        found = _upsert(each)
        its_layout = columns.layout(found.fields_data)
        if filling and its_layout and its_layout == layout and filling.size + found.size <= MERGED_BYTES:
            filling = _joined(filling, found)
            continue
        if filling:
            yield filling
        filling, layout = found, its_layout
    if filling:
        yield filling


def _upsert(picked: Picked) -> Upsert:
    request, rows = picked.request, picked.rows
    if request.version != _COLUMN_BASED or request.row_data:
        raise Refused(f"rows in the form {request.version} of an insert: only columns can be written")
    try:
        if rows is None:
            found = [columns.compact(column) for column in request.fields_data]
        else:
            found = [columns.select(column, rows) for column in request.fields_data]
    except ValueError as error:
        raise Refused(str(error)) from error
    for column in found:
        columns.type_arrays(column)
    if rows is None:
        return Upsert(found, request.num_rows, picked.size)
    return Upsert(found, len(rows), picked.size * len(rows) // request.num_rows)


def _joined(filling: Upsert, more: Upsert) -> Upsert:
    """What was read of a message stays as it is: a first join copies it."""
    target = filling if filling.is_joined else replace(filling, fields_data=deepcopy(filling.fields_data))
    for column, another in zip(target.fields_data, more.fields_data, strict=True):
        columns.append(column, another)
    return replace(target, num_rows=target.num_rows + more.num_rows, size=target.size + more.size, is_joined=True)
