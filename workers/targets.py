"""Targets, opened for the engine."""

from __future__ import annotations

import redis

from cdc_core.coordination.target_notes import TargetNotes
from cdc_core.model.connect import Connect, KafkaConnect, SinkKind
from cdc_core.names import Keys
from cdc_core.pipeline.transport import Keyed, Replicated, Transport
from cdc_core.sink.base import TargetCatalog
from cdc_core.sink.kafka_catalog import KafkaCatalog
from cdc_core.sink.kafka_rows import KafkaRows, form_of
from cdc_core.sink.kafka_writer import KafkaWriter
from cdc_core.sink.milvus_catalog import MilvusCatalog
from cdc_core.sink.milvus_client import MilvusChannel
from cdc_core.sink.milvus_lite import LiteChannel
from cdc_core.sink.milvus_manner import ByKey
from cdc_core.sink.milvus_replicate import MilvusReplicate
from cdc_core.sink.milvus_rows import MilvusRows


def open_target(client: redis.Redis, keys: Keys, connect: Connect) -> tuple[Transport, TargetCatalog]:
    """Does not block. :raises TaskStopped: it cannot be dialled as it is described."""
    if isinstance(connect, KafkaConnect):
        return _kafka(connect, TargetNotes(client, keys, connect.identity))
    if connect.sink is SinkKind.STANDBY:
        channel = MilvusChannel(connect)
        return Replicated(MilvusReplicate(channel)), MilvusCatalog(channel)
    channel = LiteChannel(connect) if connect.file else MilvusChannel(connect)
    return Keyed(MilvusRows(channel)), MilvusCatalog(channel, ByKey())


def _kafka(connect: KafkaConnect, notes: TargetNotes) -> tuple[Transport, TargetCatalog]:
    writer, form = KafkaWriter(connect), form_of(connect)
    catalog = KafkaCatalog(writer, form, notes)
    return Keyed(KafkaRows(writer, form, catalog.key_field)), catalog
