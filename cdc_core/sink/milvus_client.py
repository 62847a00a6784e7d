"""One gRPC channel to a Milvus, with its credentials."""

from __future__ import annotations

import base64
from typing import Any

import grpc

from cdc_core.codec.protobuf import milvus_pb2, milvus_pb2_grpc
from cdc_core.errors import TargetUnavailable, TaskStopped
from cdc_core.model.connect import MilvusConnect
from cdc_core.sink import milvus_errors, milvus_tls

DEFAULT_CONNECT_TIMEOUT = 10.0
"""Seconds; for the first connection."""

CALL_TIMEOUT = 30.0
"""Seconds; for calls that change or describe objects. Creating a collection takes about half a second on an idle
Milvus and several on a busy one."""

_CAUSE_TIMEOUT = 1.0
"""Seconds; a call that waits for no connection answers at once why there is none, unless the first packet is lost."""

_NOT_THERE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})

_OPTIONS: list[tuple[str, str | int]] = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A dead peer is noticed within 15 s. Milvus allows one ping in 5 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Below 1000 the Python client was seen not to reconnect for 50 s.
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.initial_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    # A channel of its own: another client in this process must not share its fate.
    ("grpc.use_local_subchannel_pool", 1),
]


class MilvusChannel:
    """Calls to one Milvus. Thread-safe; connects by itself and again after every break."""

    def __init__(self, connect: MilvusConnect, call_timeout: float = CALL_TIMEOUT) -> None:
        """Does not block; `call_timeout`, in seconds, is that of calls which are given none.

        :raises TaskStopped: a TLS file cannot be read or is none, or the address is none.
        """
        self.address = _address(connect)
        self._call_timeout = call_timeout
        self._connect_timeout = connect.connect_timeout or DEFAULT_CONNECT_TIMEOUT
        self._metadata = _authorization(connect.auth_token)
        self._channel = _open(connect, self.address)
        self._stub = milvus_pb2_grpc.MilvusServiceStub(self._channel)

    def wait_ready(self) -> None:
        """Blocks until it is connected. :raises TargetUnavailable: it is not within the connect time-out."""
        # Any answer will do, a refusal too. gRPC's own way is a thread that dies with noise when the channel is closed.
        try:
            self._version(self._connect_timeout, wait=True)
        except grpc.RpcError as error:
            if error.code() in _NOT_THERE:
                raise TargetUnavailable(
                    f"no connection to {self.address} within {self._connect_timeout:g} s: {self._cause()}"
                ) from None
        except ValueError as error:
            raise milvus_errors.of_call(f"the connection to {self.address}", error) from error

    def call(self, method: str, request: Any, timeout: float | None = None) -> Any:
        """The answer, whatever its status says.

        :raises TargetUnavailable, Refused, TaskStopped: there is no answer (milvus_errors.of_call).
        """
        try:
            return self._method(method)(
                request, timeout=timeout or self._call_timeout, metadata=self._metadata_for(request)
            )
        except (grpc.RpcError, ValueError) as error:
            raise milvus_errors.of_call(f"{method} at {self.address}", error) from error

    def start(self, method: str, request: Any, timeout: float) -> grpc.Future:
        """The same without waiting; `answer` waits for it. :raises TargetUnavailable: the channel is closed."""
        try:
            return self._method(method).future(request, timeout=timeout, metadata=self._metadata_for(request))
        except ValueError as error:
            raise milvus_errors.of_call(f"{method} at {self.address}", error) from error

    def answer(self, method: str, started: grpc.Future) -> Any:
        """What `start` started; raises as `call`."""
        try:
            return started.result()
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            raise milvus_errors.of_call(f"{method} at {self.address}", error) from error

    def close(self) -> None:
        self._channel.close()

    def _cause(self) -> str:
        """Of there being no connection: what the last attempt at one came to."""
        try:
            self._version(_CAUSE_TIMEOUT, wait=False)
        except grpc.RpcError as error:
            return f"{milvus_tls.advice(error.details()) or 'is it running?'} ({error.details()})"
        except ValueError as error:
            return str(error)  # closed meanwhile
        return "it is there only now"

    def _version(self, timeout: float, *, wait: bool) -> None:
        """A call that every Milvus answers; `wait` for a connection, or fail where there is none."""
        self._stub.GetVersion(
            milvus_pb2.GetVersionRequest(), timeout=timeout, metadata=self._metadata, wait_for_ready=wait
        )

    def _method(self, name: str) -> Any:
        return getattr(self._stub, name)

    def _metadata_for(self, request: Any) -> tuple[tuple[str, str], ...]:
        # Some calls of a 2.3 server look for the database here, others in the request.
        database = getattr(request, "db_name", "")
        return (*self._metadata, ("dbname", database)) if database else self._metadata


def _address(connect: MilvusConnect) -> str:
    try:
        return connect.address
    except ValueError as error:
        raise TaskStopped(f"the target's address: {error}") from error


def _authorization(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", base64.b64encode(token.encode()).decode()),) if token else ()


def _open(connect: MilvusConnect, address: str) -> grpc.Channel:
    if not connect.tls:
        return grpc.insecure_channel(address, options=_OPTIONS)
    name = connect.dial_config.server_name
    override = [("grpc.ssl_target_name_override", name)] if name else []
    return grpc.secure_channel(address, milvus_tls.credentials(connect.dial_config), options=_OPTIONS + override)
