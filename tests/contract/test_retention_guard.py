"""The guard of unread checkpoints, on every queue and a real Redis; rules in tests/unit/test_retention.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc_core.coordination.leases import ChannelKey
from cdc_core.coordination.retention import Retention
from cdc_core.model.channel import VChannel
from cdc_core.model.plan import Plan
from cdc_core.model.position import Position
from cdc_core.model.timestamp import Tso
from cdc_core.pipeline.retention_guard import RetentionGuard
from tests.contract.brokers import Broker
from tests.contract.state import State

pytestmark = pytest.mark.contract


@pytest.fixture
def store(state: State) -> Iterator[Retention]:
    return Retention(state.client, state.keys)


def test_a_checkpoint_that_the_trimming_comes_near_is_told_until_it_has_moved_on(
    broker: Broker, state: State, store: Retention
) -> None:
    """A paused task's vchannel and its op channel; the first look has nothing to compare with."""
    topic = broker.topic()
    guard = RetentionGuard(state.channels, store, topic)
    ops = f"{topic}-replicate-msg"
    key = _vchannel(state, topic)
    ids = [broker.append(topic, b"x" * 100) for _ in range(10)]
    broker.cut(topic)
    ids += [broker.append(topic, b"x" * 100) for _ in range(20)]
    done = [broker.append(ops, b"x") for _ in range(3)]
    _checkpoint(state, key, topic, ids[12])
    catalog = state.catalog()
    state.put(catalog, position=Position(ops, done[-1], Tso(1)).to_base64())
    guard.look(broker.queue, ["one"])
    assert store.warnings(["one"]) == {"one": {}}
    broker.trim(topic, ids[10])
    guard.look(broker.queue, ["one"])
    warnings = store.warnings(["one"])["one"]
    assert list(warnings) == [topic]
    assert "resume the task" in warnings[topic]
    _checkpoint(state, key, topic, ids[-1])
    guard.look(broker.queue, ["one"])
    assert store.warnings(["one"]) == {"one": {}}


def test_a_topic_that_is_gone_is_no_error(broker: Broker, state: State, store: Retention) -> None:
    """A source that has never written there, or a topic that was removed."""
    key = _vchannel(state, "nothing")
    _checkpoint(state, key, "nothing", broker.append(broker.topic(), b"x"))
    RetentionGuard(state.channels, store, "nobody").look(broker.queue, ["one"])
    assert store.warnings(["one"]) == {"one": {}}


def _vchannel(state: State, pchannel: str) -> ChannelKey:
    vchannel = VChannel(pchannel, 440, 0)
    start = Position(vchannel.name, b"", Tso(0))
    plan = Plan(
        vchannel=vchannel,
        database="default",
        collection="films",
        shards=1,
        created=Tso(0),
        start=start,
        target="target:19530",
        target_database="default",
        target_collection="films",
        target_collection_id=900,
        target_vchannel=VChannel("target-dml_0", 900, 0),
    )
    state.channels.put("one", [plan])
    return ChannelKey("one", vchannel.name)


def _checkpoint(state: State, key: ChannelKey, pchannel: str, message_id: bytes) -> None:
    state.put(key, position=Position(pchannel, message_id, Tso(1)).to_base64())
