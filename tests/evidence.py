"""What the state says when both sides do not become equal: whether rows wait with us, or were taken by the target."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import redis

from cdc_core.coordination.channels import ChannelState, ChannelStore
from cdc_core.model.timestamp import Tso
from cdc_core.names import Keys


def evidence(state: redis.Redis, task: str) -> str:
    """A line per channel and per gate; ages are seconds before now, by this machine's clock."""
    return "\n".join([*_channels(state, task), *_gates(state)])


def last_lines(log: Path, words: tuple[str, ...], most: int = 8) -> str:
    """The last lines of a log that have one of these words, cut."""
    with log.open(errors="replace") as lines:
        found = [line.strip()[:400] for line in lines if any(word in line for word in words)]
    return "\n".join(found[-most:])


def _channels(state: redis.Redis, task: str) -> Iterator[str]:
    for each in ChannelStore(state, Keys()).of_task(task):
        yield f"{each.key.name}: resolved {_age(each.resolved)} s ago, {_condition(each)}"


def _condition(each: ChannelState) -> str:
    words = [f"owner {each.owner[-8:] or 'nobody'}"]
    words += [name for name in ("inflight", "gate", "done", "unsettled", "backoff") if name in each.fields]
    if each.stopped:
        words.append(f"stopped: {each.stopped}")
    return ", ".join(words)


def _gates(state: redis.Redis) -> Iterator[str]:
    for key in sorted(state.scan_iter(match=Keys().gate("*", "*"))):
        fields = state.hgetall(key)
        holds = {name: value for name, value in fields.items() if name[:2] in ("s:", "b:")}
        last = min(holds, key=lambda name: holds[name], default="")
        hold = f", least hold {_age(Tso.parse(holds[last]))} s ago by {last}" if last else ""
        yield f"{key}: tick {_age(Tso.parse(fields.get('tick', '')))} s ago, {len(holds)} holds{hold}"


def _age(at: Tso) -> str:
    return f"{time.time() - at.ms / 1000:.1f}"
