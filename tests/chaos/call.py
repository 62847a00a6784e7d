"""One ReplicateMessage call as it came to a target, and its two lines in a log: at its arrival and at its end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from cdc_core.codec import head
from cdc_core.codec.protobuf import milvus_pb2
from cdc_core.model.message import Kind
from cdc_core.model.timestamp import Tso
from cdc_core.source.base import Record


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of a call, ticks aside; `first` and `last` are its smallest and largest row timestamp."""

    kind: Kind
    vchannel: str
    msg_id: int
    first: Tso
    last: Tso
    digest: str

    @property
    def has_rows(self) -> bool:
        return self.kind in (Kind.INSERT, Kind.DELETE)


@dataclass(frozen=True, slots=True)
class Call:
    """Times are seconds of one clock; `ended` is None while it is under way, and `answer` '' when it succeeded.

    `client` names the connection. `reached` is whether the target may have seen it: before `ended`, if at all.
    """

    number: int
    client: str
    channel: str
    begin: Tso
    end: Tso
    messages: tuple[Sent, ...]
    ticks: tuple[Tso, ...]
    arrived: float
    mode: str
    reached: bool = True
    ended: float | None = None
    answer: str = ""

    @classmethod
    def of(cls, number: int, client: str, request: bytes, arrived: float, mode: str) -> Call:
        asked = milvus_pb2.ReplicateMessageRequest.FromString(request)
        found = [head.parse(Record("", b"", 0, payload)) for payload in asked.Msgs]
        return cls(
            number=number,
            client=client,
            channel=asked.channel_name,
            begin=Tso(asked.BeginTs),
            end=Tso(asked.EndTs),
            messages=tuple(
                Sent(each.kind, each.vchannel, each.msg_id, each.first, each.last, _digest(each.payload))
                for each in found
                if each.kind is not Kind.TIME_TICK
            ),
            ticks=tuple(each.first for each in found if each.kind is Kind.TIME_TICK),
            arrived=arrived,
            mode=mode,
        )

    @property
    def has_rows(self) -> bool:
        return any(message.has_rows for message in self.messages)

    def arrival_line(self) -> str:
        return json.dumps(
            {
                "call": self.number,
                "client": self.client,
                "channel": self.channel,
                "begin": int(self.begin),
                "end": int(self.end),
                "messages": [[m.kind, m.vchannel, m.msg_id, m.first, m.last, m.digest] for m in self.messages],
                "ticks": self.ticks,
                "arrived": self.arrived,
                "mode": self.mode,
            }
        )

    def end_line(self, ended: float, answer: str, *, reached: bool) -> str:
        return json.dumps({"ended": self.number, "at": ended, "answer": answer, "reached": reached})


def read(lines: Iterable[str]) -> list[Call]:
    """The calls of a log, in the order of their arrival."""
    calls: dict[int, Call] = {}
    for line in lines:
        data = json.loads(line)
        if "call" in data:
            calls[data["call"]] = _arrival(data)
        else:
            found = calls[data["ended"]]
            calls[data["ended"]] = replace(found, ended=data["at"], answer=data["answer"], reached=data["reached"])
    return sorted(calls.values(), key=lambda call: call.arrived)


def _arrival(data: dict[str, Any]) -> Call:
    return Call(
        number=data["call"],
        client=data["client"],
        channel=data["channel"],
        begin=Tso(data["begin"]),
        end=Tso(data["end"]),
        messages=tuple(
            Sent(Kind(kind), vchannel, msg_id, Tso(first), Tso(last), digest)
            for kind, vchannel, msg_id, first, last, digest in data["messages"]
        ),
        ticks=tuple(map(Tso, data["ticks"])),
        arrived=data["arrived"],
        mode=data["mode"],
    )


def _digest(payload: bytes) -> str:
    return hashlib.blake2b(payload, digest_size=12).hexdigest()
