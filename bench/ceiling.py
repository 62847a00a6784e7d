"""How fast the target takes rows: the same bytes, replayed without our pipeline.

What a source has written is read from its queue, addressed anew and sent by one caller in calls of 4 MB, then one tick.
No lease, no record, no gate: what goes wrong would be lost or doubled.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from bench.rig import Rig, rows, until
from cdc_core.codec import head, rewrite
from cdc_core.codec.protobuf import msg_pb2
from cdc_core.model.address import Address
from cdc_core.model.channel import VChannel
from cdc_core.model.connect import MilvusConnect
from cdc_core.model.message import Kind, Message
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.batch import BATCH_BYTES
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.milvus_catalog import MilvusCatalog
from cdc_core.sink.milvus_client import MilvusChannel
from cdc_core.sink.milvus_replicate import MilvusReplicate
from cdc_core.source.base import Record
from cdc_core.source.kafka import KafkaQueue

TOTAL, STEP, DIM = 200_000, 1_000, 128


def ceiling(rig: Rig) -> Mapping[str, float]:
    """200,000 rows of 128 dimensions. Ours have ended before, and are not started again: they would send them, too."""
    name = rig.collection("ceiling", DIM)
    vchannel = rig.vchannel(name)
    rig.system.stop()
    for first in range(0, TOTAL, STEP):
        rig.source.insert(name, rows(first, STEP, DIM))
    found = list(_written(rig, vchannel))
    channel = MilvusChannel(MilvusConnect(uri=rig.stack.target.uri))
    made = MilvusCatalog(channel).describe("default", name)
    assert made is not None
    sink = MilvusReplicate(channel)
    began, cpu = time.monotonic(), time.process_time()
    for batch in _batches(found):
        payloads = [rewrite.in_step(message, _address(made, message)) for message in batch]
        sink.send(
            made.vchannels[0].pchannel, payloads, begin=batch[0].first, end=batch[-1].last, tick=None, timeout=30.0
        )
    tick = Tso.of(found[-1].last.ms + 1)
    sink.send(made.vchannels[0].pchannel, (), begin=tick, end=tick, tick=tick, timeout=30.0)
    spent = time.process_time() - cpu
    until(lambda: rig.count(name) >= TOTAL, "all rows", every=0.1)
    seconds = time.monotonic() - began
    channel.close()
    return {"seconds": seconds, "cpu_s": spent, "rows_per_s": TOTAL / seconds}


def _written(rig: Rig, vchannel: VChannel) -> Iterator[Message]:
    """Its inserts."""
    assert rig.stack.kafka
    reader = KafkaQueue(rig.stack.kafka.address, {}).reader()
    reader.add(vchannel.pchannel, b"")
    rows_left = TOTAL
    while rows_left:
        for record in reader.poll(1.0):
            assert isinstance(record, Record)
            message = head.parse(record)
            if message.kind is Kind.INSERT and message.vchannel == vchannel.name:
                rows_left -= msg_pb2.InsertRequest.FromString(message.payload).num_rows
                yield message
    reader.close()


def _batches(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    batch: list[Message] = []
    for message in sorted(messages, key=lambda each: each.first):
        batch.append(message)
        if sum(each.size for each in batch) >= BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _address(made: TargetCollection, message: Message) -> Address:
    vchannel = made.vchannels[0].name
    return Address(made.id, vchannel, made.name, made.database, made.partitions["_default"], message.partition_name)
