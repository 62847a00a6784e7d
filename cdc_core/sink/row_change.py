"""Rows of messages as single changes, in the order in which they take effect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any

from cdc_core.codec import keys
from cdc_core.codec import rows as values
from cdc_core.codec.protobuf import msg_pb2
from cdc_core.errors import Refused
from cdc_core.model.address import WHOLE_COLLECTION, Address, Row
from cdc_core.model.message import Kind
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso


class Op(StrEnum):
    INSERT = "insert"
    DELETE = "delete"
    UPSERT = "upsert"
    """An insert that takes the place of what has its key in its partition."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The value of one field of a row, as `codec.rows` has it; `type` is `schema.DataType`."""

    name: str
    type: int
    value: object


@dataclass(frozen=True, slots=True)
class _Rows:
    """A message with its rows; of a delete there are the keys only."""

    row: Row
    key_field: str
    stamps: Sequence[int]
    keys: Sequence[int | str]
    columns: Sequence[tuple[str, int, Sequence[object]]] = ()


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row. `at` is its timestamp at the source."""

    op: Op
    key: int | str
    at: Tso
    _rows: _Rows
    _place: int

    @property
    def address(self) -> Address:
        return self._rows.row.address

    @property
    def key_field(self) -> str:
        """The name of the primary key."""
        return self._rows.key_field

    @property
    def partition(self) -> str | None:
        """None: in whichever partition the key is."""
        return None if self.address.partition_id == WHOLE_COLLECTION else self.address.partition_name

    @property
    def vchannel(self) -> str:
        """The source's."""
        return self._rows.row.message.vchannel

    @property
    def position(self) -> Position:
        """Where its message is in the source's queue, and its own time."""
        return Position(self.vchannel, self._rows.row.message.message_id, self.at)

    @property
    def cells(self) -> Iterator[Cell]:
        """None of a delete."""
        return (Cell(name, data_type, column[self._place]) for name, data_type, column in self._rows.columns)


def changes(rows: Sequence[Row], key_field: Callable[[Address], str]) -> Iterator[RowChange]:
    """Vchannel by vchannel in the order (row timestamp, delete before insert, as they came).

    An insert and a delete of one key, partition and timestamp are one upsert. `key_field` names the primary key.
    :raises Refused: a message is not what its kind says.
    """
    ordered = sorted(rows, key=lambda row: row.message.vchannel)  # stable
    for _, group in groupby(ordered, key=lambda row: row.message.vchannel):
        yield from _paired(_sorted([_opened(row, key_field) for row in group]))


def _sorted(messages: Sequence[_Rows]) -> list[RowChange]:
    found = [
        RowChange(_op(rows.row), key, Tso(stamp), rows, place)
        for rows in messages
        for place, (stamp, key) in enumerate(zip(rows.stamps, rows.keys, strict=True))
    ]
    return sorted(found, key=lambda change: (change.at, change.op is Op.INSERT))  # stable


def _paired(ordered: Iterable[RowChange]) -> Iterator[RowChange]:
    for _, group in groupby(ordered, key=lambda change: change.at):
        same = list(group)
        inserted = {_identity(change) for change in same if change.op is Op.INSERT}
        deleted = {_identity(change) for change in same if change.op is Op.DELETE}
        for change in same:
            if _identity(change) not in inserted & deleted:
                yield change
            elif change.op is Op.INSERT:
                yield RowChange(Op.UPSERT, change.key, change.at, change._rows, change._place)  # noqa: SLF001


def _identity(change: RowChange) -> tuple[int, int | str]:
    return change.address.partition_id, change.key


def _op(row: Row) -> Op:
    return Op.DELETE if row.message.kind is Kind.DELETE else Op.INSERT


def _opened(row: Row, key_field: Callable[[Address], str]) -> _Rows:
    message, name = row.message, key_field(row.address)
    try:
        if message.kind is Kind.DELETE:
            request: Any = msg_pb2.DeleteRequest.FromString(message.payload)
            found = _Rows(row, name, request.timestamps, keys.of_delete(request))
        else:
            found = _inserted(row, name)
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(row, repr(error)) from error
    sizes = {len(found.stamps), len(found.keys), *(len(column) for _, _, column in found.columns)}
    if len(sizes) != 1:
        raise _unreadable(row, f"its parts have different numbers of rows: {sorted(sizes)}")
    return found


def _inserted(row: Row, key_field: str) -> _Rows:
    request: Any = msg_pb2.InsertRequest.FromString(row.message.payload)
    columns = [(each.field_name, each.type, values.values_of(each)) for each in request.fields_data]
    keys = next((column for name, _, column in columns if name == key_field), None)
    if keys is None:
        raise _unreadable(row, f"it has no field {key_field!r}, which is the primary key")
    return _Rows(row, key_field, request.timestamps, keys, columns)  # type: ignore[arg-type]  # of a key's type


def _unreadable(row: Row, why: str) -> Refused:
    message = row.message
    return Refused(f"{message.kind.name} {message.msg_id} of {message.vchannel} cannot be read row by row: {why}")
