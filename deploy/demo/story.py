"""What happens on the source: every kind of change that the demo replicates."""

from collections.abc import Iterator
from typing import Any

import numpy
from pymilvus import DataType, MilvusClient

FILMS, SONGS, DRAFTS = "films", "songs", "drafts"
KEPT = (FILMS, SONGS)
DIMENSIONS = 128
ROWS = 50_000

_BATCH = 2_500
_PARTITIONS = {"classic": 10_000, "modern": 10_000, "lost": 5_000}  # of FILMS, with their rows
_SONGS, _DRAFTS = 20_000, 5_000
_DELETES, _UPSERTS = 2_000, 1_000


class Story:
    """Told step by step; the caller shows each step's title before it is taken."""

    def __init__(self, source: MilvusClient, seed: int = 7) -> None:
        self._source = source
        self._random = numpy.random.default_rng(seed)
        self._songs: list[int] = []  # keys that the server gave
        self._next_film = 0

    def steps(self) -> Iterator[str]:
        """The title of a step; the step itself is taken when the next one is asked for."""
        yield "create 3 collections, index and load them"
        self._create()
        yield f"insert {ROWS:,} rows of {DIMENSIONS} dimensions"
        self._insert()
        yield f"delete {2 * _DELETES:,} rows"
        self._delete()
        yield f"upsert {_UPSERTS:,} rows"
        self._upsert()
        yield "drop a partition"
        self._source.release_partitions(FILMS, ["lost"])
        self._source.drop_partition(FILMS, "lost")
        yield "drop a collection"
        self._source.drop_collection(DRAFTS)

    def insert_films(self, rows: int, partition: str) -> list[int]:
        """Their keys."""
        keys = list(range(self._next_film, self._next_film + rows))
        self._next_film += rows
        self._source.insert(FILMS, self._films(keys), partition_name=partition)
        return keys

    def insert_songs(self, rows: int) -> None:
        for start in range(0, rows, _BATCH):
            size = min(_BATCH, rows - start)
            batch = [{"vector": vector, "title": f"song {n}"} for n, vector in enumerate(self._vectors(size))]
            self._songs += self._source.insert(SONGS, batch)["ids"]

    def _create(self) -> None:
        for name in (FILMS, SONGS, DRAFTS):
            schema = self._source.create_schema(auto_id=name == SONGS, enable_dynamic_field=True)
            schema.add_field("key", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSIONS)
            schema.add_field("title", DataType.VARCHAR, max_length=64)
            self._source.create_collection(name, schema=schema, num_shards=2)
        for partition in _PARTITIONS:
            self._source.create_partition(FILMS, partition)
        for name in (FILMS, SONGS, DRAFTS):
            index = self._source.prepare_index_params()
            index.add_index("vector", index_type="FLAT", metric_type="L2")
            self._source.create_index(name, index)
            self._source.load_collection(name)

    def _insert(self) -> None:
        for partition, rows in _PARTITIONS.items():
            for _ in range(0, rows, _BATCH):
                self.insert_films(_BATCH, partition)
        self.insert_songs(_SONGS)
        for start in range(0, _DRAFTS, _BATCH):
            self._source.insert(DRAFTS, self._films(list(range(start, start + _BATCH))))

    def _delete(self) -> None:
        self._source.delete(FILMS, filter=f"key in {list(range(0, _DELETES * 4, 4))}")
        self._source.delete(SONGS, filter=f"key in {self._songs[:_DELETES]}")

    def _upsert(self) -> None:
        keys = list(range(1, _UPSERTS * 4, 4))
        self._source.upsert(FILMS, self._films(keys, "again"), partition_name="classic")

    def _films(self, keys: list[int], word: str = "film") -> list[dict[str, Any]]:
        vectors = self._vectors(len(keys))
        return [{"key": key, "vector": vector, "title": f"{word} {key}", "year": 1900 + key % 120}
                for key, vector in zip(keys, vectors, strict=True)]  # fmt: skip

    def _vectors(self, rows: int) -> Any:
        return self._random.random((rows, DIMENSIONS), dtype=numpy.float32)
