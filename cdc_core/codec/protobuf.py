"""Milvus' generated protobuf classes, imported in this one place.

Source: milvus-proto, as shipped in pymilvus (`pymilvus.grpc_gen`).
"""

from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc, msg_pb2, schema_pb2

__all__ = ["common_pb2", "milvus_pb2", "milvus_pb2_grpc", "msg_pb2", "schema_pb2"]
