"""The model that is searched (tests/model) is of the scripts that run: random walks, on a real Redis and in the model.

What does this test do? It does the same random operations at a gate with three members in both, sensible ones and
refused ones, and compares every answer, every tick granted, and all that is in Redis afterwards.
How does it accomplish this? Timestamps of the model are mapped to real ones, a grid cell to a grid cell, and the
scripts read the time from a key. Everything random comes from the seed.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from cdc_core.coordination import gates as ops
from cdc_core.coordination import scripts
from cdc_core.coordination.gates import Gates, Operation, Request, Word
from cdc_core.coordination.leases import ChannelKey, Claim, Leases
from cdc_core.model.position import Position
from cdc_core.model.timestamp import GRID_MS, Tso
from deploy.local import Redis
from tests.contract.state import State
from tests.model import gate as model
from tests.model.gate import Done, Gate
from tests.model.grid import GRID
from tests.model.record import Record, claim

pytestmark = pytest.mark.contract

MS = 1_700_000_000_000
MEMBERS = range(3)
STEPS = 150
SEEDS = range(4)

original = scripts.text


def real(stamp: int) -> Tso:
    """A grid line to a grid line, what follows it to the next logical times."""
    return Tso.of(MS + stamp // GRID * GRID_MS, stamp % GRID) if stamp else Tso(0)


def modelled(text: str | bytes | None) -> int:
    if not text or text == Tso(0).text:
        return 0
    stamp = Tso.parse(text)
    return (stamp.ms - MS) // GRID_MS * GRID + stamp.logical


@pytest.fixture
def state(redis_server: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    state = State(redis_server.url(6))
    asked, told = "redis.call('TIME')", f"redis.call('LRANGE', '{state.keys.prefix}now', 0, 1)"
    assert original("round").count(asked) == 1
    monkeypatch.setattr(scripts, "text", lambda name: original(name).replace(asked, told))
    yield state
    state.close()


@dataclass(frozen=True)
class Asked:
    """One operation of a round, for both."""

    word: str
    member: int
    epoch: int
    to: int = 0
    smallest: int = 0
    largest: int = 0
    count: int = 0

    def real(self, key: ChannelKey) -> Operation:
        to, epoch = real(self.to), str(self.epoch)
        match self.word:
            case "commit":
                return ops.commit(key, epoch, Position("c", b"\1" * 8, to), to)
            case "raise":
                return ops.raise_(key, epoch, Position("c", b"\1" * 8, to), to)
            case "begin":
                return ops.begin(
                    key,
                    epoch,
                    json.dumps({"to": to.text, "rule": 1}),
                    real(self.smallest),
                    real(self.largest),
                    self.count,
                )
            case "leave":
                return ops.leave(key, epoch)
        return ops.abandon(key, epoch, "refused")

    def modelled(self, gate: Gate, record: Record, present: int) -> Done:
        here = (gate, record, self.member, self.epoch)
        match self.word:
            case "commit":
                return model.commit(*here, self.to)
            case "raise":
                return model.raise_(*here, self.to)
            case "begin":
                return model.begin(*here, self.to, (self.smallest, self.largest, self.count), present)
            case "leave":
                return model.leave(*here)
        return model.abandon(*here)


@dataclass
class Twins:
    """One gate in Redis and one in the model."""

    state: State
    seed: int
    gate: Gate = field(default_factory=lambda: Gate(0, 0, (0,) * len(MEMBERS), (0,) * len(MEMBERS)))
    records: list[Record] = field(default_factory=lambda: [Record(1) for _ in MEMBERS])
    present: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    begun: dict[int, Asked] = field(default_factory=dict)
    """The last begin of each member, which may come again, late: the search knows no late rounds."""
    untouched: int = 0
    """Steps before the first tick is granted."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.leases = Leases(self.state.client, self.state.keys, "w")
        self.gates = Gates(self.state.client, self.state.keys, "w")
        self.set_time(4)
        self.keys = []
        for member in MEMBERS:
            self.state.task(f"task{member}")
            self.keys.append(self.state.vchannel(member, f"task{member}", start=real(1)))
            self.claim(member)

    def walk(self) -> None:
        for _ in range(STEPS):
            self.random.choices([self.round, self.take_over, self.pause_or_resume, self.see_clock], [30, 4, 2, 2])[0]()
            self.untouched = max(0, self.untouched - 1)
            assert self.real_gate() == self.gate
            assert [self.real_record(member) for member in MEMBERS] == self.records

    def round(self) -> None:
        asked = [self.operation() for _ in range(self.random.randrange(4))]
        asked.sort(key=lambda each: each.word == "begin")
        least = None if self.untouched else self.random.choice([None, 0, 0, 2 * GRID])
        in_ms = None if least is None else least // GRID * GRID_MS
        operations = [each.real(self.keys[each.member]) for each in asked]
        outcome = self.gates.round(Request("target", "pchannel", operations, in_ms))
        tick, answers = self.modelled_round(asked, least)
        assert [(answer.word.value, answer.base or 0) for answer in outcome.answers] == answers, asked
        assert (outcome.tick or 0, outcome.last) == (real(tick), real(self.gate.tick))
        self.seen.update(word for word, _ in answers)
        self.seen["tick"] += bool(tick)

    def modelled_round(self, asked: list[Asked], least: int | None) -> tuple[int, list[tuple[str, int]]]:
        """Commits and raises, the grant, begins: as `round.lua` puts them together."""
        self.gate = model.opened(self.gate, self.present)
        before = [self.does(each) for each in asked if each.word != "begin"]
        tick = model.grant(self.gate, self.present, least) if least is not None else 0
        self.gate = self.gate._replace(tick=tick or self.gate.tick)
        return tick, before + [self.does(each) for each in asked if each.word == "begin"]

    def does(self, asked: Asked) -> tuple[str, int]:
        record = self.records[asked.member]
        done = asked.modelled(self.gate, record, self.present)
        if asked.word == "begin" and done.word in ("STEP", "BASE") and not record.to:
            told = replace(asked, epoch=0)
            if asked.to == record.resolved and told == self.begun.get(asked.member):
                self.seen["late"] += 1
                return "BACKWARD", 0
            self.begun[asked.member] = told
        self.gate, self.records[asked.member] = done.gate, done.record
        return done.word, real(done.base)

    def operation(self) -> Asked:
        """Mostly what a worker would do, sometimes what must be refused."""
        member = self.random.choice(MEMBERS)
        record = self.records[member]
        epoch = record.epoch - (self.random.random() < 0.1)
        word = self.random.choice(["raise", "leave", "begin", "begin", "commit"])
        if record.to and self.random.random() < 0.8:
            word = "commit"
        if self.random.random() < 0.01:
            word = "abandon"
        to = record.to if record.to and word != "raise" else max(1, record.resolved + self.random.randrange(-1, 9))
        if word == "commit" and self.random.random() < 0.1:
            to += self.random.choice([-1, 1])
        count, largest = self.random.randrange(1, 4), max(1, to - self.random.randrange(4))
        if word == "begin" and member in self.begun and self.random.random() < 0.2:
            return replace(self.begun[member], epoch=epoch)
        return Asked(word, member, epoch, to, max(1, largest - self.random.randrange(6)), largest, count)

    def take_over(self) -> None:
        self.claim(self.random.choice(MEMBERS))

    def claim(self, member: int) -> None:
        """The lease before it has run out."""
        self.state.expire(self.keys[member])
        self.state.put(self.keys[member], ticket="t")
        outcome = self.leases.claim(self.keys[member], "t")
        expected = claim(self.records[member])
        self.records[member] = expected.record
        if isinstance(outcome, Claim):
            assert (outcome.settle_only, outcome.epoch) == (expected.word == "SETTLE", str(expected.record.epoch))
        else:
            assert outcome.word == expected.word
        self.seen[expected.word if expected.word != "OK" else "claimed"] += 1

    def pause_or_resume(self) -> None:
        member = self.random.choice(MEMBERS)
        running = not self.records[member].running
        self.state.task(f"task{member}", "RUNNING" if running else "PAUSED")
        self.records[member] = self.records[member]._replace(running=running)

    def see_clock(self) -> None:
        """The source's present time is above all that was seen; from the second look on it is known."""
        self.set_time(max(self.gate.tick, self.gate.top, self.present, *self.gate.step) + self.random.randrange(100))
        if self.seen["clock"]:
            self.state.client.hset(self.state.keys.source_clock, "offset", "0")
        self.seen["clock"] += 1

    def set_time(self, stamp: int) -> None:
        line = stamp - stamp % GRID
        ms = real(line).ms
        name = f"{self.state.keys.prefix}now"
        self.state.client.delete(name)
        self.state.client.rpush(name, ms // 1000, ms % 1000 * 1000)
        self.present = line if self.seen["clock"] else 0

    def real_gate(self) -> Gate:
        found = self.state.client.hgetall(self.state.keys.gate("target", "pchannel"))
        holds = [
            tuple(modelled(found.get(f"{kind}:{self.keys[member].member}")) for member in MEMBERS) for kind in "sb"
        ]
        return Gate(modelled(found.get("tick")), modelled(found.get("top")), holds[0], holds[1])

    def real_record(self, member: int) -> Record:
        found = self.state.fields(self.keys[member])
        return Record(
            resolved=modelled(found["resolved"]),
            last=modelled(found.get("last")),
            to=modelled(json.loads(found["inflight"])["to"]) if "inflight" in found else 0,
            base=modelled(found.get("base")),
            gated="gate" in found,
            epoch=int(found.get("epoch", "0")),
            unsettled="unsettled" in found,
            running=self.records[member].running,
        )


def test_the_model_and_the_scripts_answer_alike(state: State) -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        state.client.delete(*state.client.scan_iter(match=f"{state.keys.prefix}*"), "none")
        twins = Twins(state, seed, untouched=seed % 2 * 30)
        twins.walk()
        seen += twins.seen
    never = {*map(str, Word), "SETTLE", "STOPPED", "IDLE", "claimed", "tick", "late"} - seen.keys()
    assert not never, f"the walks have not come to {never}"
