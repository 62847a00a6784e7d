"""Datacoord's and querycoord's records in etcd: the indexes of a collection, and whether it is loaded. No I/O.

Keys, below `<root>/<meta>/`: `field-index/<collection>/<index>` and `querycoord-collection-loadinfo/<collection>`.
(github.com/milvus-io/milvus, internal/metastore/kv/datacoord and querycoord.)
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from cdc_core.codec.etcd_records_pb2 import CollectionLoadInfo, FieldIndex
from cdc_core.codec.protobuf import schema_pb2
from cdc_core.model.catalog import Collection, Index, Serving

INDEXES = b"field-index/"
LOADS = b"querycoord-collection-loadinfo/"

logger = logging.getLogger(__name__)


def serving_of(
    indexes: Iterable[bytes], loads: Iterable[bytes], collections: Mapping[int, Collection]
) -> dict[int, Serving]:
    """What serves each of these collections, from the records' values. One that cannot be understood is left out."""
    found: dict[int, list[Index]] = defaultdict(list)
    for value in indexes:
        record = _parsed(FieldIndex, value)
        info = record.index_info if record else None
        collection = collections.get(info.collection_id) if info else None
        if record and info and collection and not record.deleted:
            found[collection.id].append(_index(info, collection))
    infos = [info for value in loads if (info := _parsed(CollectionLoadInfo, value))]
    replicas = {info.collection_id: info.replica_number for info in infos if info.collection_id in collections}
    return {
        number: Serving(tuple(sorted(found[number], key=lambda index: index.name)), replicas.get(number, 0))
        for number in {*found, *replicas}
    }


def _index(info: Any, collection: Collection) -> Index:
    schema = schema_pb2.CollectionSchema.FromString(collection.schema)
    field = next((field.name for field in schema.fields if field.fieldID == info.field_id), "")
    params = {pair.key: pair.value for pair in info.user_index_params or info.index_params}
    return Index(info.index_name, field, params)


def _parsed(kind: Any, value: bytes) -> Any:
    try:
        return kind.FromString(value)
    except DecodeError:
        logger.warning("a record of the source about an index or a load cannot be understood; it is left out")
        return None
