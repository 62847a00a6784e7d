"""What stands before a target in the chaos tests: it changes nothing, writes down what it must, and makes trouble."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from cdc_core.codec import rewrite
from cdc_core.codec.protobuf import common_pb2, milvus_pb2
from cdc_core.model.message import Kind
from cdc_core.model.timestamp import Tso
from tests.chaos.front import REPLICATE, Front, Mode, Trouble
from tests.messages import simple_insert

pytestmark = pytest.mark.contract

OTHER = "/milvus.proto.milvus.MilvusService/GetVersion"
T = Tso.of(1_700_000_000_000)
PATIENCE = 30.0


class Target(grpc.GenericRpcHandler):
    """A server that keeps what it was sent, and answers or refuses."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes, dict[str, str]]] = []
        self.arrived = threading.Semaphore(0)
        self.refuses: grpc.StatusCode | None = None

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def serve(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.seen.append((details.method, request, dict(context.invocation_metadata())))
            self.arrived.release()
            if self.refuses:
                context.abort(self.refuses, "as it says")
            return b"" if details.method == REPLICATE else request

        return grpc.unary_unary_rpc_method_handler(serve)


@pytest.fixture
def target() -> Target:
    return Target()


@pytest.fixture
def front(target: Target, tmp_path: Path) -> Iterator[Front]:
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((target,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Front(f"127.0.0.1:{port}", tmp_path) as front:
        yield front
    server.stop(0).wait()


@pytest.fixture
def call(front: Front) -> Iterator[Callable[..., bytes]]:
    sizes = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(front.address, options=sizes) as channel:

        def call(request: bytes, method: str = REPLICATE, timeout: float = PATIENCE) -> bytes:
            metadata = [("authorization", "cm9vdA=="), ("dbname", "shop")]
            return bytes(channel.unary_unary(method)(request, timeout=timeout, metadata=metadata, wait_for_ready=True))

        yield call


def some_rows(tick: Tso | None = None) -> bytes:
    """One insert of the msgID 7, and perhaps a tick behind it."""
    messages = [simple_insert([1], T, msg_id=7).SerializeToString()]
    messages += [rewrite.time_tick(tick)] if tick else []
    base = common_pb2.MsgBase(msg_type=1212)
    request = milvus_pb2.ReplicateMessageRequest(base=base, channel_name="dml_1", BeginTs=T, EndTs=T, Msgs=messages)
    return bytes(request.SerializeToString())


def test_a_call_passes_as_it_is(target: Target, call: Callable[..., bytes]) -> None:
    """Its method, its bytes, of whatever size, its metadata and its answer."""
    large = bytes(20 << 20)
    assert call(large, OTHER) == large
    method, request, metadata = target.seen[0]
    assert (method, request == large) == (OTHER, True)
    assert (metadata["authorization"], metadata["dbname"]) == ("cm9vdA==", "shop")


def test_a_refusal_passes_as_it_is(target: Target, call: Callable[..., bytes]) -> None:
    target.refuses = grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError, match="as it says") as refused:
        call(b"", OTHER)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_what_is_replicated_is_written_down(front: Front, call: Callable[..., bytes]) -> None:
    call(some_rows(T.ceil()))
    (found,) = front.calls()
    (message,) = found.messages
    assert (found.channel, found.ticks, found.answer, found.reached) == ("dml_1", (T.ceil(),), "", True)
    assert (message.kind, message.msg_id, message.first, message.last) == (Kind.INSERT, 7, T, T)
    assert found.ended is not None
    assert found.arrived < found.ended


def test_an_answer_that_is_lost(front: Front, target: Target, call: Callable[..., bytes]) -> None:
    """As often as it is wanted, and no more."""
    with front.trouble(Trouble(Mode.LOST, rows=True, most=1)):
        with pytest.raises(grpc.RpcError, match="Socket closed"):
            call(some_rows())
        call(some_rows())
    assert len(target.seen) == 2
    assert [each.mode for each in front.calls()] == ["lost", "pass"]


@pytest.mark.parametrize("mode", [Mode.LATE, Mode.OVERDUE])
def test_a_call_that_is_late(front: Front, target: Target, call: Callable[..., bytes], mode: Mode) -> None:
    """Its client was told that it failed, or has waited in vain, before the target sees it."""
    with front.trouble(Trouble(mode, seconds=0.5)):
        with pytest.raises(grpc.RpcError):
            call(some_rows(), timeout=0.5)
        assert target.seen == []
    assert target.arrived.acquire(timeout=PATIENCE)


@pytest.mark.parametrize("mode", [Mode.HANG, Mode.REFUSED])
def test_a_call_that_never_arrives(front: Front, target: Target, call: Callable[..., bytes], mode: Mode) -> None:
    with front.trouble(Trouble(mode)):
        if mode is Mode.REFUSED:
            assert milvus_pb2.ReplicateMessageResponse.FromString(call(some_rows())).status.code == 1900
        else:
            with pytest.raises(grpc.RpcError):
                call(some_rows(), timeout=0.5)
    assert target.seen == []
    (found,) = front.calls()
    assert not found.reached


def test_a_front_that_is_down_comes_back_where_it_was(front: Front, call: Callable[..., bytes]) -> None:
    call(some_rows())
    front.down()
    with pytest.raises(grpc.RpcError):
        call(some_rows(), timeout=0.5)
    front.up()
    call(some_rows())
    assert len(front.calls()) == 2
