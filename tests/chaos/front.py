"""Stands before a Milvus: passes every call on as it is, writes down each ReplicateMessage, and makes trouble.

with Front(stack.target.address, directory) as front:
    api.create(milvus_connect_param={"uri": front.uri}, ...)
    with front.trouble(Trouble(Mode.LOST, rows=True)):
        ...
    assert not broken(front.calls())
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc

from cdc_core.codec.protobuf import common_pb2, milvus_pb2
from deploy.local.ports import Ports
from tests.chaos import call as log
from tests.chaos.call import Call

Metadata = list[tuple[str, str | bytes]]

REPLICATE = "/milvus.proto.milvus.MilvusService/ReplicateMessage"

_THREADS = 256  # a call that is slow or hangs has one
_LATE_CALL_SECONDS = 10.0
_LONG = 3600.0
_SIZES: list[tuple[str, int]] = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_SERVER_OPTIONS = [
    *_SIZES,
    ("grpc.so_reuseport", 0),
    # Clients that ping every 10 s are let live, as Milvus does.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
]
_CLIENT_OPTIONS = [
    *_SIZES,
    ("grpc.initial_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
]


class Mode(StrEnum):
    """What becomes of a ReplicateMessage."""

    PASS = "pass"
    SLOW = "slow"
    """It takes so many seconds more."""
    LATE = "late"
    """Its client is told that the connection broke, and it reaches the target so many seconds later."""
    OVERDUE = "overdue"
    """Its client waits for an answer until its deadline, and it reaches the target so many seconds later."""
    LOST = "lost"
    """It reaches the target, and the answer is lost."""
    REFUSED = "refused"
    """The answer of a Milvus that is no standby (any more)."""
    HANG = "hang"
    """There is no answer, and it does not reach the target."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls calls, those to `channels` (all if there are none), those that carry `rows`, `most` of them."""

    mode: Mode
    seconds: float = 0.0
    channels: frozenset[str] = frozenset()
    rows: bool = False
    most: int | None = None

    def befalls(self, call: Call, before: int) -> bool:
        """Whether it does, when it has befallen so many `before`."""
        return (
            (not self.channels or call.channel in self.channels)
            and (call.has_rows or not self.rows)
            and (self.most is None or before < self.most)
        )


class Front:
    """A context manager. Thread-safe."""

    def __init__(self, target: str, directory: Path) -> None:
        """`target` is "host:port"; the log lies in `directory`."""
        self._ports = Ports.of(directory, ["front"])
        self.address = f"127.0.0.1:{self._ports['front']}"
        self.uri = f"http://{self.address}"
        self.log_path = directory / "calls.jsonl"
        self.befallen = 0
        """Calls that the present trouble has befallen, or the last one did."""
        self._target = grpc.insecure_channel(target, options=_CLIENT_OPTIONS)
        self._methods: dict[str, Any] = {}
        self._server: grpc.Server | None = None
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._log = self.log_path.open("w")
        self._numbers = itertools.count(1)
        self._trouble: Trouble | None = None
        self._over = threading.Event()
        self._late: list[threading.Thread] = []

    def calls(self) -> list[Call]:
        """All so far, in the order of their arrival."""
        with self._lock:
            self._log.flush()
        with self.log_path.open() as lines:
            return log.read(lines)

    @contextmanager
    def trouble(self, trouble: Trouble) -> Iterator[None]:
        """For so long; what hangs or is slow is let go at its end, what is late arrives after it."""
        over = threading.Event()
        with self._lock:
            self._trouble, self._over, self.befallen = trouble, over, 0
        try:
            yield
        finally:
            with self._lock:
                self._trouble = None
            over.set()

    def await_trouble(self, calls: int = 1, patience: float = 60.0) -> None:
        """Return when the present trouble has befallen so many; they may be under way."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.befallen >= calls, patience), f"{self.befallen} of {calls} calls"

    def down(self) -> None:
        """Connections are refused."""
        if self._server:
            self._server.stop(0).wait()
            self._server = None

    def up(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, "front"), options=_SERVER_OPTIONS)
        self._server.add_generic_rpc_handlers((_AllMethods(self),))
        self._server.add_insecure_port(self.address)
        self._server.start()

    def serve(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        """One call, whatever it is; in a thread of its own."""
        if method == REPLICATE:
            return self._replicate(request, context)
        try:
            return self._pass_on(method, request, _metadata(context), _time_left(context))
        except grpc.RpcError as error:
            _fail(context, error.code(), error.details())

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        for thread in self._late:
            thread.join()
        self._target.close()
        self._log.close()
        self._ports.release()

    def _replicate(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        call, trouble, over = self._arrived(request, context.peer())
        match trouble.mode:
            case Mode.REFUSED:
                self._ended(call, "refused", reached=False)
                return _refusal()
            case Mode.HANG:
                over.wait(_time_left(context) or _LONG)
                self._ended(call, "hung", reached=False)
                _break(context)
            case Mode.LATE | Mode.OVERDUE:
                wait = (_time_left(context) or 0.0) if trouble.mode is Mode.OVERDUE else 0.0
                late = threading.Thread(
                    target=self._forward_late, args=(call, request, _metadata(context), wait + trouble.seconds)
                )
                self._late.append(late)
                late.start()
                threading.Event().wait(wait)
                _break(context)
            case Mode.SLOW:
                over.wait(trouble.seconds)
        return self._forward(call, request, context)

    def _forward(self, call: Call, request: bytes, context: grpc.ServicerContext) -> bytes:
        if not context.is_active():  # its client waits no more
            self._ended(call, "too late", reached=False)
            _break(context)
        try:
            answer = self._pass_on(REPLICATE, request, _metadata(context), _time_left(context))
        except grpc.RpcError as error:
            self._ended(call, error.code().name)
            _fail(context, error.code(), error.details())
        self._ended(call, _word(answer))
        if call.mode == Mode.LOST:
            _break(context)
        return answer

    def _forward_late(self, call: Call, request: bytes, metadata: Metadata, seconds: float) -> None:
        time.sleep(seconds)
        try:
            self._ended(call, _word(self._pass_on(REPLICATE, request, metadata, _LATE_CALL_SECONDS)))
        except grpc.RpcError as error:
            self._ended(call, error.code().name)

    def _pass_on(self, method: str, request: bytes, metadata: Metadata, timeout: float | None) -> bytes:
        if method not in self._methods:
            self._methods[method] = self._target.unary_unary(method)
        return bytes(self._methods[method](request, timeout=timeout, metadata=metadata))

    def _arrived(self, request: bytes, client: str) -> tuple[Call, Trouble, threading.Event]:
        call = Call.of(next(self._numbers), client, request, time.monotonic(), Mode.PASS)
        with self._lock:
            trouble = self._trouble
            if trouble is None or not trouble.befalls(call, self.befallen):
                trouble = Trouble(Mode.PASS)
            else:
                self.befallen += 1
                self._changed.notify_all()
                call = replace(call, mode=trouble.mode)
            self._log.write(call.arrival_line() + "\n")
            return call, trouble, self._over

    def _ended(self, call: Call, answer: str, *, reached: bool = True) -> None:
        with self._lock:
            self._log.write(call.end_line(time.monotonic(), answer, reached=reached) + "\n")


class _AllMethods(grpc.GenericRpcHandler):
    """Every method takes bytes and answers bytes."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(partial(self._front.serve, details.method))


def _metadata(context: grpc.ServicerContext) -> Metadata:
    return [(name, value) for name, value in context.invocation_metadata() if name != "user-agent"]


def _time_left(context: grpc.ServicerContext) -> float | None:
    left = context.time_remaining()
    return left if left is not None and left < _LONG else None


def _break(context: grpc.ServicerContext) -> NoReturn:
    """As a client is told whose connection ends under its call."""
    _fail(context, grpc.StatusCode.UNAVAILABLE, "Socket closed")


def _fail(context: grpc.ServicerContext, code: grpc.StatusCode, details: str | None) -> NoReturn:
    context.abort(code, details or "")
    raise AssertionError("abort raises")


def _word(answer: bytes) -> str:
    status = milvus_pb2.ReplicateMessageResponse.FromString(answer).status
    return f"{status.code} {status.reason}" if status.code else ""


def _refusal() -> bytes:
    """As 2.3.5 answers whose common.ttMsgEnabled is true."""
    status = common_pb2.Status(
        error_code=common_pb2.UnexpectedError, code=1900, reason="deny to replicate messages to the instance"
    )
    return bytes(milvus_pb2.ReplicateMessageResponse(status=status).SerializeToString())
