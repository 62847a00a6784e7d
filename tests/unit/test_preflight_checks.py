"""What the preflight makes of its facts: each judgement, by table. (The looking: test_preflight_look.py.)"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cdc_core.errors import CdcError, NoStandby, SourceUnavailable, TargetUnavailable, TaskStopped
from cdc_core.model.catalog import Catalog, Collection
from cdc_core.model.channel import VChannel
from cdc_core.model.connect import KafkaConnect, MilvusConnect, SinkKind, VectorFormat
from cdc_core.model.position import Position
from cdc_core.model.task import CollectionSelector, NameMapping, TaskSpec
from cdc_core.preflight.check import Check, Report, Status, failed, passed, warned
from cdc_core.preflight.facts import Chosen, Facts, KafkaFacts, Place, SourceFacts, TargetFacts, WorkerFacts
from cdc_core.preflight.judge import judge
from cdc_core.preflight.kafka_checks import row_bytes
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.kafka_cluster import Topic
from tests.messages import KEY, VECTOR, DataType, collection, schema_field

pytestmark = pytest.mark.unit

A, B = collection("a", shards=2), collection("b")
CHANNELS = frozenset({"by-dev-rootcoord-dml_0", "by-dev-rootcoord-dml_1", "by-dev-replicate-msg"})
DOWN = SourceUnavailable("nobody answers")
AWAY = TargetUnavailable("nobody answers")
KAFKA = KafkaConnect("k:9092", "t")
PLACE = Place(A.vchannels[0].name, 50, 10, 90)

Expected = tuple[str, str, str, bool]
"""Status, a part of the message, a part of the advice, whether a create is refused for it."""
FINE: Expected = ("pass", "", "", False)


def catalog(*collections: Collection) -> Catalog:
    return Catalog(1, {}, {each.id: each for each in collections})


def twin(like: Collection, **changes: Any) -> TargetCollection:
    vchannels = tuple(VChannel(f"standby-rootcoord-dml_{n}", 7, n) for n in range(like.shards))
    return replace(TargetCollection(7, like.database, like.name, like.schema, vchannels, {}, 2, {}), **changes)


def spec(*names: str, channel_num: int = 16, **positions: Mapping[str, Position]) -> TaskSpec:
    selectors = tuple(CollectionSelector(name, positions.get(name, {})) for name in names or ("*",))
    return TaskSpec("one", MilvusConnect(uri="target:19530", channel_num=channel_num), {"default": selectors})


def source(
    found: Catalog | CdcError | None = None,
    topics: frozenset[str] | CdcError = CHANNELS,
    places: tuple[Place, ...] | CdcError = (),
) -> SourceFacts:
    return SourceFacts("by-dev", catalog(A, B) if found is None else found, topics, places)


def target(**changes: Any) -> TargetFacts:
    return replace(TargetFacts("v2.3.5", True, frozenset({"standby-rootcoord-dml_3"}), {}), **changes)


MAPPED = replace(spec("a"), name_mapping=(NameMapping("default", "x", {"a": "z"}),))
SOURCE, TARGET, WORKERS = source(), target(), WorkerFacts(workers=2, slots=200, taken=0)


def check(
    name: str,
    wanted: TaskSpec | None = None,
    source: SourceFacts = SOURCE,
    target: TargetFacts = TARGET,
    workers: WorkerFacts = WORKERS,
) -> tuple[Status, str, str, bool]:
    report = judge(wanted or spec(), Facts(source, target, workers))
    (found,) = (each for each in report.checks if each.name == name)
    return found.status, found.message, found.advice, found in report.refusing


def holds(found: tuple[Status, str, str, bool], expected: Expected) -> None:
    status, message, advice, refused = found
    assert (status, refused) == (expected[0], expected[3]), message
    assert expected[1] in message
    assert expected[2] in advice
    assert bool(advice) == (status != "pass")


def test_all_is_well() -> None:
    """Every check is there, in this order."""
    report = judge(spec("a", "b"), Facts(source(), target(), WORKERS))
    assert [each.name for each in report.checks] == [
        *("source_etcd", "source_queue", "source_cluster", "names", "positions"),
        *("target", "standby", "version", "channels", "schemas", "workers"),
    ]
    assert {each.status for each in report.checks} == {Status.PASS}
    assert report.ok
    assert report.refusing == ()


def test_all_is_well_with_kafka() -> None:
    wanted = replace(spec(), target=KAFKA)
    report = judge(wanted, Facts(source(), None, WORKERS, KafkaFacts(Topic("t", 3, 1_000_000))))
    assert [each.name for each in report.checks] == [
        *("source_etcd", "source_queue", "source_cluster", "names", "positions"),
        *("target", "topic", "message_size", "workers"),
    ]
    assert {each.status for each in report.checks} == {Status.PASS}


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        ("target", KafkaFacts(TargetUnavailable("it is away")), ("fail", "it is away", "start the brokers", False)),
        ("target", KafkaFacts(TaskStopped("wrong password")), ("fail", "wrong password", "sasl", True)),
        ("topic", KafkaFacts(TaskStopped("wrong password")), ("warn", "not looked at", "mend that", False)),
        ("topic", KafkaFacts(Topic("t", 3, None)), ("pass", "3 partitions", "", False)),
        ("topic", KafkaFacts(None), ("pass", "'t' will be made", "", False)),
        ("topic", KafkaFacts(None, TaskStopped("not allowed")), ("fail", "not allowed", "make the topic", True)),
        ("message_size", KafkaFacts(TargetUnavailable("away")), ("warn", "not looked at", "mend that", False)),
        ("message_size", KafkaFacts(Topic("t", 3, None)), ("pass", "is not known", "", False)),
        ("message_size", KafkaFacts(Topic("t", 3, 700)), ("warn", "default.a, default.b", "max.message.bytes", False)),
    ],
)
def test_kafka(name: str, facts: KafkaFacts, expected: Expected) -> None:
    report = judge(replace(spec(), target=KAFKA), Facts(source(), None, WORKERS, facts))
    (found,) = (each for each in report.checks if each.name == name)
    holds((found.status, found.message, found.advice, found in report.refusing), expected)


def test_the_largest_row_of_a_schema() -> None:
    """Vectors count by how they are written; JSON and texts as the server limits them."""
    fields = (
        schema_field(100, "id", DataType.Int64, is_primary_key=True),
        schema_field(101, "v", DataType.FloatVector, dim=768),
        schema_field(102, "bits", DataType.BinaryVector, dim=768),
        schema_field(103, "text", DataType.VarChar, max_length=1000),
        schema_field(104, "json", DataType.JSON),
        schema_field(105, "texts", DataType.Array, element_type=DataType.VarChar, max_length=100, max_capacity=10),
    )
    found = Chosen(collection("large", fields), CollectionSelector("large", {}), ("default", "large"))
    rest = 600 + 24 + 1000 + 65_536 + 1000
    assert row_bytes(found, VectorFormat.ARRAY) == rest + 768 * 24 + 96 * 24
    assert row_bytes(found, VectorFormat.BASE64) == rest + 768 * 4 * 4 // 3 + 96 * 4 // 3


@pytest.mark.parametrize(
    ("checks", "ok", "refusing"),
    [
        ([], True, []),
        ([passed("a", "fine"), warned("b", "hm", "look")], True, []),
        ([failed("a", "down", "wait", lasting=False)], False, []),
        ([failed("a", "down", "wait", lasting=False), failed("b", "no", "mend", lasting=True)], False, ["b"]),
    ],
)
def test_what_a_report_says(checks: list[Check], ok: bool, refusing: list[str]) -> None:
    report = Report(tuple(checks))
    assert report.ok is ok
    assert [each.name for each in report.refusing] == refusing


def test_a_check_in_words() -> None:
    assert str(failed("standby", "it is none", "make it one", lasting=True)) == "standby: it is none; make it one"
    assert str(passed("standby", "it is one")) == "standby: it is one"


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        ("source_etcd", source(), ("pass", "2 collections are known", "", False)),
        ("source_etcd", source(DOWN), ("fail", "nobody answers", "CDC_SOURCE_ETCD_ENDPOINTS", False)),
        ("source_queue", source(), ("pass", "3 topics", "", False)),
        ("source_queue", source(topics=DOWN), ("fail", "nobody answers", "CDC_SOURCE_MQ", False)),
        ("source_cluster", source(), ("pass", "all 2 channels", "", False)),
        ("source_cluster", source(catalog()), ("warn", "no collection yet", "CDC_SOURCE_MQ", False)),
        ("source_cluster", source(DOWN), ("warn", "not looked at", "validate again", False)),
        ("source_cluster", source(topics=DOWN), ("warn", "not looked at", "validate again", False)),
        (
            "source_cluster",
            source(topics=frozenset({"other-rootcoord-dml_0"})),
            ("fail", "none of the channels that etcd names (by-dev-rootcoord-dml_0, ", "CDC_SOURCE_ETCD_ROOT", True),
        ),
        (
            "source_cluster",
            source(topics=frozenset({"by-dev-rootcoord-dml_0"})),
            ("warn", "no by-dev-rootcoord-dml_1 yet", "milvus.yaml", False),
        ),
        (
            "source_cluster",
            replace(source(), prefix="in"),
            ("fail", "does not begin with 'in'", "CDC_SOURCE_CHANNEL_PREFIX", True),
        ),
    ],
)
def test_the_source(name: str, facts: SourceFacts, expected: Expected) -> None:
    holds(check(name, source=facts), expected)


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        (spec(), None, ("pass", "2 collections are selected", "", False)),
        (spec("a"), None, ("pass", "1 collections are selected", "", False)),
        (spec("a", "c"), None, ("warn", "not there yet: default.c", "spelling", False)),
        (spec(), catalog(), ("pass", "new ones of default.* are taken", "", False)),
        (replace(spec(), excluded=(("default", "*"),)), None, ("pass", "0 collections", "", False)),
        (spec(), DOWN, ("warn", "not looked at", "validate again", False)),
        (MAPPED, None, ("pass", "1 collections are selected", "", False)),
    ],
)
def test_names(wanted: TaskSpec, found: Catalog | CdcError | None, expected: Expected) -> None:
    holds(check("names", wanted=wanted, source=source(found)), expected)


at = Position("p", b"\1" * 8)


@pytest.mark.parametrize(
    ("wanted", "places", "expected"),
    [
        (spec(), (), ("pass", "none is given", "", False)),
        (spec(), (PLACE,), ("pass", "holds all 1 places", "", False)),
        (spec(), (replace(PLACE, order=10),), FINE),
        (
            spec(),
            (replace(PLACE, order=9),),
            ("fail", f"{PLACE.channel} (9, the first one still there is 10)", "anew", True),
        ),
        (spec(), (replace(PLACE, order=9, named=False),), ("fail", "(9, the first one", "anew", False)),
        (spec(), (replace(PLACE, order=91),), FINE),
        (spec(), (replace(PLACE, order=92),), ("warn", "behind the end of its topic", "made anew", False)),
        (spec(), (replace(PLACE, order=None),), ("fail", "is none of this queue's", "CDC_SOURCE_MQ", True)),
        (spec(), (replace(PLACE, head=None, tail=None),), FINE),
        (spec(), DOWN, ("warn", "not looked at", "validate again", False)),
        (spec("a", a={v.name: at for v in A.vchannels}), (PLACE,), FINE),
        (
            spec("a", a={A.vchannels[0].name: at}),
            (PLACE,),
            ("warn", f"{A.vchannels[1]} has none", "all channels", False),
        ),
        (spec("a", a={B.vchannels[0].name: at}), (), ("fail", f"{B.vchannels[0]} belongs to no", "anew", True)),
    ],
)
def test_positions(wanted: TaskSpec, places: tuple[Place, ...] | CdcError, expected: Expected) -> None:
    holds(check("positions", wanted=wanted, source=source(places=places)), expected)


CREDENTIALS = TaskStopped("the target refuses the credentials")
OTHER = twin(A, schema=collection("a", (KEY, schema_field(101, "w", DataType.FloatVector, dim=4)), shards=2).schema)
MANY = {("default", "a"): OTHER, ("default", "b"): twin(collection("b", (KEY,)))}


@pytest.mark.parametrize(
    ("name", "facts", "wanted", "expected"),
    [
        ("target", target(), spec(), ("pass", "takes the credentials", "", False)),
        ("target", TargetFacts.unknown(AWAY), spec(), ("fail", "nobody answers", "start the target", False)),
        ("target", TargetFacts.unknown(CREDENTIALS), spec(), ("fail", "refuses the credentials", "token", True)),
        ("target", target(standby=CREDENTIALS), spec(), ("fail", "refuses the credentials", "token", True)),
        ("standby", target(), spec(), ("pass", "ttMsgEnabled is false", "", False)),
        ("standby", target(standby=False), spec(), ("fail", "no standby", "common.ttMsgEnabled to false", True)),
        ("standby", TargetFacts.unknown(AWAY), spec(), ("warn", "not looked at", "validate again", False)),
        ("version", target(), spec(), ("pass", "Milvus v2.3.5", "", False)),
        ("version", target(version="2.3.2"), spec(), FINE),
        ("version", target(version="v2.3.1-dev"), spec(), ("fail", "does not know ReplicateMessage", "2.3.2", True)),
        ("version", target(version="v2.10.0"), spec(), ("warn", "'v2.10.0'; this system was tried with", "try", False)),
        ("version", target(version="unknown"), spec(), ("warn", "'unknown'", "try", False)),
        ("version", TargetFacts.unknown(AWAY), spec(), ("warn", "not looked at", "validate again", False)),
        ("channels", target(), spec(), ("pass", "3 vchannels for 16 dml channels", "", False)),
        (
            "channels",
            target(),
            spec(channel_num=3),
            ("warn", "is 3, but the target has at least 4", "channel_num", False),
        ),
        ("channels", target(), spec(channel_num=4), FINE),
        (
            "channels",
            target(pchannels=frozenset()),
            spec(channel_num=2),
            ("warn", "3 vchannels for 2", "dmlChannelNum 3", False),
        ),
        ("channels", target(pchannels=frozenset()), spec(), ("pass", "of which 0 are in use", "", False)),
        ("channels", target(pchannels=AWAY), spec(), ("warn", "not looked at", "validate again", False)),
        ("schemas", target(), spec(), ("pass", "0 collections are on the target already", "", False)),
        ("schemas", target(twins={("default", "a"): twin(A)}), spec(), ("pass", "1 collections", "", False)),
        (
            "schemas",
            target(twins=MANY),
            spec("a"),
            ("fail", "default.a differs: field 'v' is missing", "drop it", True),
        ),
        ("schemas", target(twins=MANY), spec(), ("fail", "default.b differs: field 'v' is", "drop it", False)),
        ("schemas", target(twins=MANY), spec("b", "*"), ("fail", "default.b differs", "drop it", True)),
        (
            "schemas",
            target(twins={("default", "a"): twin(A, vchannels=twin(B).vchannels)}),
            spec("a"),
            ("fail", "default.a differs: 2 shards, on the target 1", "drop it", True),
        ),
        ("schemas", target(twins={("x", "z"): OTHER}), MAPPED, ("fail", "default.a differs", "drop it", True)),
        ("schemas", target(twins={("default", "a"): OTHER}), MAPPED, ("pass", "0 collections", "", False)),
        ("schemas", target(unseen=3), spec(), ("warn", "3 collections", "validate again", False)),
        ("schemas", target(twins=AWAY), spec(), ("warn", "the target did not", "validate again", False)),
        ("schemas", target(twins=DOWN), spec(), ("warn", "the source's etcd did not", "validate again", False)),
    ],
)
def test_the_target(name: str, facts: TargetFacts, wanted: TaskSpec, expected: Expected) -> None:
    holds(check(name, wanted=wanted, target=facts), expected)


BY_KEY = TaskSpec("one", MilvusConnect(uri="target:19530", sink=SinkKind.SDK), spec("a").selectors)
ORDINARY = target(standby=False, pchannels=frozenset())
OWN_KEYS = schema_field(100, "id", DataType.Int64, is_primary_key=True, autoID=True)
KEYLESS = twin(A, vchannels=(), schema=collection("a", (OWN_KEYS, VECTOR)).schema)


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        ("standby", ORDINARY, ("pass", "takes ordinary writes", "", False)),
        ("standby", target(), ("fail", "is a standby", "leave out extension.sink", True)),
        ("standby", TargetFacts.unknown(AWAY), ("warn", "not looked at", "validate again", False)),
        ("version", ORDINARY, ("pass", "Milvus v2.3.5", "", False)),
        ("version", replace(ORDINARY, version="milvus_lite-3.2.2"), ("pass", "milvus_lite", "", False)),
        ("version", replace(ORDINARY, version="2.2.16"), ("fail", "older than 2.3", "2.3 or later", True)),
        ("version", replace(ORDINARY, version="v2.6.1"), ("warn", "tried with 2.3 and Milvus Lite", "try", False)),
        ("version", TargetFacts.unknown(AWAY), ("warn", "not looked at", "validate again", False)),
        ("schemas", replace(ORDINARY, twins={("default", "a"): twin(A, vchannels=())}), FINE),
        (
            "schemas",
            replace(ORDINARY, twins={("default", "a"): KEYLESS}),
            ("fail", "makes its keys itself", "drop it", True),
        ),
    ],
)
def test_a_target_that_is_written_by_key(name: str, facts: TargetFacts, expected: Expected) -> None:
    holds(check(name, wanted=BY_KEY, target=facts), expected)


def test_the_channels_of_a_target_that_is_written_by_key_are_not_looked_at() -> None:
    assert "channels" not in {each.name for each in judge(BY_KEY, Facts(SOURCE, ORDINARY, WORKERS)).checks}
    for advice in (check("standby", target=ORDINARY)[2], check("standby", wanted=BY_KEY, target=target())[2]):
        assert "sink" in advice


@pytest.mark.parametrize(
    ("workers", "expected"),
    [(1, ("warn", "only the worker may open it", "one worker", False)), (2, ("fail", "2 workers", "end all", False))],
)
def test_a_file_belongs_to_one_worker(workers: int, expected: Expected) -> None:
    wanted = TaskSpec("one", MilvusConnect(uri="./films.db", sink=SinkKind.SDK), spec("a").selectors)
    report = judge(wanted, Facts(SOURCE, None, replace(WORKERS, workers=workers)))
    (found,) = (each for each in report.checks if each.name == "target")
    holds((found.status, found.message, found.advice, found in report.refusing), expected)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (WORKERS, ("pass", "3 vchannels, 200 of 200 slots of 2 workers are free", "", False)),
        (WorkerFacts(0, 0, 0), ("warn", "no worker is alive", "make worker", False)),
        (WorkerFacts(1, 100, 97), FINE),
        (WorkerFacts(1, 100, 99), ("warn", "2 vchannels will wait", "CDC_WORKER_SLOTS", False)),
        (WorkerFacts(1, 10, 99), ("warn", "0 of 10 slots", "CDC_WORKER_SLOTS", False)),
    ],
)
def test_workers(facts: WorkerFacts, expected: Expected) -> None:
    holds(check("workers", workers=facts), expected)


def test_no_standby_is_an_error_of_its_own_and_stops_a_task() -> None:
    assert issubclass(NoStandby, TaskStopped)


def test_a_long_list_is_cut() -> None:
    found = check("names", wanted=spec(*"cdefghi"))
    holds(found, ("warn", "default.c, default.d, default.e, default.f, default.g and 2 more", "spelling", False))
