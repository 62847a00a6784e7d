"""What a process that reads and writes messages need not load."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

_LOADS = """
import sys
from cdc_core.codec.protobuf import common_pb2, milvus_pb2_grpc
assert "pandas" not in sys.modules
assert "pymilvus" not in sys.modules
import pymilvus
from pymilvus.grpc_gen import common_pb2 as same
assert pymilvus.MilvusClient
assert same is common_pb2
"""


@pytest.mark.parametrize("first", ["", "import pymilvus\n"])
def test_the_classes_come_without_the_client_and_the_client_comes_with_the_same_classes(first: str) -> None:
    script = first + (_LOADS if not first else _LOADS.replace("not in", "in"))
    subprocess.run([sys.executable, "-c", script], check=True)
