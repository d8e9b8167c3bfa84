"""The whole stack on the in-memory log: six services, a made-up world, and a person who drives its clock.

The world has two numeric features. A positive is likelier where `a` is large; after the change where it is small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import orjson
from pydantic import JsonValue

from everloop import topics
from everloop.artifacts import MemoryStore
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.events import (
    CheckSpec,
    ClockMoved,
    Event,
    HeartbeatSent,
    LabelsLogged,
    LoopApplied,
    ModelVersionCreated,
    PredictionsLogged,
    SignedVerdict,
    TrafficPlanned,
    TrainingRequested,
    TrainingSpec,
    VersionPromoted,
    VersionRolledBack,
)
from everloop.jobs import InlineJobs, Work
from everloop.loop import Loop
from everloop.metrics import Metrics
from everloop.models import Scorer, load
from everloop.models.probe import ProbeResult, probe_in_child
from everloop.runtime.control import ControlService
from everloop.runtime.data import DataService, Fold
from everloop.runtime.journal import Validity
from everloop.runtime.log import Message, Place, Record
from everloop.runtime.memory import MemoryClient
from everloop.runtime.room import Decider, Effect
from everloop.simulation import Build, CrashError, Point, Simulation
from everloop_drift.adapters import MergeFold, WindowsFold
from everloop_drift.handlers import decider as judge
from everloop_gatekeeper.adapters.job import run as measure
from everloop_gatekeeper.handlers import decider as gatekeeper
from everloop_ingest.adapters.archives import ArchiveFold
from everloop_ingest.adapters.joins import JoinFold
from everloop_ingest.adapters.routes import RouteFold
from everloop_rollout.handlers import decider as rollout
from everloop_serving.domain.records import Rows
from everloop_serving.handlers import FetchScorer, Server
from everloop_trainer.adapters.job import train
from everloop_trainer.handlers import decider as trainer

MODEL = "m"
S = TypeVar("S")
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROWS = 200
WINDOWS = 11
"""From the bootstrap to the windows in which the successor is judged: the change comes with the second."""
JOURNALS = (topics.DRIFT, topics.TRAINING, topics.VERDICTS, topics.ROLLOUTS)
LOOP: Mapping[str, JsonValue] = {
    "kind": "Loop",
    "version": 1,
    "model": MODEL,
    "task": "binary",
    "columns": {"id": "id", "time": "ts", "label": "y", "entity": "card"},
    "windows": {"every": "1h", "grace": "2m", "min_rows": 50},
    "labels": {"horizon": "1h", "delay": "1h"},
    "train": {
        "on": ["drift", "quality"],
        "cooldown": "1h",
        "max_per_day": 10,
        "fresh_labels": 500,
        "recipe": "sklearn.linear_model.LogisticRegression",
        "data": {"rolling": "3h"},
    },
    "gate": {"floor": {"roc_auc": 0.7}, "latency_p95": "10s"},
    "rollout": {"shadow": "1h", "steps": ["50%", "100%"], "hold": "1h", "min_rows": 40, "deadline": "24h"},
}
STORE = MemoryStore()
"""Content-addressed, so runs share it; what a job made once it makes again, to the byte."""


def wall() -> datetime:
    """The machine's clock stands still: nothing may depend on it."""
    return START


@cache
def trained(spec: bytes) -> Mapping[str, JsonValue]:
    """The trainer's own job, once per specification."""
    return train(TrainingSpec.model_validate_json(spec), STORE)


@cache
def measured(spec: bytes) -> Mapping[str, JsonValue]:
    """The gatekeeper's own measuring, once per specification."""
    return measure(CheckSpec.model_validate_json(spec), STORE, probed).model_dump(mode="json")


PROBED: dict[str, ProbeResult] = {}


def probed(path: Path, sha256: str, sample: Mapping[str, Sequence[object]], timeout_s: float) -> ProbeResult:
    """The child that loads a file, once per digest: starting Python is most of what a run with crashes takes."""
    if sha256 not in PROBED:
        PROBED[sha256] = probe_in_child(path, sha256, sample, timeout_s)
    return PROBED[sha256]


@cache
def scorer(digest: str, uri: str) -> Scorer:
    """A model from its proven bytes."""
    return load(STORE.fetch(uri, digest))


def fetch_scorer(verdict: SignedVerdict) -> Scorer:
    """What serving asks for."""
    return scorer(verdict.artifact.sha256, verdict.artifact.uri)


def publish(client: MemoryClient, topic: topics.Topic, event: Event, number: int | None = None) -> None:
    """Write an event where its model belongs, or into the partition `number`."""
    value, headers = encode(event, source="test", recorded=START)
    place = Place(topic.name, partition(event.model, topics.PARTITIONS) if number is None else number)
    client.publish([Message(place, event.model.encode(), value, headers)])


@dataclass
class Shown:
    """What a registry outside shows: it outlives every process."""

    champions: dict[str, str] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)

    def show(self, event: Event) -> None:
        """Take note of a version or of a champion."""
        match event:
            case ModelVersionCreated():
                self.versions.add(event.version)
            case VersionPromoted() | VersionRolledBack():
                self.champions[event.model] = event.verdict.version

    @property
    def effects(self) -> Mapping[type[Event], Effect]:
        """What the control services let follow."""
        return dict.fromkeys((ModelVersionCreated, VersionPromoted, VersionRolledBack), self.show)


def unsealed(event: Event) -> Event:
    """Signatures have tests of their own; here no key is asked for."""
    return event


def data(make: Callable[[str], Fold], replica: int) -> Build:
    """Build a data room, which is told its replica."""
    return lambda client: DataService(make(str(replica)), client, replica=str(replica))


def control(make: Callable[[], Decider[S]], work: Mapping[str, Work], replica: int) -> Build:
    """Build a control service."""
    return lambda client: ControlService(make(), client, InlineJobs(work), replica=str(replica), wall=wall)


def builds(replicas: int, shown: Shown) -> dict[str, Build]:
    """Every process of the stack but serving, which the driver holds."""
    found: dict[str, Build] = {}
    for n in range(replicas):
        found[f"route-{n}"] = data(lambda replica: RouteFold(wall, Metrics(), replica=replica), n)
        found[f"join-{n}"] = data(lambda replica: JoinFold(wall, Metrics(), replica=replica), n)
        found[f"archive-{n}"] = data(lambda replica: ArchiveFold(STORE, wall, Metrics(), replica=replica), n)
        found[f"windows-{n}"] = data(lambda replica: WindowsFold(wall, replica=replica), n)
        found[f"merge-{n}"] = data(lambda replica: MergeFold(wall, replica=replica), n)
        found[f"judge-{n}"] = control(judge, {}, n)
        found[f"trainer-{n}"] = control(lambda: trainer(shown.effects), {"TrainingStarted": trained}, n)
        found[f"gatekeeper-{n}"] = control(lambda: gatekeeper(unsealed), {"ChecksStarted": measured}, n)
        found[f"rollout-{n}"] = control(lambda: rollout(shown.effects), {}, n)
    return found


@dataclass
class Stack:
    """The stack and its driver: lock-step as in DESIGN section 5. `instead` replaces processes by name."""

    replicas: int = 1
    faults: Callable[[Simulation, Point], bool] = lambda _, __: False
    seed: int = 0
    change_at: int | None = 1
    instead: Mapping[str, Build] = field(default_factory=dict)
    loop: Mapping[str, JsonValue] = field(default_factory=lambda: LOOP)
    score: FetchScorer = fetch_scorer
    shown: Shown = field(default_factory=Shown)
    window: int = 0
    rounds: int = 0
    due: list[LabelsLogged] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start, set the clock, apply the loop."""
        processes = {**builds(self.replicas, self.shown), **self.instead}
        self.simulation = Simulation(processes, seed=self.seed)
        self.simulation.crash = lambda point: self.faults(self.simulation, point)
        self.simulation.broker.now_ms = round(START.timestamp() * 1000)
        self.client = self.simulation.client()
        self.server = self.serving()
        self.apply(MODEL, self.loop)

    def serving(self) -> Server:
        """A fresh start of serving."""
        return Server(self.simulation.connect("serving"), self.score, None, wall)

    def predict(self, rows: Rows) -> None:
        """Hear the newest plan and score; a caller whose server dies asks again."""
        while True:
            try:
                self.server.step()
                self.server.predict(MODEL, rows, START)
            except CrashError:
                self.server = self.serving()
            else:
                return

    def apply(self, model: str, rules: Mapping[str, JsonValue]) -> None:
        """Publish a loop file."""
        loop = Loop.from_payload({**rules, "model": model})
        self.say(topics.LOOPS, LoopApplied.named(model, START, model, loop=loop.to_payload(), digest="d"))

    def say(self, topic: topics.Topic, event: Event, number: int | None = None) -> None:
        """Publish as the product does."""
        publish(self.client, topic, event, number)

    def run(self, windows: int = WINDOWS) -> Stack:
        """The whole story: the first champion, the change, its successor."""
        self.bootstrap()
        self.play(windows)
        return self

    def bootstrap(self) -> None:
        """Three hours of history with labels, then the first champion."""
        for hour in range(-3, 0):
            rows, labels = self.rows(hour)
            self.say(topics.PREDICTIONS, self.history(hour, rows), hour % topics.PARTITIONS)
            self.say(topics.LABELS, labels, hour % topics.PARTITIONS)
        self.simulation.settle()
        self.clock(START)
        self.train(bootstrap=True)
        self.control(START)

    def train(self, recipe: str | None = None, *, bootstrap: bool = False) -> None:
        """Ask for a training run, as a person does."""
        name = "bootstrap" if bootstrap else f"train/{self.window}"
        asked = TrainingRequested.named(name, START, MODEL, by="test", bootstrap=bootstrap, recipe=recipe)
        self.say(topics.COMMANDS, asked)
        self.simulation.settle()

    def history(self, hour: int, rows: Rows) -> PredictionsLogged:
        """Rows without version, arm, epoch or score."""
        return PredictionsLogged.named(
            f"history/{hour}", START, MODEL, source="bootstrap", prediction_id=rows.prediction_id, times=rows.times,
            entity_id=rows.entity_id, features=rows.features,
        )  # fmt: skip

    def play(self, windows: int) -> None:
        """Play so many windows: rows and due labels, the data clock, then control ticks until nothing is said."""
        for _ in range(windows):
            rows, labels = self.rows(self.window)
            self.predict(rows)
            for late in self.due:
                self.say(topics.LABELS, late, self.window % topics.PARTITIONS)
            self.due = [labels]
            self.simulation.settle()
            self.window += 1
            now = START + self.window * HOUR + timedelta(minutes=2)
            self.clock(now)
            self.control(now)

    def clock(self, now: datetime) -> None:
        """The data clock: ingest's heartbeat into every partition of predictions."""
        moment = round(now.timestamp() * 1000)
        for number in range(topics.PARTITIONS):
            beat = HeartbeatSent.named(f"{moment}/{number}", START, "*", replica="0", clocks={MODEL: moment})
            self.say(topics.PREDICTIONS, beat, number)
        self.simulation.settle()

    def control(self, now: datetime) -> None:
        """Control ticks with the same `now` until a round adds no journal record."""
        before = -1
        while before != (before := self.said()):
            self.rounds += 1
            moved = ClockMoved.named(f"{self.rounds}", now, MODEL, data=now, control=now, round=self.rounds)
            self.say(topics.CLOCK, moved)
            self.simulation.settle()

    def said(self) -> int:
        """Valid journal records so far."""
        return sum(len(self.journal(topic)) for topic in JOURNALS)

    def records(self, topic: topics.Topic) -> list[Record]:
        """Every record of a topic, partition by partition."""
        places = [Place(topic.name, number) for number in range(topic.partitions)]
        return [record for place in places for record in self.simulation.broker.records[place]]

    def events(self, topic: topics.Topic) -> list[Event]:
        """Every event of a topic, void ones included; tombstones are left out."""
        return [decode(record.value, record.headers) for record in self.records(topic) if record.value is not None]

    def journal(self, topic: topics.Topic, model: str = MODEL) -> list[Event]:
        """The valid records of the model's journal."""
        validity = Validity()
        records = self.simulation.broker.records[Place(topic.name, partition(model, topics.PARTITIONS))]
        valid = [event for record in records if (event := validity.accept(record)) is not None]
        return [event for event in valid if event.model == model]

    def decisions(self) -> list[str]:
        """What was decided, without ids, wall times and restarts of jobs: equal runs have equal lists."""
        said = [event for topic in JOURNALS for event in self.journal(topic)]
        return [f"{type(event).__name__} {_plain(event)}" for event in said if getattr(event, "attempt", 1) == 1]

    def weights(self) -> list[list[float]]:
        """The weights of the arms, plan by plan in order of epochs."""
        plans = {plan.epoch: plan for plan in self.events(topics.TRAFFIC) if isinstance(plan, TrafficPlanned)}
        return [[arm.weight for arm in plans[epoch].arms] for epoch in sorted(plans)]

    def rows(self, hour: int) -> tuple[Rows, LabelsLogged]:
        """The requests of one hour, and their labels."""
        rng = np.random.default_rng([self.seed_of_world, hour + 1_000])
        a, b = rng.normal(size=ROWS), rng.normal(size=ROWS)
        changed = self.change_at is not None and hour >= self.change_at
        label = (rng.random(ROWS) < 1 / (1 + np.exp(3 * a if changed else -3 * a))).astype(float)
        first = round((START + hour * HOUR).timestamp() * 1000)
        times = tuple(int(first + n * 3_600_000 // ROWS) for n in range(ROWS))
        ids = tuple(f"h{hour}-{n}" for n in range(ROWS))
        features = {"a": tuple(map(float, a + (3.0 if changed else 0.0))), "b": tuple(map(float, b))}
        cards = tuple(f"card-{n}" for n in rng.integers(0, 150, ROWS))
        asked = Rows(prediction_id=ids, times=times, entity_id=cards, features=features)
        known = tuple(time + 3_600_000 for time in times)
        labels = LabelsLogged.named(
            f"labels/{hour}", START, MODEL, prediction_id=ids, label=tuple(map(float, label)), labelled_at=known
        )
        return asked, labels

    seed_of_world = 7


_NOT_DECIDED = frozenset({
    "id", "correlation_id", "causation_id", "episode_id",  # follow from causes, which a repeated tick renames
    "sequence", "attempt", "measurement",                  # count restarts of jobs
    "seconds",                                             # the wall's time
    "predictions", "outcomes",                             # files of a snapshot: their rows stand in order of arrival
})  # fmt: skip


def _plain(event: Event) -> str:
    """Without what does not decide."""
    return orjson.dumps(_without(event.model_dump(mode="json")), option=orjson.OPT_SORT_KEYS).decode()


def _without(value: JsonValue) -> JsonValue:
    if isinstance(value, Mapping):
        return {
            name: _without(_sums(part) if name == "arms" else part)
            for name, part in value.items()
            if name not in _NOT_DECIDED
        }
    if isinstance(value, list):
        return [_without(part) for part in value if not _is_latency(part)]
    return value


def _sums(arms: JsonValue) -> JsonValue:
    """Evidence without its third column, which is latency."""
    if not isinstance(arms, Mapping):
        return arms
    return {
        arm: {bucket: [*sums[:2], *sums[3:]] if isinstance(sums, list) else sums for bucket, sums in buckets.items()}
        for arm, buckets in arms.items()
        if isinstance(buckets, Mapping)
    }


def _is_latency(part: JsonValue) -> bool:
    """Whether it is a look or a check of wall time, which is reported only."""
    return isinstance(part, Mapping) and "latency" in str(part.get("measure", part.get("name", "")))
