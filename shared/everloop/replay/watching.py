"""What the log says while a replay waits: valid records of the journals, and rows and heartbeats on `predictions`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from everloop import events as e
from everloop import topics
from everloop.errors import InvalidError
from everloop.rows import Rows, listed, read_record
from everloop.runtime.journal import Validity
from everloop.runtime.log import Log, Place, Record, places_of

JOURNALS: Final = (topics.DRIFT, topics.TRAINING, topics.VERDICTS, topics.ROLLOUTS)
STARTED: Final = (e.TrainingStarted, e.ChecksStarted)
ENDED: Final = {
    topics.TRAINING.name: (e.ModelVersionCreated, e.TrainingFailed, e.TurnClosed),
    topics.VERDICTS.name: (e.VersionPassed, e.VersionRefused, e.VersionHeld),
}
"""What ends long work, by journal. A model has one piece of work at a time in each."""


class Follower:
    """Reads some topics from their start, each call up to an end that is asked for then."""

    def __init__(self, log: Log, names: Iterable[str]) -> None:
        """Nothing is read yet."""
        self.log = log
        self.places = places_of(log, names)
        self.positions = dict.fromkeys(self.places, 0)
        self.tail = log.tail()
        self.tail.seek(self.positions)

    def news(self) -> list[Record]:
        """What came since the last call."""
        ends = self.log.ends(self.places)
        due = {place: end for place, end in ends.items() if end > self.positions[place]}
        records = self.tail.read_to(due) if due else []
        self.positions.update(due)
        return records

    def close(self) -> None:
        """Let go of the connection."""
        self.tail.close()


class Journals:
    """The four journals: how many valid records there are, and which long work has no end."""

    def __init__(self, log: Log, listen: Callable[[e.Event], None] = lambda _: None) -> None:
        """`listen` is told of each valid event, once, in the order of the log (by append time across partitions)."""
        self.follower = Follower(log, [journal.name for journal in JOURNALS])
        self.validity: dict[Place, Validity] = {}
        self.listen = listen
        self.valid = 0
        self.open: dict[tuple[str, str], e.Event] = {}

    def news(self) -> int:
        """Read on, by append time; how many records came, valid or void."""
        records = sorted(self.follower.news(), key=lambda record: record.appended_ms)
        for record in records:
            event = self.validity.setdefault(record.place, Validity()).accept(record)
            if event is not None:
                self._note(record.place.topic, event)
        return len(records)

    def _note(self, topic: str, event: e.Event) -> None:
        self.valid += 1
        if isinstance(event, STARTED):
            self.open[topic, event.model] = event
        elif isinstance(event, ENDED.get(topic, ())):
            self.open.pop((topic, event.model), None)
        self.listen(event)


@dataclass(frozen=True, slots=True)
class Said:
    """Rows of one prediction record, as far as a viewer needs them."""

    model: str
    version: str | None
    arm: str | None
    ids: tuple[str, ...]
    scores: tuple[float | None, ...]


class Predictions:
    """The topic `predictions`: which ids of ours are not back yet, and what the heartbeats say in each partition."""

    def __init__(self, log: Log, listen: Callable[[Said], None] = lambda _: None) -> None:
        """`listen` is told of each prediction record."""
        self.follower = Follower(log, [topics.PREDICTIONS.name])
        self.listen = listen
        self.missing: set[str] = set()
        self.clocks: dict[Place, dict[str, int]] = {place: {} for place in self.follower.places}

    def expect(self, ids: Iterable[str]) -> None:
        """These ids were sent."""
        self.missing.update(ids)

    def news(self) -> None:
        """Read on."""
        for record in self.follower.news():
            self._note(record)

    def behind(self, model: str, at_least: int) -> list[Place]:
        """Partitions without a heartbeat for `model` that says `at_least` (ms) or more."""
        return [place for place, clocks in self.clocks.items() if clocks.get(model, -1) < at_least]

    def _note(self, record: Record) -> None:
        try:
            found = read_record(record.value, record.headers)
        except InvalidError:
            return
        if isinstance(found, e.HeartbeatSent):
            known = self.clocks[record.place]
            known.update({model: max(now, known.get(model, -1)) for model, now in found.clocks.items()})
        elif isinstance(found, Rows):
            self.missing.difference_update(found.prediction_id)
            said = [None] * len(found) if found.score is None else listed(found.score)
            self.listen(Said(found.model, found.version, found.arm, tuple(found.prediction_id), tuple(said)))
