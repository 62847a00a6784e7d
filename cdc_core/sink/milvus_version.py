"""Which server a target is."""

from __future__ import annotations

import re

from cdc_core.codec.protobuf import milvus_pb2
from cdc_core.sink import milvus_errors
from cdc_core.sink.milvus_client import MilvusChannel

_NUMBER = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def number_of(version: str) -> tuple[int, ...]:
    """Of what a server calls its version, major first; empty when there is none in it."""
    found = _NUMBER.search(version)
    return tuple(map(int, found.groups())) if found else ()


def server_version(channel: MilvusChannel, timeout: float) -> str:
    """As its server calls it, without a wait for a connection: a refused one is told at once.

    :raises TargetUnavailable: it does not answer. :raises TaskStopped: it refuses the credentials.
    """
    answer = channel.call("GetVersion", milvus_pb2.GetVersionRequest(), timeout)
    if error := milvus_errors.of_status("GetVersion", answer.status):
        raise error
    return str(answer.version)
