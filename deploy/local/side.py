"""One of the two Milvus of a comparison, read whole."""

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from pymilvus import DataType, MilvusClient

DEFAULT = "default"

_PAGE_BYTES = 8 << 20
_PAGE_ROWS = 16_384  # the server's limit of one answer
_BIG_VALUE = 256  # bytes taken for a column of no fixed size
_QUERY_TIMEOUT = 60.0  # seconds; a query that takes longer hangs

# What must be the same on both sides, of a collection's description and of its columns'.
_COLLECTION = ("num_shards", "auto_id", "enable_dynamic_field", "num_partitions", "consistency_level")
_FIELD = ("name", "type", "params", "is_primary", "auto_id", "is_partition_key", "element_type", "is_dynamic")


class Side:
    """One of the two Milvus; a context manager. Raises MilvusException."""

    def __init__(self, uri: str, database: str = DEFAULT, token: str = "", consistency: str = "Strong") -> None:
        """A standby answers Strong only while it gets ticks, Eventually always."""
        self.client = MilvusClient(uri=uri, token=token, db_name=database)
        self._consistency = consistency

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    def collections(self) -> set[str]:
        return set(self.client.list_collections())

    def partitions(self, collection: str) -> set[str]:
        return set(self.client.list_partitions(collection))

    def describe(self, collection: str) -> dict[str, Any]:
        """What must be the same on both sides, flat: words -> value."""
        found = self.client.describe_collection(collection)
        told = {name: found.get(name) for name in _COLLECTION}
        for field in found["fields"]:
            told |= {f"{field['name']}.{name}": field.get(name) for name in _FIELD}
        return told

    def count(self, collection: str, partition: str | None = None) -> int:
        """count(*): a key that is stored twice counts twice."""
        return int(self._query(collection, "", ["count(*)"], partition)[0]["count(*)"])

    def divisions(self, collection: str) -> set[str | None]:
        """What can be read apart: partitions, or with a partition key, where none can be named, all (None)."""
        fields = self.client.describe_collection(collection)["fields"]
        if any(field.get("is_partition_key") for field in fields):
            return {None}
        return {*self.partitions(collection)}

    def rows(self, collection: str, partition: str | None) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Key and row, in the keys' order; a page of them is held in memory."""
        fields = self.client.describe_collection(collection)["fields"]
        key = next(field for field in fields if field.get("is_primary"))
        condition, limit = _first_page(key), _page_rows(fields)
        while page := self._query(collection, condition, ["*"], partition, limit=limit):
            rows = sorted(((row[key["name"]], row) for row in page), key=lambda pair: pair[0])
            yield from rows
            condition = f"{key['name']} > {json.dumps(rows[-1][0], ensure_ascii=False)}"

    def _query(
        self, collection: str, condition: str, columns: list[str], partition: str | None, **more: Any
    ) -> list[dict[str, Any]]:
        # With `reduce_stop_for_best` a limit means "the smallest keys", as pymilvus' own iterator needs it.
        return list(
            self.client.query(
                collection,
                condition,
                columns,
                partition_names=[partition] if partition else None,
                consistency_level=self._consistency,
                timeout=_QUERY_TIMEOUT,
                reduce_stop_for_best="True",
                **more,
            )
        )


def _first_page(key: dict[str, Any]) -> str:
    return f'{key["name"]} >= ""' if key["type"] == DataType.VARCHAR else f"{key['name']} >= {-(2**63) + 1}"


def _page_rows(fields: list[dict[str, Any]]) -> int:
    width = sum(field["params"].get("dim", 0) * 4 or _BIG_VALUE for field in fields)
    return max(16, min(_PAGE_ROWS, _PAGE_BYTES // width))
