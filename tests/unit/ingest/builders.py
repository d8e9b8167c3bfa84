"""Records and folds that the tests of ingest are made of. Times in ms; the wall stands still unless a test moves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
import orjson

from everloop import topics
from everloop.artifacts import ArtifactStore, MemoryStore
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.events import (
    EVERY_MODEL,
    ClockMoved,
    Event,
    FeedbackJoined,
    FeedbackLogged,
    FeedbackRouted,
    HeartbeatSent,
    KeysRouted,
    LabelsLogged,
    LoopApplied,
    OutcomesJoined,
    PredictionsLogged,
)
from everloop.loop import Loop
from everloop.metrics import Metrics
from everloop.rows import Rows
from everloop.runtime.data import DataService
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryClient, MemoryLog
from everloop.simulation import Build
from everloop_ingest.adapters.archives import ArchiveFold
from everloop_ingest.adapters.joins import JoinFold
from everloop_ingest.adapters.routes import RouteFold
from everloop_ingest.domain.routing import Routed, route, route_feedback

E = TypeVar("E", bound=Event)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
MINUTE = 60_000
LOOP = Loop.from_payload(
    {
        "kind": "Loop",
        "version": 1,
        "model": "fraud",
        "task": "binary",
        "columns": {"id": "txn", "time": "ts", "label": "y"},
        "windows": {"every": "15m", "grace": "2m"},
        "feedback": {"revenue": {"least": 0, "most": 1000}, "click": {}},
    }
)


@dataclass
class FakeWall:
    """A wall that the test moves."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Worker:
    """The three rooms of the worker, and what they share."""

    store: ArtifactStore = field(default_factory=MemoryStore)
    metrics: Metrics = field(default_factory=Metrics)
    wall: FakeWall = field(default_factory=FakeWall)
    linger_ms: int = 10_000
    limit: int = 500
    told: Callable[[str | None], None] = lambda _: None

    def builds(self) -> dict[str, Build]:
        """The processes for a simulation; a restarted one has lost everything but the store."""
        return {
            "route": lambda log: self._serve(RouteFold(self.wall, self.metrics), log),
            "join": lambda log: self._serve(JoinFold(self.wall, self.metrics), log),
            "archive": lambda log: self._serve(self.archive(), log),
        }

    def archive(self) -> ArchiveFold:
        made = ArchiveFold(self.store, self.wall, self.metrics, linger_ms=self.linger_ms, know=self.metrics.know)
        made.tell = self.told
        return made

    def _serve(self, fold: RouteFold | JoinFold | ArchiveFold, log: MemoryClient) -> DataService:
        return DataService(fold, log, replica="0", limit=self.limit)


def some_predictions(*names: str, at: int = NOON_MS, model: str = "fraud", **more: object) -> PredictionsLogged:
    given: dict[str, object] = {
        "version": "v1",
        "times": tuple(at + index for index in range(len(names))),
        "features": {"amount": tuple(float(index) for index in range(len(names)))},
        "score": (0.5,) * len(names),
        **more,
    }
    return PredictionsLogged.named(f"p/{'/'.join(names)}/{at}", NOON, model, prediction_id=names, **given)


def some_labels(label: float, *names: str, at: int = NOON_MS, model: str = "fraud") -> LabelsLogged:
    return LabelsLogged.named(
        f"l/{label}/{'/'.join(names)}/{at}", NOON, model, prediction_id=names, label=(label,) * len(names),
        labelled_at=(at,) * len(names),
    )  # fmt: skip


def some_feedback(
    value: float, *ids: str, name: str = "revenue", at: int = NOON_MS, model: str = "fraud"
) -> FeedbackLogged:
    count = len(ids)
    return FeedbackLogged.named(
        f"f/{name}/{value}/{'/'.join(ids)}/{at}", NOON, model, prediction_id=ids, name=(name,) * count,
        value=(value,) * count, said_at=(at,) * count,
    )  # fmt: skip


def a_range(label: float, *entities: str, at: int = NOON_MS, start: int = 0, end: int = NOON_MS + 5) -> LabelsLogged:
    """Labels by entity, of predictions with times in [start, end)."""
    count = len(entities)
    return LabelsLogged.named(
        f"r/{label}/{'/'.join(entities)}/{at}", NOON, "fraud", entity_id=entities, label=(label,) * count,
        labelled_at=(at,) * count, start=(start,) * count, end=(end,) * count,
    )  # fmt: skip


def a_heartbeat(at: int = NOON_MS, **own: int) -> HeartbeatSent:
    return HeartbeatSent.named(f"{at}/{own}", NOON, EVERY_MODEL, replica="0", clocks={EVERY_MODEL: at, **own})


def a_loop() -> LoopApplied:
    return LoopApplied.named("fraud", NOON, "fraud", loop=LOOP.to_payload(), digest="0" * 64)


def a_clock(model: str, at: datetime) -> ClockMoved:
    return ClockMoved.named(f"{model}/{at}", at, model, data=at, control=at)


def write(log: MemoryClient, topic: topics.Topic, number: int, event: Event) -> None:
    value, headers = encode(event, source="test", recorded=NOON)
    log.publish([Message(Place(topic.name, number), event.model.encode(), value, headers)])


def apply_loop(log: MemoryClient) -> None:
    write(log, topics.LOOPS, partition("fraud", topics.PARTITIONS), a_loop())


def beat(log: MemoryClient, at: int = NOON_MS, **own: int) -> None:
    for number in range(topics.PREDICTIONS.partitions):
        write(log, topics.PREDICTIONS, number, a_heartbeat(at, **own))


def said(broker: MemoryLog, topic: topics.Topic, kind: type[E]) -> list[E]:
    """Events of one kind on a topic, by partition and offset."""
    return [event for _, event in _events(broker, topic) if isinstance(event, kind)]


def places(broker: MemoryLog, topic: topics.Topic) -> list[tuple[int, Event]]:
    return list(_events(broker, topic))


def _events(broker: MemoryLog, topic: topics.Topic) -> Iterator[tuple[int, Event]]:
    for place in sorted(place for place in broker.records if place.topic == topic.name):
        for record in broker.records[place]:
            yield place.partition, decode(record.value, record.headers)


def outcome_rows(events: Sequence[OutcomesJoined]) -> list[tuple[str, float, int]]:
    """Id, label and when it was known, of each row, each record id once, sorted."""
    once = {event.id: event for event in events}
    return sorted(
        row for event in once.values() for row in zip(event.prediction_id, event.label, event.labelled_at, strict=True)
    )


def feedback_rows(events: Sequence[FeedbackJoined]) -> list[tuple[str, str, float, int, float | None]]:
    """Name, id, value, when it was said, and the value before, of each row, each record id once, sorted."""
    once = {event.id: event for event in events}
    return sorted(
        (event.name, *row)
        for event in once.values()
        for row in zip(event.prediction_id, event.value, event.said_at, event.before, strict=True)
    )


def keys_of(
    event: Rows | LabelsLogged, partitions: int = 1, origin: str = "origin", declared: Sequence[str] = ()
) -> list[tuple[int, KeysRouted]]:
    """What is routed of a record, as events, each read from the record that is written of it."""
    return [
        (number, KeysRouted.model_validate(_plain(routed.fields) | _named(routed)))
        for number, routed in route(event, partitions, origin, declared)
    ]


def routed_of(
    event: Rows | LabelsLogged | FeedbackLogged,
    partitions: int = 1,
    origin: str = "origin",
    declared: Sequence[str] = (),
) -> Sequence[tuple[int, KeysRouted | FeedbackRouted]]:
    """The same of any record; feedback becomes records of its own kind."""
    if not isinstance(event, FeedbackLogged):
        return keys_of(event, partitions, origin, declared)
    return [
        (number, FeedbackRouted.model_validate(_plain(routed.fields) | _named(routed)))
        for number, routed in route_feedback(event, np.arange(len(event.name)), partitions, origin)
    ]


def _named(routed: Routed) -> dict[str, object]:
    return {"id": routed.identity, "time": routed.time, "model": routed.model}


def _plain(fields: Mapping[str, object]) -> dict[str, object]:
    plain: dict[str, object] = orjson.loads(orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY))
    return plain
