"""The order of a replay, per window: rows and due labels; the data clock; control ticks until nothing is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from everloop import topics
from everloop.buckets import partition
from everloop.codec import encode
from everloop.errors import FatalError
from everloop.events import ClockMoved, Event
from everloop.replay.quiescence import Patience, Quiescence
from everloop.replay.rows import Labels, Rows
from everloop.replay.watching import Journals, Predictions
from everloop.runtime.log import Log, Message, Place

MOST_ROUNDS: Final = 100
"""A control plane that still talks after so many rounds at the same time is broken."""


class Door(Protocol):
    """How rows and labels get in; each call returns when the broker has acknowledged all of it."""

    def predict(self, model: str, rows: Rows) -> None:
        """Have these rows scored by serving."""

    def history(self, model: str, rows: Rows) -> None:
        """Send these rows as history (source bootstrap) through ingest."""

    def label(self, model: str, labels: Labels) -> None:
        """Send labels through ingest."""


@dataclass
class Client:
    """What a replay needs of a running stack."""

    log: Log
    door: Door
    journals: Journals
    predictions: Predictions
    quiescence: Quiescence
    patience: Patience


class LockStep:
    """One model's time. Its own clock is set before any row, so that the clock of all never applies to it.

    The clock record stays at the end: the stack remains at the model's time, and a tombstone (`end`) gives the model
    back to the clock of all.
    """

    def __init__(self, model: str, client: Client) -> None:
        """Nothing is said yet."""
        self.model = model
        self.client = client
        self.data: datetime | None = None
        self.control: datetime | None = None
        self.round = 0
        self.moves = 0

    def begin(self, at: datetime) -> None:
        """Set both clocks, and wait until a heartbeat for the model stands in every partition of `predictions`."""
        self.data = self.control = at
        self._move()
        self._settle()

    def step(self, until: datetime, rows: Rows | None = None, labels: Sequence[Labels] = ()) -> None:
        """Play one window: rows and labels, then the data clock to `until`, then control ticks at `until`."""
        self.feed(rows, labels)
        self.close(until)
        self.decide()

    def feed(self, rows: Rows | None, labels: Sequence[Labels] = ()) -> None:
        """Rows through serving and labels through ingest, until every id is back and the stack is at rest."""
        for batch in rows.batches() if rows else ():
            self.client.predictions.expect(batch.ids)
            self.client.door.predict(self.model, batch)
        self._label(labels)

    def history(self, rows: Rows, labels: Labels) -> None:
        """Rows as history, with their labels, until every id is back and the stack is at rest."""
        for batch in rows.batches():
            self.client.predictions.expect(batch.ids)
            self.client.door.history(self.model, batch)
        self._label([labels])

    def close(self, until: datetime) -> None:
        """Move the data clock; the control clock stays, so that no tick comes of it."""
        self.data = until
        self._move()
        self._settle()

    def decide(self) -> int:
        """Tick at the data clock's time, again until a round adds no valid journal record; how many rounds."""
        self.control, self.round = self.data, 0
        for rounds in range(1, MOST_ROUNDS + 1):
            before = self.client.journals.valid
            self._move()
            self._settle()
            if self.client.journals.valid == before:
                return rounds
            self.round += 1
        raise FatalError(f"{self.model}: the control services still decide after {MOST_ROUNDS} ticks at one time")

    def end(self) -> None:
        """Give the model back to the clock of all."""
        self.client.log.publish([Message(self._place(), self.model.encode(), None)])

    def _label(self, labels: Sequence[Labels]) -> None:
        for some in labels:
            self.client.door.label(self.model, some)
        self.client.patience.until(self._lost, "rows on predictions")
        self.client.quiescence.wait()

    def _lost(self) -> list[str]:
        self.client.predictions.news()
        count = len(self.client.predictions.missing)
        return [f"{count} sent rows are not on {topics.PREDICTIONS.name}"] if count else []

    def _move(self) -> None:
        data, control = self._times()
        name = f"{self.model}/{data.isoformat()}/{control.isoformat()}/{self.round}"
        moved = ClockMoved.named(name, data, self.model, data=data, control=control, round=self.round)
        self.moves += 1
        publish(self.client.log, self._place(), moved)

    def _settle(self) -> None:
        self.client.patience.until(self._unheard, "heartbeats")
        self.client.quiescence.wait()

    def _unheard(self) -> list[str]:
        self.client.predictions.news()
        data, _ = self._times()
        behind = self.client.predictions.behind(self.model, round(data.timestamp() * 1000))
        return [f"no heartbeat of {data.isoformat()} in {place.topic}[{place.partition}]" for place in behind]

    def _times(self) -> tuple[datetime, datetime]:
        if self.data is None or self.control is None:
            raise FatalError(f"{self.model}: its clock was not set; call begin first")
        return self.data, self.control

    def _place(self) -> Place:
        return Place(topics.CLOCK.name, partition(self.model, topics.PARTITIONS))


def publish(log: Log, place: Place, event: Event, source: str = "cli") -> None:
    """Write one event under its model's key, and wait for the acknowledgement."""
    value, headers = encode(event, source=source, recorded=datetime.now(UTC))
    log.publish([Message(place, event.model.encode(), value, headers)])


def publish_on(log: Log, topic: topics.Topic, event: Event) -> None:
    """Write one event where its model's records are."""
    publish(log, Place(topic.name, partition(event.model, topics.PARTITIONS)), event)
