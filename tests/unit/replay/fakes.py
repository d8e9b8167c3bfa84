"""A small stack on the log in memory: one reader of rows, one control service, and a door that writes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from everloop import events as e
from everloop import topics
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.replay.lockstep import Client
from everloop.replay.quiescence import LogOffsets, Patience, Quiescence
from everloop.replay.rows import Labels, Rows
from everloop.replay.watching import Journals, Predictions
from everloop.runtime.log import Message, Place, Record
from everloop.runtime.memory import MemoryClient, MemoryLog
from tests.builders import NOON

MODEL = "fraud"
READER, CONTROL = "everloop.reader", "everloop.control"
GROUPS = {READER: (topics.PREDICTIONS.name, topics.LABELS.name), CONTROL: (topics.CLOCK.name,)}


def a_log() -> MemoryLog:
    return MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})


def place_of(topic: topics.Topic) -> Place:
    return Place(topic.name, partition(MODEL, topics.PARTITIONS))


def write(log: MemoryClient, place: Place, event: e.Event) -> None:
    value, headers = encode(event, source="test", recorded=NOON)
    log.publish([Message(place, event.model.encode(), value, headers)])


def rows_of(*ids: str) -> Rows:
    count = len(ids)
    return Rows(ids, (0,) * count, None, {"amount": (1.0,) * count}, (0.0,) * count)


@dataclass
class Sleeper:
    """In the place of `sleep`: runs the stack for one round and counts; time goes on by one second."""

    round: Callable[[], object] = lambda: None
    slept: int = 0

    def sleep(self, _: float) -> None:
        self.slept += 1
        self.round()

    def monotonic(self) -> float:
        return float(self.slept)


@dataclass
class FakeDoor:
    """Writes to the log as serving and ingest do; `lossy` forgets the last row of each batch."""

    log: MemoryClient
    calls: list[str]
    lossy: bool = False

    def predict(self, model: str, rows: Rows) -> None:
        self.calls.append(f"rows {len(rows.ids)}")
        self._write(model, rows, "serving")

    def history(self, model: str, rows: Rows) -> None:
        self.calls.append(f"history {len(rows.ids)}")
        self._write(model, rows, "bootstrap")

    def label(self, model: str, labels: Labels) -> None:
        self.calls.append(f"labels {len(labels.ids)}")
        write(self.log, Place(topics.LABELS.name, 0), e.LabelsLogged.named(
            f"{labels.ids}", NOON, model, prediction_id=labels.ids, label=labels.labels, labelled_at=labels.at
        ))  # fmt: skip

    def _write(self, model: str, rows: Rows, source: str) -> None:
        kept = len(rows.ids) - self.lossy
        write(self.log, Place(topics.PREDICTIONS.name, 0), e.PredictionsLogged.named(
            f"{rows.ids}", NOON, model, source=source, prediction_id=rows.ids[:kept], times=rows.times[:kept],
            features={name: values[:kept] for name, values in rows.features.items()},
        ))  # fmt: skip


@dataclass
class FakeStack:
    """Ingest's heartbeats, a reader, and a control service that says `talk` more events, one per tick."""

    log: MemoryClient
    calls: list[str]
    talk: int = 0
    sequence: int = 0
    ticks: list[e.ClockMoved] = field(default_factory=list)
    deaf: bool = False

    def round(self) -> None:
        """Read what is there; heartbeats come before the commit of the clock record that they follow."""
        if self.deaf:
            return
        for record in self._news(CONTROL):
            self._hear(record)
        for record in self._news(READER):
            self.log.commit_as(READER, {record.place: record.offset + 1})

    def _news(self, group: str) -> list[Record]:
        places = [Place(name, number) for name in GROUPS[group] for number in range(self.log.partitions(name))]
        tail = self.log.tail()
        tail.seek(self.log.committed(group, places))
        return tail.read_to(self.log.ends(places))

    def _hear(self, record: Record) -> None:
        moved = decode(record.value, record.headers)
        assert isinstance(moved, e.ClockMoved)
        self.ticks.append(moved)
        self.calls.append(f"clock {moved.data:%H}/{moved.control:%H}/{moved.round}")
        for number in range(topics.PARTITIONS):
            clocks = {MODEL: round(moved.data.timestamp() * 1000)}
            write(self.log, Place(topics.PREDICTIONS.name, number), e.HeartbeatSent.named(
                f"{moved.id}/{number}", NOON, "*", replica="0", clocks=clocks
            ))  # fmt: skip
        if moved.data == moved.control and self.talk:
            self.talk -= 1
            self.say(a_skip(self.sequence + 1))
        self.log.commit_as(CONTROL, {record.place: record.offset + 1})

    def say(self, event: e.Event, journal: topics.Topic = topics.TRAINING) -> None:
        """A valid record of a journal."""
        self.sequence = event.sequence or 0
        write(self.log, place_of(journal), event)


def a_skip(sequence: int) -> e.TrainingSkipped:
    why = e.Reason(rule="test")
    return e.TrainingSkipped(id=UUID(int=sequence), time=NOON, model=MODEL, sequence=sequence, reason=why)


@dataclass
class Scene:
    """All of it, connected."""

    stack: FakeStack
    door: FakeDoor
    client: Client
    sleeper: Sleeper
    calls: list[str]


def a_scene(*, talk: int = 0, lossy: bool = False, deaf: bool = False, limit_s: float = 50) -> Scene:
    log, calls = a_log().client(), list[str]()
    stack, door = FakeStack(log, calls, talk, deaf=deaf), FakeDoor(log, calls, lossy)
    sleeper = Sleeper(stack.round)
    patience = Patience(limit_s, sleeper.monotonic, sleeper.sleep)
    journals = Journals(log)
    quiescence = Quiescence(log, LogOffsets(log), GROUPS, journals, patience)
    client = Client(log, door, journals, Predictions(log), quiescence, patience)
    return Scene(stack, door, client, sleeper, calls)


def labels_of(*ids: str) -> Sequence[Labels]:
    return [rows_of(*ids).labelled(1000)]
