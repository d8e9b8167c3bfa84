"""What goes into one file of the archive, and what is said of it. Which bytes a file has is an adapter's affair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple

from everloop.events import Coverage, OutcomesJoined
from everloop.rows.values import Rows, listed

FEATURE: Final = "f."
"""Before the name of a feature, as `everloop.dataset` reads it."""
MOST_ROWS: Final = 50_000
"""Rows of one model in one partition that are worth a file at once."""
LINGER_MS: Final = 10_000
"""How long rows wait for company under the clock of all; a model with its own clock (replay) does not wait."""

Taken = Rows | OutcomesJoined
Column = Sequence[str | float | int | None]


class Source(NamedTuple):
    """Where rows of a file come from: one partition and one model."""

    topic: str
    partition: int
    model: str


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
    found = Counter(time - time % length for _, event in batch.events for time in event.times)
    return tuple(Coverage(start=start, rows=rows) for start, rows in sorted(found.items()))


def prediction_columns(batch: Batch) -> dict[str, Column]:
    """Columns of a predictions file: see `everloop.dataset`. Features in order of name; what a row lacks is None."""
    events = [event for _, event in batch.events if isinstance(event, Rows)]
    names = sorted({name for event in events for name in event.features})
    plain: dict[str, Column] = {
        "prediction_id": _chain(event.prediction_id for event in events),
        "time": _chain(event.times for event in events),
        "entity_id": _chain(event.entity_id or _none(event) for event in events),
        "source": _chain(_all(event, event.source) for event in events),
        "version": _chain(_all(event, event.version) for event in events),
        "arm": _chain(_all(event, event.arm) for event in events),
        "score": _chain(_none(event) if event.score is None else listed(event.score) for event in events),
    }
    return plain | {FEATURE + name: _feature(events, name) for name in names}


def outcome_columns(batch: Batch) -> dict[str, Column]:
    """Columns of an outcomes file: see `everloop.dataset`."""
    events = [event for _, event in batch.events if isinstance(event, OutcomesJoined)]
    return {
        "prediction_id": _chain(event.prediction_id for event in events),
        "time": _chain(event.times for event in events),
        "label": _chain(event.label for event in events),
        "labelled_at": _chain(event.labelled_at for event in events),
        "version": _chain(_all(event, event.version) for event in events),
        "score": _chain(event.score for event in events),
        "source": _chain(_all(event, event.source) for event in events),
    }


def _feature(events: Iterable[Rows], name: str) -> Column:
    """Numbers, or texts as soon as one value is a text; truth values are 1 and 0, what is none of these is None."""
    values = [_single(value) for event in events for value in _cells(event, name)]
    if any(isinstance(value, str) for value in values):
        return [None if value is None else str(value) for value in values]
    return [None if value is None else float(value) for value in values]


def _cells(event: Rows, name: str) -> Sequence[Any]:
    return listed(event.features[name]) if name in event.features else _none(event)


def _single(value: Any) -> str | float | None:  # noqa: ANN401 -- whatever JSON has
    return None if isinstance(value, list | dict) else value


def _chain(parts: Iterable[Sequence[str | float | int | None]]) -> Column:
    return [value for part in parts for value in part]


def _all(event: Taken, value: str | None) -> tuple[str | None, ...]:
    return (value,) * len(event.prediction_id)


def _none(event: Taken) -> tuple[None, ...]:
    return (None,) * len(event.prediction_id)


def newest(known: Mapping[str, int], clocks: Mapping[str, int]) -> dict[str, int]:
    """Clocks of a partition after a heartbeat; they never go back."""
    return {**known, **{name: max(now, known.get(name, 0)) for name, now in clocks.items()}}
