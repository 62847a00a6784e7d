"""What messages of a Kafka target look like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from google.protobuf.json_format import MessageToDict

from cdc_core.codec.operation import Operation
from cdc_core.sink.kafka_record import KafkaRecord
from cdc_core.sink.object_change import ObjectChange
from cdc_core.sink.row_change import RowChange

_TOLD_APART = ("base", "db_name", "collection_name", "collection_names")
_SECRET = ("password", "oldPassword", "newPassword")


class KafkaForm(Protocol):
    """Pure."""

    def of_row(self, change: RowChange) -> Iterator[KafkaRecord]: ...

    def of_objects(self, change: ObjectChange) -> Iterator[KafkaRecord]: ...


def key_of(change: RowChange) -> str:
    """`<database>.<collection>/<primary key>`."""
    address = change.address
    return f"{address.database}.{address.collection_name}/{change.key}"


def place_of(change: RowChange) -> str:
    """Changes of one row stay in order, also when its collection is renamed."""
    return f"{change.address.collection_id}/{change.key}"


def name_of(change: ObjectChange) -> str:
    return f"{change.database}.{change.collection}" if change.collection else change.database


def asked(operation: Operation) -> dict[str, Any]:
    """The rest of a request, by the names of `milvus.proto`, without passwords; numbers of 64 bits are texts."""
    found = MessageToDict(operation.request, preserving_proto_field_name=True)
    return {name: value for name, value in found.items() if name not in (*_TOLD_APART, *_SECRET)}
