"""Rows to a Kafka topic, one message a change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cdc_core.model.address import Address, Row
from cdc_core.model.connect import KafkaConnect, KafkaFormat
from cdc_core.sink.kafka_form import KafkaForm
from cdc_core.sink.kafka_reference_form import ReferenceForm
from cdc_core.sink.kafka_rows_form import RowsForm
from cdc_core.sink.kafka_writer import KafkaWriter
from cdc_core.sink.row_change import changes


class KafkaRows:
    """`RowSink`. A call that is repeated is in the topic as often as it was written: its readers drop repeats by the
    changes' times."""

    def __init__(self, writer: KafkaWriter, form: KafkaForm, key_field: Callable[[Address], str]) -> None:
        self._writer = writer
        self._form = form
        self._key_field = key_field

    def write(self, rows: Sequence[Row], timeout: float) -> None:
        records = (record for change in changes(rows, self._key_field) for record in self._form.of_row(change))
        self._writer.write(records, timeout)

    def check(self, timeout: float) -> None:
        self._writer.check(timeout)

    def close(self) -> None:
        self._writer.close()


def form_of(connect: KafkaConnect) -> KafkaForm:
    """How that target's messages look."""
    form = RowsForm if connect.format is KafkaFormat.ROWS else ReferenceForm
    return form(connect.vectors)
