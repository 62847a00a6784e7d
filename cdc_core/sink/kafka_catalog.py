"""The objects of a Kafka target: it has none, so each change of them is a message, and remembered."""

from __future__ import annotations

import threading

from cdc_core.codec.protobuf import schema_pb2
from cdc_core.errors import TargetUnavailable
from cdc_core.model.address import Address
from cdc_core.model.catalog import Collection, ObjectState
from cdc_core.model.timestamp import Tso
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.kafka_form import KafkaForm
from cdc_core.sink.kafka_writer import KafkaWriter
from cdc_core.sink.noted import Noted
from cdc_core.sink.notes import Notes
from cdc_core.sink.object_book import ObjectBook
from cdc_core.sink.object_change import ObjectChange

TELL_SECONDS = 10.0


class KafkaCatalog(ObjectBook):
    """`TargetCatalog`; the ids are the source's. A change that was cut short may be in the topic twice."""

    def __init__(self, writer: KafkaWriter, form: KafkaForm, notes: Notes) -> None:
        """The writer may be shared with the rows' sink and is the owner's to close."""
        super().__init__(notes)
        self._writer = writer
        self._form = form
        self._knowing = threading.Lock()
        self._key_fields: dict[int, str] = {}

    def key_field(self, address: Address) -> str:
        """The name of a collection's primary key; kept once known: it never changes.

        :raises TargetUnavailable: the collection was not made here, or is gone.
        """
        number = address.collection_id
        with self._knowing:
            if number not in self._key_fields:
                schema = schema_pb2.CollectionSchema.FromString(self._of_id(address).schema)
                self._key_fields[number] = next(field.name for field in schema.fields if field.is_primary_key)
            return self._key_fields[number]

    def close(self) -> None:
        self._writer.close()

    def _of_id(self, address: Address) -> TargetCollection:
        """By its name, or, when it has another one by now, by its id."""
        named = self.describe(address.database, address.collection_name)
        if named and named.id == address.collection_id:
            return named
        for text in filter(None, map(self._notes.get, self._notes.names())):
            if text.startswith(Noted.start_of(address.collection_id)):
                return Noted.from_json(text).described
        raise TargetUnavailable(f"{address.database}.{address.collection_name} was not made on the target yet")

    def _made(self, collection: Collection) -> TargetCollection:
        created = (each for each in collection.partitions if each.state is ObjectState.CREATED)
        return TargetCollection(
            id=collection.id,
            database=collection.database,
            name=collection.name,
            schema=_with_given_keys(collection.schema),
            vchannels=(),
            partitions={each.name: each.id for each in created},
            consistency_level=collection.consistency_level,
            properties=dict(collection.properties),
        )

    def _new_partition(self, described: TargetCollection, at: Tso) -> int:
        """Its time of creation, which no other one has; equal when it is told twice."""
        taken = set(described.partitions.values())
        return next(number for number in range(at, at + len(taken) + 1) if number not in taken)

    def _tell(self, change: ObjectChange) -> None:
        self._writer.write(self._form.of_objects(change), TELL_SECONDS)


def _with_given_keys(schema: bytes) -> bytes:
    """Keys come with the rows, whoever makes them at the source."""
    known = schema_pb2.CollectionSchema.FromString(schema)
    known.autoID = False
    for field in known.fields:
        field.autoID = False
    return bytes(known.SerializeToString())
