"""How much one `create` may name: it is compared with other tasks while other clients wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cdc_core.model.task import ANY

MOST_NAMES = 10_000
MOST_WILDCARDS = 500
"""Each of them may have something in common with each of another task's."""


def too_many(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Field and what is wrong with it; `data` of any shape, because reading it into one takes the longest."""
    chosen = list(_chosen(data))
    field = "db_collections" if data.get("db_collections") else "collection_infos"
    entries = [entry for _, entry in chosen]
    mappings = [_object(_object(entry).get("collection_mapping")) for entry in _list(data.get("name_mapping"))]
    wildcards = sum(ANY in (database, entry.get("name")) for database, entry in chosen)
    for name, what, count, most in (
        (field, "collections", len(entries), MOST_NAMES),
        (field, f"names with {ANY}", wildcards, MOST_WILDCARDS),
        (field, "positions", sum(len(_object(entry.get("positions"))) for entry in entries), MOST_NAMES),
        ("name_mapping", "names", len(mappings) + sum(map(len, mappings)), MOST_NAMES),
    ):
        if count > most:
            yield name, f"{count:,} {what}, expected {most:,} at most; make several tasks"


def _chosen(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    lists = [("", data.get("collection_infos")), *_object(data.get("db_collections")).items()]
    for database, entries in lists:
        for entry in _list(entries):
            yield database, _object(entry)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
