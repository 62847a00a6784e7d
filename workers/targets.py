"""Targets, opened for the engine."""

from __future__ import annotations

from cdc_core.errors import TaskStopped
from cdc_core.model.connect import Connect, MilvusConnect, SinkKind
from cdc_core.pipeline.transport import Keyed, Replicated, Transport
from cdc_core.sink.base import TargetCatalog
from cdc_core.sink.milvus_catalog import MilvusCatalog
from cdc_core.sink.milvus_client import MilvusChannel
from cdc_core.sink.milvus_lite import LiteChannel
from cdc_core.sink.milvus_manner import ByKey
from cdc_core.sink.milvus_replicate import MilvusReplicate
from cdc_core.sink.milvus_rows import MilvusRows


def open_target(connect: Connect) -> tuple[Transport, TargetCatalog]:
    """Does not block. :raises TaskStopped: it cannot be dialled as it is described."""
    if not isinstance(connect, MilvusConnect):
        raise TaskStopped("this version replicates to a Milvus only")
    if connect.sink is SinkKind.STANDBY:
        channel = MilvusChannel(connect)
        return Replicated(MilvusReplicate(channel)), MilvusCatalog(channel)
    channel = LiteChannel(connect) if connect.file else MilvusChannel(connect)
    return Keyed(MilvusRows(channel)), MilvusCatalog(channel, ByKey())
