"""Read topics from their start to an end that is asked for now, and go on from there. Nothing is committed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from everloop import topics
from everloop.buckets import partition
from everloop.codec import decode
from everloop.errors import InvalidError, UsageError
from everloop.events import ClockMoved, Event, LoopApplied
from everloop.facts import Facts, fold
from everloop.rows import read_event
from everloop.runtime.journal import Validity
from everloop.runtime.log import Log, Place, Record, places_of

CHUNK = 2_000
"""Records per partition that are decoded before the next are read: what bounds the memory of a long read."""
CONTROL = tuple(
    one.name
    for one in (
        topics.LOOPS, topics.COMMANDS, topics.ARCHIVE, topics.WINDOWS, topics.DRIFT, topics.REPORTS, topics.TRAINING,
        topics.VERDICTS, topics.ROLLOUTS, topics.TRAFFIC, topics.ALERTS, topics.DLQ,
    )
)  # fmt: skip
"""Few records, each worth a line."""
STORY = tuple(
    one.name
    for one in (
        topics.COMMANDS, topics.DRIFT, topics.REPORTS, topics.TRAINING, topics.VERDICTS, topics.ROLLOUTS,
        topics.TRAFFIC, topics.ALERTS,
    )
)  # fmt: skip
"""What `everloop why` tells from."""
_ORDER = {name: index for index, name in enumerate(topics.TOPICS)}


@dataclass(frozen=True, slots=True)
class Heard:
    """One event and where it stands."""

    record: Record
    event: Event

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self.record.place.topic

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Append time; within a millisecond the order of the flow."""
        place = self.record.place
        return self.record.appended_ms, _ORDER[place.topic], place.partition, self.record.offset


@dataclass
class Reader:
    """Reads these topics; `model` leaves out the partitions that cannot hold it. `last` starts so near the end.

    Journals are always read from their start: which of their records are valid follows from all before (DESIGN rule 5).
    """

    log: Log
    names: Sequence[str]
    model: str | None = None
    last: int | None = None
    validity: dict[Place, Validity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Choose where to start; nothing is read yet."""
        places = [place for place in places_of(self.log, dict.fromkeys(self.names)) if self._may_hold(place)]
        ends = self.log.ends(places) if self.last is not None else {}
        self.positions = {place: self._start(place, ends.get(place, 0)) for place in places}
        self.tail = self.log.tail()
        self.tail.seek(self.positions)

    def news(self) -> Iterator[list[Heard]]:
        """What came since the last call, in chunks; in the order of the log within a partition."""
        ends = self.log.ends(self.positions)
        while behind := {place: end for place, end in ends.items() if end > self.positions[place]}:
            targets = {place: min(end, self.positions[place] + CHUNK) for place, end in behind.items()}
            records = self.tail.read_to(targets)
            self.positions.update(targets)
            yield [Heard(record, event) for record in records if (event := self._event(record)) is not None]

    def close(self) -> None:
        """Let go of the connection."""
        self.tail.close()

    def _may_hold(self, place: Place) -> bool:
        by_model = topics.TOPICS[place.topic].placed_by == "model"
        return not by_model or self.model is None or place.partition == partition(self.model, topics.PARTITIONS)

    def _start(self, place: Place, end: int) -> int:
        return 0 if self.last is None or topics.TOPICS[place.topic].journal else max(0, end - self.last)

    def _event(self, record: Record) -> Event | None:
        event = self._decoded(record)
        return event if event is not None and self.model in {None, event.model} else None

    def _decoded(self, record: Record) -> Event | None:
        if topics.TOPICS[record.place.topic].journal:
            return self.validity.setdefault(record.place, Validity()).accept(record)
        try:
            return read_event(record.value, record.headers)
        except InvalidError:
            return None


def archive_of(log: Log, model: str) -> Facts:
    """What the archive holds of a model."""
    facts = Facts()
    for heard in read_all(log, (topics.ARCHIVE.name,), model):
        facts = fold(facts, heard.event)
    return facts


def read_all(log: Log, names: Sequence[str], model: str | None = None) -> list[Heard]:
    """All events of these topics by append time, to an end that is asked for now."""
    reader = Reader(log, names, model)
    found = sorted(chain.from_iterable(reader.news()), key=lambda one: one.order)
    reader.close()
    return found


def applied_loops(log: Log) -> dict[str, LoopApplied]:
    """The newest loop file of each model that has one; a tombstone takes it away."""
    found: dict[str, LoopApplied] = {}
    for key, event in _compacted(log, topics.LOOPS.name):
        if isinstance(event, LoopApplied):
            found[event.model] = event
        else:
            found.pop(key, None)
    return found


def model_now(log: Log, model: str, wall: datetime) -> datetime:
    """What a person's event says the time is: the model's own clock under a replay, else the machine's.

    A decider's time never goes back, so a command with the machine's time would spoil a replay of the past.
    """
    newest: dict[str, ClockMoved] = {}
    for key, event in _compacted(log, topics.CLOCK.name):
        if isinstance(event, ClockMoved):
            newest[key] = event
        else:
            newest.pop(key, None)
    own = newest.get(model)
    return own.control if own else wall


def require_model(known: Iterable[str], model: str) -> None:
    """Raise `UsageError` that names the known models."""
    names = sorted(known)
    if model not in names:
        there = f"known are {', '.join(names)}" if names else "none is applied yet"
        raise UsageError(f"no loop file is applied for model {model!r}: {there}; apply one with `everloop apply LOOP`")


def _compacted(log: Log, name: str) -> Iterator[tuple[str, Event | None]]:
    """Key and event of every record of a compacted topic, None for a tombstone; what cannot be read is left out."""
    places = places_of(log, [name])
    tail = log.tail()
    tail.seek(dict.fromkeys(places, 0))
    for record in tail.read_to(log.ends(places)):
        key = (record.key or b"").decode(errors="replace")
        try:
            yield key, decode(record.value, record.headers) if record.value is not None else None
        except InvalidError:
            continue
    tail.close()
