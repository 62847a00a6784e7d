"""A place in a source queue."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache

from cdc_core.model.timestamp import ZERO, Tso


@dataclass(frozen=True, slots=True)
class Position:
    """Where a vchannel is read from: seek to `message_id` **inclusive**, then drop everything at or below `timestamp`.

    So the place to continue from is in the type: no "plus one" anywhere. `message_id` is the queue's own form
    (8 bytes little-endian for Kafka offsets, RocksMQ ids and natsmq sequences; MessageIdData for Pulsar);
    empty means the beginning of the topic. On the API it is the base64 of Milvus'
    `MsgPosition{channel_name 1, msgID 2, msgGroup 3, timestamp 4}`.
    """

    channel: str
    message_id: bytes
    timestamp: Tso = ZERO
    group: str = ""

    def to_bytes(self) -> bytes:
        stamp = b"\x20" + _varint(self.timestamp) if self.timestamp else b""
        group = _part(b"\x1a", self.group.encode()) if self.group else b""
        return _channel_part(self.channel) + _part(b"\x12", self.message_id) + group + stamp

    def to_base64(self) -> str:
        return binascii.b2a_base64(self.to_bytes(), newline=False).decode()

    @classmethod
    def from_base64(cls, text: str) -> Position:
        """:raises ValueError: not base64, or not a MsgPosition."""
        try:
            return cls.from_bytes(base64.b64decode(text, validate=True))
        except (binascii.Error, UnicodeDecodeError, IndexError) as error:
            raise ValueError(f"not a base64 MsgPosition: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Position:
        """:raises ValueError: not a MsgPosition."""
        texts: dict[int, bytes] = {}
        timestamp, at = 0, 0
        while at < len(data):
            key, at = _read_varint(data, at)
            if key == 4 << 3:
                timestamp, at = _read_varint(data, at)
            elif key & 7 == 2 and 1 <= key >> 3 <= 3:
                size, at = _read_varint(data, at)
                if at + size > len(data):
                    raise ValueError("not a MsgPosition: it ends too early")
                texts[key >> 3] = data[at : at + size]
                at += size
            else:
                raise ValueError(f"not a MsgPosition: unexpected field key {key}")
        return cls(texts.get(1, b"").decode(), texts.get(2, b""), Tso(timestamp), texts.get(3, b"").decode())


def _part(key: bytes, value: bytes) -> bytes:
    return key + _varint(len(value)) + value if value else b""


@lru_cache(maxsize=16_384)
def _channel_part(channel: str) -> bytes:
    """Remembered: an idle vchannel writes its place twice a second."""
    return _part(b"\x0a", channel.encode())


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("not a MsgPosition: a number is too long")
