"""A standby Milvus as the target: messages go into its own channels (`ReplicateMessage`).

Source: milvus-proto, `milvus.proto`; the standby runs with `common.ttMsgEnabled: false`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from cdc_core.clock import Clock, SystemClock
from cdc_core.codec import rewrite
from cdc_core.codec.protobuf import common_pb2, milvus_pb2
from cdc_core.errors import CdcError, Refused
from cdc_core.model.timestamp import Tso
from cdc_core.sink import milvus_errors
from cdc_core.sink.base import refuse_oversize
from cdc_core.sink.milvus_client import MilvusChannel
from cdc_core.sink.milvus_version import number_of, server_version

_METHOD = "ReplicateMessage"
_REPLICATE = 1212  # common.MsgType
_BAD_PARAMETER = 1100
_IMPORTS_SINCE = (2, 5)


class MilvusReplicate:
    """`Sink` of a standby; the channel may be shared with its catalog and is the owner's to close."""

    def __init__(self, channel: MilvusChannel, clock: Clock | None = None) -> None:
        self._channel = channel
        self._clock = clock or SystemClock()

    def send(
        self,
        pchannel: str,
        messages: Sequence[bytes],
        *,
        begin: Tso,
        end: Tso,
        tick: Tso | None,
        timeout: float,
    ) -> None:
        refuse_oversize(messages)
        request = self._request(pchannel, messages, begin, end, tick)
        _raise(_error(pchannel, self._channel.call(_METHOD, request, timeout)))

    def tick_all(self, ticks: Mapping[str, Tso], timeout: float) -> Mapping[str, Exception]:
        failed: dict[str, Exception] = {}
        started: dict[str, grpc.Future] = {}
        for pchannel, tick in ticks.items():
            try:
                request = self._request(pchannel, (), tick, tick, tick)
                started[pchannel] = self._channel.start(_METHOD, request, timeout)
            except CdcError as error:
                failed[pchannel] = error
        for pchannel, call in started.items():
            try:
                _raise(_error(pchannel, self._channel.answer(_METHOD, call)))
            except CdcError as error:
                failed[pchannel] = error
        return failed

    def takes_imports(self, timeout: float) -> bool:
        return number_of(server_version(self._channel, timeout)) >= _IMPORTS_SINCE

    def check(self, timeout: float) -> None:
        # A call without a channel name is turned away before anything is done, but only after the server has looked
        # at the credentials and at whether it is a standby. Seen on 2.3.5: code 1100 from a standby, 1900 from others.
        self._channel.wait_ready()
        answer = self._channel.call(_METHOD, milvus_pb2.ReplicateMessageRequest(), timeout)
        if answer.status.code != _BAD_PARAMETER:
            _raise(_error("the probe", answer))

    def close(self) -> None:
        self._channel.close()

    def _request(
        self, pchannel: str, messages: Sequence[bytes], begin: Tso, end: Tso, tick: Tso | None
    ) -> milvus_pb2.ReplicateMessageRequest:
        # A standby refuses inserts whose EndTs is 2 s ahead of its clock, and takes any lower value: nothing but
        # its choice of a segment looks at it.
        now = Tso.of(int(self._clock.now() * 1000))
        return milvus_pb2.ReplicateMessageRequest(
            base=common_pb2.MsgBase(msg_type=_REPLICATE),
            channel_name=pchannel,
            BeginTs=min(begin, now),
            EndTs=min(end, now),
            Msgs=[*messages, rewrite.time_tick(tick)] if tick is not None else messages,
        )


def _error(pchannel: str, answer: Any) -> CdcError | None:
    error = milvus_errors.of_status(f"{_METHOD} to {pchannel}", answer.status)
    if isinstance(error, Refused):
        return Refused(f"{error}; a beginning of the call may have been written")
    return error


def _raise(error: CdcError | None) -> None:
    if error is not None:
        raise error
