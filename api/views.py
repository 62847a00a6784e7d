"""What a client sees of a task: never a user name, a password, a token. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from cdc_core.coordination.dead_letters import DeadLetterList
from cdc_core.coordination.tasks import Checkpoint
from cdc_core.model.catalog import DEFAULT_DATABASE
from cdc_core.model.connect import Connect, KafkaConnect, MilvusConnect, SinkKind
from cdc_core.model.position import Position
from cdc_core.model.task import CollectionSelector, OnUndecodable, Task, TaskSpec
from cdc_core.names import OP_COLLECTION_ID
from cdc_core.preflight.check import Report

MOST_NAMES = 5
"""Of channels with one trouble: a source that is away is that of thousands."""
MOST_TROUBLES = 5
"""Of one task: each of thousands of channels may have its own."""


def task_view(task: Task, troubles: Mapping[str, str]) -> dict[str, Any]:
    """`troubles`: by channel, why it has stopped; told as the reason when the task itself has none."""
    spec = task.spec
    selections = {database: [_selector(entry) for entry in entries] for database, entries in spec.selectors.items()}
    view: dict[str, Any] = {
        "task_id": task.id,
        "milvus_connect_param": _milvus(spec.target if isinstance(spec.target, MilvusConnect) else MilvusConnect()),
        "kafka_connect_param": _kafka(spec.target if isinstance(spec.target, KafkaConnect) else KafkaConnect("", "")),
        "collection_infos": [] if spec.by_database else selections.get(DEFAULT_DATABASE, []),
        "db_collections": selections if spec.by_database else {},
        "state": task.state.value,
    }
    if spec.on_undecodable is not OnUndecodable.STOP:
        view["on_undecodable"] = spec.on_undecodable.value
    if extension := _extension(spec):
        view["extension"] = extension
    if reason := task.reason or _reason(troubles):
        view["reason"] = reason
    return view


def report_view(report: Report) -> dict[str, Any]:
    """What `validate_only` answers."""
    checks = [
        {"name": check.name, "status": check.status.value, "message": check.message, "advice": check.advice}
        for check in report.checks
    ]
    return {"checks": checks, "ok": report.ok}


def positions_view(checkpoints: Iterable[Checkpoint]) -> dict[str, list[dict[str, Any]]]:
    """`time` and `tt` are the checkpoint's own, to the last bit: what is at or below is done."""
    view: dict[str, list[dict[str, Any]]] = {"positions": [], "op_positions": [], "target_positions": []}
    for point in checkpoints:
        kind = "op_positions" if point.collection_id == OP_COLLECTION_ID else "positions"
        view[kind].append(_position(point.collection_id, point.channel, point.position))
        if at := point.target_position:
            view["target_positions"].append(_position(point.collection_id, at.channel, at))
    return view


def dead_letters_view(found: DeadLetterList) -> dict[str, Any]:
    """Nothing when there are none: the reference's clients do not know of them. `time` is unix milliseconds."""
    if not found.count:
        return {}
    return {
        "dead_letters": {
            "count": found.count,
            "entries": [listed.entry | {"time": listed.found} for listed in found.first],
        }
    }


def warnings_view(retention: Mapping[str, str], missing_slots: int) -> dict[str, Any]:
    """Of the queue's retention, by pchannel, and of vchannels without a worker; nothing when there are none."""
    found = [*_shortage(missing_slots), *(f"{pchannel}: {text}" for pchannel, text in sorted(retention.items()))]
    return {"warnings": found} if found else {}


def _shortage(missing: int) -> list[str]:
    """As a warning; none when every vchannel has a slot."""
    if not missing:
        return []
    advice = "start one more worker, or raise CDC_WORKER_SLOTS where there is memory for it"
    return [f"{missing} vchannels wait: all slots of all workers are taken; {advice}"]


def _milvus(connect: MilvusConnect) -> dict[str, Any]:
    return {
        "uri": connect.uri,
        "host": connect.host,
        "port": connect.port,
        "enable_tls": connect.enable_tls,
        "connect_timeout": connect.connect_timeout,
        "channel_num": connect.channel_num,
        "ignore_partition": connect.ignore_partition,
        "dial_config": asdict(connect.dial_config),
    }


def _extension(spec: TaskSpec) -> dict[str, Any]:
    """What differs from a client that knows none."""
    limits = {"max_rows_per_second": spec.rate_limits.rows, "max_bytes_per_second": spec.rate_limits.bytes}
    return _of_target(spec.target) | {name: limit for name, limit in limits.items() if limit}


def _of_target(connect: Connect) -> dict[str, Any]:
    if isinstance(connect, MilvusConnect):
        return {"sink": connect.sink.value} if connect.sink is not SinkKind.STANDBY else {}
    return {"format": connect.format.value, "vectors": connect.vectors.value}


def _kafka(connect: KafkaConnect) -> dict[str, Any]:
    sasl = {"mechanisms": connect.sasl.mechanisms, "security_protocol": connect.sasl.security_protocol}
    return {"address": connect.address, "topic": connect.topic, "enable_sasl": connect.enable_sasl, "sasl": sasl}


def _selector(selector: CollectionSelector) -> dict[str, Any]:
    view: dict[str, Any] = {"name": selector.name}
    if selector.positions:
        view["positions"] = {channel: position.to_base64() for channel, position in selector.positions.items()}
    if selector.use_start_position:
        view["use_start_position"] = True
    return view


def _position(collection_id: int, channel: str, position: Position) -> dict[str, Any]:
    return {
        "collection_id": collection_id,
        "channel_name": channel,
        "time": position.timestamp.ms,
        "tt": int(position.timestamp),
        "msg_id": position.to_base64(),
    }


def _reason(troubles: Mapping[str, str]) -> str:
    """Each trouble once, with the channels that have it, or a few of them; not more of either than one can read."""
    channels: dict[str, list[str]] = {}
    for channel, text in sorted(troubles.items()):
        channels.setdefault(text, []).append(channel)
    told = [f"{_listed(names)}: {text}" for text, names in islice(channels.items(), MOST_TROUBLES)]
    more = len(channels) - MOST_TROUBLES
    return "; ".join([*told, f"and {more:,} more troubles"] if more > 0 else told)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
