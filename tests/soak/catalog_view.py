"""What a Milvus has besides rows, asked of it by its ordinary client."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from pymilvus import MilvusClient


def catalog_view(uri: str, prefix: str) -> dict[str, Any]:
    """Of all databases whose names begin with `prefix`: collections with partitions, aliases, indexes and load."""
    with closing(MilvusClient(uri=uri)) as client:
        names = [name for name in client.list_databases() if name.startswith(prefix)]
    return {name: _database(uri, name) for name in sorted(names)}


def _database(uri: str, database: str) -> dict[str, Any]:
    with closing(MilvusClient(uri=uri, db_name=database)) as client:
        return {name: _collection(client, name) for name in sorted(client.list_collections())}


def _collection(client: MilvusClient, name: str) -> dict[str, Any]:
    described = client.describe_collection(name)
    return {
        "fields": [(field["name"], field["type"], field["params"]) for field in described["fields"]],
        "auto_id": described["auto_id"],
        "shards": described["num_shards"],
        "partitions": sorted(client.list_partitions(name)),
        "aliases": sorted(described["aliases"]),
        "indexes": {each: _index(client, name, each) for each in sorted(client.list_indexes(name))},
        "load": client.get_load_state(name)["state"].name,
    }


def _index(client: MilvusClient, name: str, index: str) -> dict[str, Any]:
    found = client.describe_index(name, index)
    return {key: found[key] for key in ("field_name", "index_type", "metric_type")}
