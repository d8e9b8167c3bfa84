"""The first room of the worker: rows of `predictions` and `labels` go to the join by prediction id. No state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import numpy as np

from everloop import topics
from everloop.errors import InvalidError
from everloop.events import (
    EVERY_MODEL,
    Event,
    FeedbackLogged,
    HeartbeatPassed,
    HeartbeatSent,
    LabelsLogged,
    LoopApplied,
    PredictionsLogged,
)
from everloop.ledger import Ledger, named_rows
from everloop.loop import Feedback, Loop
from everloop.loop.feedback import Wrong, wrong_with
from everloop.metrics import Metrics
from everloop.names import PROBE
from everloop.rows import Rows, read_record
from everloop.runtime.log import Log, Message, Place, Record
from everloop_ingest.adapters.records import (
    SOURCE,
    Envelope,
    Wall,
    columns_message,
    dead_letter,
    message,
    moment,
    name_of,
)
from everloop_ingest.domain.archiving import newest
from everloop_ingest.domain.declared import declared_in
from everloop_ingest.domain.routing import Routed, route, route_feedback


class RouteFold:
    """Rows become `keys`, heartbeats follow the rows that came before them, bad records become dead letters.

    Of `loops` it is known which feedback each model has declared, and by which columns it has segments: predictions
    carry their values along.
    """

    name = "ingest.route"
    hears = (topics.PREDICTIONS.name, topics.LABELS.name)
    broadcasts: tuple[str, ...] = (topics.LOOPS.name,)

    def __init__(self, wall: Wall, metrics: Metrics, *, replica: str = "0") -> None:
        """`wall` is used for `recordedtime` alone."""
        self.wall = wall
        self.metrics = metrics
        self.partitions = topics.KEYS.partitions
        self.declared: dict[str, Mapping[str, Feedback]] = {}
        self.refresh: Callable[[], object] = lambda: None
        self.said: list[Message] = []
        self.beats: dict[Place, tuple[str, dict[str, int]]] = {}
        self.segments: dict[str, tuple[str, ...]] = {}
        self.ledger = Ledger(self.name, wall, replica)

    def restore(self, log: Log, committed: dict[Place, int]) -> None:
        """Nothing is kept but the books: what was not committed is routed again, under the same ids."""
        self.ledger.restore(log, committed)
        self.partitions = log.partitions(topics.KEYS.name)
        self.said, self.beats = [], {}

    def learn(self, record: Record, event: Event | None) -> None:
        """Note which feedback and segments a model has declared; a tombstone takes the model away.

        A loop file that this release cannot read declares none: rows and labels go on.
        """
        if isinstance(event, LoopApplied):
            self.declared[event.model] = {}
            self.segments[event.model] = declared_in(event.loop)
            with suppress(InvalidError):
                self.declared[event.model] = Loop.from_payload(event.loop).feedback or {}
        elif event is None and record.key:
            model = record.key.decode(errors="replace")
            self.declared.pop(model, None)
            self.segments.pop(model, None)

    def take(self, record: Record) -> None:
        """Route one record."""
        try:
            self._take(record, read_record(record.value, record.headers))
        except InvalidError as error:
            self._refuse(record, error)
            self.ledger.enter(record, quarantined=named_rows(record))

    def _refuse(self, record: Record, error: InvalidError) -> None:
        self.metrics.inc("everloop_dead_letters_total", topic=record.place.topic, reason=error.reason)
        self.said.append(dead_letter(record, error, self.name, self.wall()))

    def flush(self) -> Sequence[Message]:
        """The rows, and behind them the newest heartbeat of each source: it says that all before it is there."""
        said, self.said = self.said, []
        beats, self.beats = self.beats, {}
        passed = (beat for place, (name, clocks) in beats.items() for beat in self._passed(place, name, clocks))
        return [*said, *passed, *self.ledger.messages()]

    def _take(self, record: Record, found: Rows | Event) -> None:
        kind = PredictionsLogged if isinstance(found, Rows) else type(found)
        if kind not in topics.TOPICS[record.place.topic].events:
            raise InvalidError("shape", f"{kind.__name__} does not belong on {record.place.topic}")
        match found:
            case HeartbeatSent():
                known = self.beats.get(record.place, ("", {}))[1]
                self.beats[record.place] = (name_of(record), newest(known, found.clocks))
            case Rows() | LabelsLogged() | FeedbackLogged() if found.model == PROBE:
                # its labels are not joined: for a month the join would remember rows that nobody asks for
                self.ledger.enter(record, quarantined=_rows(found))
            case Rows() | LabelsLogged():
                _check_lengths(found)
                rows = _rows(found)
                self.metrics.inc("everloop_rows_total", rows, group=self.name, topic=record.place.topic)
                old = isinstance(found, Rows) and found.source == "bootstrap"
                self.ledger.enter(record, **{"history" if old else "counted": rows})
                routed = route(found, self.partitions, name_of(record), self.segments.get(found.model, ()))
                self.said += [self._keys(number, keys) for number, keys in routed]
            case FeedbackLogged():
                self._take_feedback(record, found)
            case _:
                pass

    def _take_feedback(self, record: Record, event: FeedbackLogged) -> None:
        """Route what the loop file has declared; for the sake of the other rows the record is a dead letter as well.

        What the front door has accepted was declared then: `loops` are read to their end before it is refused here.
        """
        wrong = self._wrong(event)
        if any(wrong) and dict(record.headers).get("ce_source") == _BY_DOOR:
            self.refresh()
            wrong = self._wrong(event)
        good = np.array([row for row, rule in enumerate(wrong) if rule is None], np.int64)
        self.metrics.inc("everloop_rows_total", len(wrong), group=self.name, topic=record.place.topic)
        self.ledger.enter(record, counted=len(good), quarantined=len(wrong) - len(good))
        routed = route_feedback(event, good, self.partitions, name_of(record))
        self.said += [self._keys(number, keys) for number, keys in routed]
        if broken := [rule for rule in wrong if rule is not None]:
            error = f"{len(broken)} of {len(wrong)} values: {_MEANINGS[broken[0]]}"
            self._refuse(record, InvalidError(broken[0], error))

    def _wrong(self, event: FeedbackLogged) -> list[Wrong | None]:
        """Which rule each row breaks."""
        declared = self.declared.get(event.model, {})
        return [wrong_with(declared, name, value) for name, value in zip(event.name, event.value, strict=True)]

    def _keys(self, number: int, keys: Routed) -> Message:
        place = Place(topics.KEYS.name, number)
        said = Envelope(keys.kind, keys.identity, keys.time, keys.model)
        return columns_message(place, said, keys.fields, self.wall())

    def _passed(self, place: Place, name: str, clocks: dict[str, int]) -> list[Message]:
        event = HeartbeatPassed.named(
            name, moment(max(clocks.values(), default=0)), EVERY_MODEL, topic=place.topic, partition=place.partition,
            clocks=clocks,
        )  # fmt: skip
        return [message(topics.KEYS, number, event, self.wall()) for number in range(self.partitions)]


_BY_DOOR: Final = f"/everloop/{SOURCE}".encode()
_MEANINGS: Final[Mapping[Wrong, str]] = {
    "unknown_feedback": "the loop file declares no feedback of this name: add it to `feedback`, and apply it",
    "out_of_bounds": "the value is outside of `least` and `most` of its name in the loop file",
}


def _rows(event: Rows | LabelsLogged | FeedbackLogged) -> int:
    """Rows of a record: a label by entity is one, however many predictions it is of."""
    if isinstance(event, LabelsLogged) and event.entity_id is not None:
        return len(event.entity_id)
    return len(event.prediction_id)


def _check_lengths(event: Rows | LabelsLogged) -> None:
    """The columns of labels have no rule of their own in the contract."""
    if not isinstance(event, LabelsLogged):
        return
    if event.entity_id is not None:
        _check_ranges(event)
    elif len(event.label) != len(event.prediction_id) or len(event.labelled_at) != len(event.prediction_id):
        raise InvalidError("shape", "label and labelled_at have as many rows as prediction_id")


def _check_ranges(event: LabelsLogged) -> None:
    start, end = event.start or (), event.end or ()
    if event.prediction_id:
        raise InvalidError("shape", "labels name predictions or entities, not both; send two records")
    if {len(event.label), len(event.labelled_at), len(start), len(end)} != {len(event.entity_id or ())}:
        raise InvalidError("shape", "label, labelled_at, start and end have as many rows as entity_id")
    if any(first >= last for first, last in zip(start, end, strict=True)):
        raise InvalidError("shape", "the end of a label's time range comes after its start")
