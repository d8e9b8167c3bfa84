"""What goes into one file of the archive, and what is said of it. Which bytes a file has is an adapter's affair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, NamedTuple

import numpy as np

from everloop.events import Coverage, FeedbackJoined, OutcomesJoined
from everloop.rows.values import Column, Rows

FEATURE: Final = "f."
"""Before the name of a feature, as `everloop.dataset` reads it."""
MOST_ROWS: Final = 50_000
"""Rows of one model in one partition that are worth a file at once."""
LINGER_MS: Final = 10_000
"""How long rows wait for company under the clock of all; a model with its own clock (replay) does not wait."""

Taken = Rows | OutcomesJoined | FeedbackJoined
Kind = Literal["predictions", "outcomes", "feedback"]


class Same(NamedTuple):
    """One value in so many rows."""

    value: str | None
    rows: int


Piece = Column | Sequence[str | float | int | None] | Same
Pieces = Sequence[Piece]
"""A column, in pieces as they came."""


class Source(NamedTuple):
    """Where rows of a file come from: one partition and one model; and what they are."""

    topic: str
    partition: int
    model: str
    kind: Kind


@dataclass(slots=True)
class Batch:
    """Rows of one source that wait to be written, in log order. `since`: when the first of them came (ms)."""

    since: int
    events: list[tuple[int, Taken]] = field(default_factory=list)
    rows: int = 0

    def add(self, offset: int, event: Taken) -> None:
        """Take the rows of one record."""
        self.events.append((offset, event))
        self.rows += len(event.prediction_id)

    def after(self, offset: int, newer: Sequence[tuple[int, Taken]] = ()) -> Batch:
        """What of it comes after an offset, and what is newer."""
        left = Batch(self.since)
        for at, event in (*((at, event) for at, event in self.events if at > offset), *newer):
            left.add(at, event)
        return left

    @property
    def first_offset(self) -> int:
        """Offset of the first record."""
        return self.events[0][0]

    @property
    def last_offset(self) -> int:
        """Offset of the last record."""
        return self.events[-1][0]

    def due(self, now: int, *, own_clock: bool, linger_ms: int = LINGER_MS) -> bool:
        """Whether the rows are to be written now (ms of the wall, as `since`)."""
        return bool(self.events) and (own_clock or self.rows >= MOST_ROWS or now - self.since >= linger_ms)

    @property
    def history_rows(self) -> int:
        """Rows of a bootstrap."""
        return sum(len(event.prediction_id) for _, event in self.events if event.source == "bootstrap")


def coverage(batch: Batch, every: timedelta) -> tuple[Coverage, ...]:
    """Rows per slice of `windows.every`, in order of time: slices begin at multiples of their length since 1970."""
    length = max(1, int(every.total_seconds() * 1000))
    times = np.concatenate([np.array(event.times, np.int64) for _, event in batch.events])
    starts, rows = np.unique(times - times % length, return_counts=True)
    return tuple(Coverage(start=start, rows=count) for start, count in zip(starts.tolist(), rows.tolist(), strict=True))


def prediction_columns(batch: Batch) -> dict[str, Pieces]:
    """Columns of a predictions file: see `everloop.dataset`. Features in order of name; what a row lacks is None."""
    events = [event for _, event in batch.events if isinstance(event, Rows)]
    names = sorted({name for event in events for name in event.features})
    plain: dict[str, Pieces] = {
        "prediction_id": [event.prediction_id for event in events],
        "time": [event.times for event in events],
        "entity_id": [event.entity_id or _same(event, None) for event in events],
        "source": [_same(event, event.source) for event in events],
        "version": [_same(event, event.version) for event in events],
        "arm": [_same(event, event.arm) for event in events],
        "score": [_same(event, None) if event.score is None else event.score for event in events],
    }
    return plain | {
        FEATURE + name: [event.features.get(name, _same(event, None)) for event in events] for name in names
    }


def outcome_columns(batch: Batch) -> dict[str, Pieces]:
    """Columns of an outcomes file: see `everloop.dataset`."""
    events = [event for _, event in batch.events if isinstance(event, OutcomesJoined)]
    return {
        "prediction_id": [event.prediction_id for event in events],
        "time": [event.times for event in events],
        "label": [event.label for event in events],
        "labelled_at": [event.labelled_at for event in events],
        "version": [_same(event, event.version) for event in events],
        "score": [event.score for event in events],
        "source": [_same(event, event.source) for event in events],
    }


def feedback_columns(batch: Batch) -> dict[str, Pieces]:
    """Columns of a feedback file: one row per value, a correction is a further one, and the last `said_at` wins."""
    events = [event for _, event in batch.events if isinstance(event, FeedbackJoined)]
    return {
        "prediction_id": [event.prediction_id for event in events],
        "time": [event.times for event in events],
        "name": [_same(event, event.name) for event in events],
        "value": [event.value for event in events],
        "said_at": [event.said_at for event in events],
        "version": [_same(event, event.version) for event in events],
        "arm": [_same(event, event.arm) for event in events],
        "source": [_same(event, event.source) for event in events],
    }


def kind_of(event: Taken) -> Kind:
    """Of which kind its rows are."""
    return "predictions" if isinstance(event, Rows) else "feedback" if isinstance(event, FeedbackJoined) else "outcomes"


COLUMNS: Final[Mapping[Kind, Callable[[Batch], dict[str, Pieces]]]] = {
    "predictions": prediction_columns, "outcomes": outcome_columns, "feedback": feedback_columns,
}  # fmt: skip
"""The columns of a file of each kind."""


def _same(event: Taken, value: str | None) -> Same:
    return Same(value, len(event.prediction_id))


def newest(known: Mapping[str, int], clocks: Mapping[str, int]) -> dict[str, int]:
    """Clocks of a partition after a heartbeat; they never go back."""
    return {**known, **{name: max(now, known.get(name, 0)) for name, now in clocks.items()}}
