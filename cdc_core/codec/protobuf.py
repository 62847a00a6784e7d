"""Milvus' generated protobuf classes, imported in this one place.

Source: milvus-proto, as shipped in pymilvus (`pymilvus.grpc_gen`).
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def _bare(package: str) -> Iterator[None]:
    """Import what is in a package without running the package's own start: pymilvus' one loads pandas, which is 90 MB
    in every worker. Who wants all of it afterwards gets it, with the same generated classes.
    """
    spec = importlib.util.find_spec(package)
    if package in sys.modules or spec is None:
        yield
        return
    bare = ModuleType(package)
    bare.__path__ = list(spec.submodule_search_locations or ())
    sys.modules[package] = bare
    try:
        yield
    finally:
        del sys.modules[package]


with _bare("pymilvus"):
    from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc, msg_pb2, schema_pb2

__all__ = ["common_pb2", "milvus_pb2", "milvus_pb2_grpc", "msg_pb2", "schema_pb2"]
