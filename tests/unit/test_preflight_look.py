"""How the preflight finds its facts, on the memory twins: what it asks, what it leaves when there is no answer."""

from dataclasses import replace

import pytest

from cdc_core.clock import ManualClock
from cdc_core.errors import SourceUnavailable, TargetUnavailable
from cdc_core.model.catalog import ObjectState
from cdc_core.model.connect import MilvusConnect
from cdc_core.model.position import Position
from cdc_core.model.task import CollectionSelector, NameMapping, TaskSpec
from cdc_core.preflight.facts import Place, SourceFacts, TargetFacts, chosen
from cdc_core.preflight.source_look import look_at_source
from cdc_core.preflight.target_look import COMPARE_SECONDS, OpenTarget, look_at_target, look_at_twins
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.memory import MemoryTarget
from cdc_core.source.memory import MemoryQueue
from cdc_core.source.memory_catalog import MemoryCatalog
from cdc_core.source.sequence import to_message_id
from cdc_core.transform.filter import Selection
from cdc_core.transform.mapping import Names
from tests.messages import collection

pytestmark = pytest.mark.unit

PCHANNEL, OP_CHANNEL = "by-dev-rootcoord-dml_0", "by-dev-replicate-msg"


def spec(*selectors: CollectionSelector, op_position: Position | None = None) -> TaskSpec:
    return TaskSpec("one", MilvusConnect(uri="t:1"), {"default": selectors}, op_position=op_position)


def look(catalog: MemoryCatalog, queue: MemoryQueue, wanted: TaskSpec) -> SourceFacts:
    return look_at_source(catalog.refresh, lambda: queue, wanted, "by-dev")


def test_the_places_of_positions_of_starts_and_of_the_op_channel() -> None:
    """Given a trimmed topic, then every place that the task would be read from is there, with the topic's ends."""
    catalog, queue = MemoryCatalog(), MemoryQueue()
    start = Position(PCHANNEL, to_message_id(1))
    own = replace(collection("own"), start_positions={PCHANNEL: start})
    given = collection("given")
    for each in (own, given, replace(collection("new"), state=ObjectState.CREATING)):
        catalog.put_collection(each)
    for number in range(10):
        queue.append(PCHANNEL, b"%d" % number)
    queue.trim(PCHANNEL, to_message_id(4))
    (own_channel,), (given_channel,) = own.vchannels, given.vchannels
    facts = look(
        catalog,
        queue,
        spec(
            CollectionSelector("given", {given_channel.name: Position(PCHANNEL, to_message_id(6))}),
            CollectionSelector("*", {}, use_start_position=True),
            op_position=Position(OP_CHANNEL, b"\1"),
        ),
    )
    assert facts.error is None
    assert facts.topics == {PCHANNEL}
    assert isinstance(facts.places, tuple)
    assert set(facts.places) == {
        Place(given_channel.name, 6, 4, 9),
        Place(own_channel.name, 1, 4, 9, named=False),
        Place(OP_CHANNEL, None, None, None),
    }


def test_the_beginning_of_a_topic_is_no_place_that_could_be_gone() -> None:
    facts = look(MemoryCatalog(), MemoryQueue(), spec(op_position=Position(OP_CHANNEL, b"")))
    assert facts.places == ()


def test_a_source_half_of_which_is_away() -> None:
    catalog, queue = MemoryCatalog(), MemoryQueue()
    queue.set_available(False)
    facts = look(catalog, queue, spec())
    assert not isinstance(facts.catalog, SourceUnavailable)
    assert isinstance(facts.topics, SourceUnavailable)
    assert facts.error is facts.topics is facts.places
    queue.set_available(True)
    catalog.set_available(False)
    facts = look(catalog, queue, spec())
    assert isinstance(facts.error, SourceUnavailable)
    assert facts.topics == frozenset()


def opened(target: MemoryTarget) -> OpenTarget:
    return OpenTarget(target, target, lambda: "2.3.5")


@pytest.mark.parametrize("standby", [True, False])
def test_a_target_is_asked_whether_it_is_a_standby(standby: bool) -> None:
    facts = look_at_target(opened(MemoryTarget(standby=standby)))
    assert (facts.version, facts.standby, facts.error) == ("2.3.5", standby, None)


def test_a_target_that_does_not_answer_is_asked_once() -> None:
    def away() -> str:
        raise TargetUnavailable("nobody answers")

    facts = look_at_target(OpenTarget(MemoryTarget(), MemoryTarget(), away))
    assert isinstance(facts.error, TargetUnavailable)
    assert facts == TargetFacts.unknown(facts.error)


class SlowTarget(MemoryTarget):
    """Each description takes a second of the clock's."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def describe(self, database: str, name: str) -> TargetCollection | None:
        self._clock.advance(1)
        return super().describe(database, name)


def test_only_collections_that_are_there_are_compared_and_only_for_some_seconds() -> None:
    clock, catalog = ManualClock(), MemoryCatalog()
    target = SlowTarget(clock)
    there = [collection(f"c{number}") for number in range(int(COMPARE_SECONDS) + 3)]
    for each in there:
        catalog.put_collection(each)
        target.create_collection(each)
    catalog.put_collection(collection("elsewhere"))
    collections = chosen(catalog.current(), Selection.of(spec(CollectionSelector("*", {}))))
    facts = look_at_twins(look_at_target(opened(target)), target, collections, clock)
    assert isinstance(facts.twins, dict)
    assert len(facts.twins) == int(COMPARE_SECONDS) + 1
    assert facts.unseen == 2
    assert ("default", "elsewhere") not in facts.twins


def test_collections_are_looked_for_under_the_target_s_names() -> None:
    catalog, target, names = MemoryCatalog(), MemoryTarget(), Names((NameMapping("default", "x", {"a": "z"}),))
    catalog.put_collection(collection("a"))
    target.create_database("x", {})
    target.create_collection(collection("z", database="x"))
    collections = chosen(catalog.current(), Selection.of(spec(CollectionSelector("a", {}))), names)
    facts = look_at_twins(look_at_target(opened(target)), target, collections, ManualClock())
    assert isinstance(facts.twins, dict)
    assert set(facts.twins) == {("x", "z")}
