"""Which server a target is."""

from __future__ import annotations

from cdc_core.codec.protobuf import milvus_pb2
from cdc_core.sink import milvus_errors
from cdc_core.sink.milvus_client import MilvusChannel


def server_version(channel: MilvusChannel, timeout: float) -> str:
    """As its server calls it, without a wait for a connection: a refused one is told at once.

    :raises TargetUnavailable: it does not answer. :raises TaskStopped: it refuses the credentials.
    """
    answer = channel.call("GetVersion", milvus_pb2.GetVersionRequest(), timeout)
    if error := milvus_errors.of_status("GetVersion", answer.status):
        raise error
    return str(answer.version)
