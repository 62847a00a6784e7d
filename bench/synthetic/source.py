"""The synthetic queue and catalog (`cdc_core.source.base`)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from bench.synthetic.shape import DIM, PREFIX, SHARDS, TICK_MS, Load, Shape
from cdc_core.codec import rewrite
from cdc_core.codec.protobuf import common_pb2, msg_pb2, schema_pb2
from cdc_core.model.channel import VChannel
from cdc_core.model.timestamp import Tso
from cdc_core.source.base import Lost, Record
from cdc_core.source.memory_catalog import MemoryCatalog
from cdc_core.source.sequence import to_message_id, to_number

PLACES = 1024
"""Message ids of one tick on one pchannel: rows, and the tick is the last of them."""
_MOST_TICKS = 500
"""Of one poll."""
_LOAD_SECONDS = 1.0


class SyntheticQueue:
    """`read_load` answers who gets rows; asked once a second, so a load has to begin some seconds ahead."""

    def __init__(self, shape: Shape, read_load: Callable[[], Load]) -> None:
        self.shape = shape
        self._read_load = read_load
        self._load = Load()
        self._load_at = 0.0
        self._channels: dict[str, list[tuple[int, VChannel]]] = {name: [] for name in shape.pchannels}
        for number, collection in enumerate(shape.collections()):
            for channel in collection.vchannels:
                self._channels[channel.pchannel].append((number, channel))

    def reader(self) -> SyntheticReader:
        return SyntheticReader(self)

    def order(self, message_id: bytes) -> int:
        return to_number(message_id)

    def tail(self, pchannel: str) -> bytes:
        return to_message_id(self.ticks() * PLACES - 1) if pchannel in self._channels else b""

    def head(self, pchannel: str) -> bytes:
        return to_message_id(PLACES - 1) if pchannel in self._channels else b""

    def topics(self) -> frozenset[str]:
        return frozenset(self._channels)

    def close(self) -> None:
        """Nothing to let go of."""

    def ticks(self) -> int:
        """How many there have been."""
        return (int(time.time() * 1000) - self.shape.began) // TICK_MS

    def time_of(self, tick: int) -> int:
        """Unix ms."""
        return self.shape.began + (tick + 1) * TICK_MS

    def records(self, pchannel: str, start: int) -> list[Record]:
        """What there is from that number on."""
        if pchannel not in self._channels:
            return []
        found: list[Record] = []
        first = start // PLACES
        for tick in range(first, min(self.ticks(), first + _MOST_TICKS)):
            found += [each for each in self._of_tick(pchannel, tick) if each.order >= start]
        return found

    def _of_tick(self, pchannel: str, tick: int) -> list[Record]:
        load = self._current_load()
        records = []
        if load.first <= tick <= load.last:
            due = [channel for number, channel in self._channels[pchannel] if load.is_due(number, tick)]
            for place, channel in enumerate(due):
                payload = _insert(channel, tick * PLACES + place, self.time_of(tick) - TICK_MS // 2, load.rows)
                records.append(_record(pchannel, tick * PLACES + place, payload))
        return [*records, _record(pchannel, tick * PLACES + PLACES - 1, _tick(self.time_of(tick)))]

    def _current_load(self) -> Load:
        if time.monotonic() - self._load_at > _LOAD_SECONDS:
            self._load, self._load_at = self._read_load(), time.monotonic()
        return self._load


class SyntheticReader:
    """Sleeps until the next tick, as a broker's long poll does."""

    def __init__(self, queue: SyntheticQueue) -> None:
        self._queue = queue
        self._places: dict[str, int] = {}
        self._paused: set[str] = set()

    def add(self, pchannel: str, start: bytes) -> None:
        self._places[pchannel] = to_number(start) if start else 0

    def remove(self, pchannel: str) -> None:
        self._places.pop(pchannel, None)
        self._paused.discard(pchannel)

    def pause(self, pchannel: str) -> None:
        self._paused.add(pchannel)

    def resume(self, pchannel: str) -> None:
        self._paused.discard(pchannel)

    def poll(self, timeout: float) -> Sequence[Record | Lost]:
        found = self._take()
        if not found:
            next_tick = self._queue.time_of(self._queue.ticks()) / 1000 - time.time()
            time.sleep(max(0.001, min(timeout, next_tick)))
            found = self._take()
        return found

    def close(self) -> None:
        self._places.clear()

    def _take(self) -> list[Record]:
        found: list[Record] = []
        for pchannel in [name for name in self._places if name not in self._paused]:
            records = self._queue.records(pchannel, self._places[pchannel])
            if records:
                self._places[pchannel] = records[-1].order + 1
                found += records
        return found


def synthetic_catalog(shape: Shape) -> MemoryCatalog:
    catalog = MemoryCatalog()
    for collection in shape.collections():
        catalog.put_collection(collection)
    return catalog


def _record(pchannel: str, order: int, payload: bytes) -> Record:
    return Record(pchannel, to_message_id(order), order, payload)


@lru_cache(maxsize=1024)
def _tick(ms: int) -> bytes:
    return rewrite.time_tick(Tso.of(ms))


def _insert(channel: VChannel, order: int, ms: int, rows: int) -> bytes:
    """Equal bytes in every process."""
    first = order * SHARDS * 1000 + channel.shard * 1000
    stamp = Tso.of(ms, channel.collection_id % 1000)
    request = msg_pb2.InsertRequest(
        base=common_pb2.MsgBase(
            msg_type=common_pb2.MsgType.Insert, msgID=first + channel.collection_id, timestamp=stamp
        ),
        shardName=channel.name,
        db_name="default",
        collection_name="",
        partition_name="_default",
        collectionID=channel.collection_id,
        partitionID=channel.collection_id + 1,
        timestamps=[stamp] * rows,
        rowIDs=range(first, first + rows),
        num_rows=rows,
        version=msg_pb2.InsertDataVersion.ColumnBased,
        fields_data=_fields(first, rows),
    )
    return bytes(request.SerializeToString())


def _fields(first: int, rows: int) -> Sequence[schema_pb2.FieldData]:
    key = schema_pb2.FieldData(type=schema_pb2.DataType.Int64, field_name="id", field_id=100)
    key.scalars.long_data.data.extend(range(first, first + rows))
    vector = schema_pb2.FieldData(type=schema_pb2.DataType.FloatVector, field_name="vector", field_id=101)
    vector.vectors.dim = DIM
    vector.vectors.float_vector.data.extend(_numbers(rows))
    return [key, vector]


@lru_cache(maxsize=8)
def _numbers(rows: int) -> Sequence[float]:
    rng = random.Random(rows)
    return tuple(rng.random() for _ in range(rows * DIM))


def operations_channel() -> str:
    return f"{PREFIX}-replicate-msg"
