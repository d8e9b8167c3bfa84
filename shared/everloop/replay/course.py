"""How a file's rows are played: history first, then one leg per window, each with the labels that are due by its end.

Pure. Times are milliseconds since 1970 (UTC).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from everloop.errors import UsageError
from everloop.loop import Loop
from everloop.replay.rows import Labels, Rows

MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Leg:
    """Rows of one window, labels that become known in it, and the time that it is then (ms)."""

    rows: Rows
    labels: Labels
    until: int


@dataclass(frozen=True)
class Course:
    """The rows in order of time; the first `warmup` of them are history, the others are streamed."""

    loop: Loop
    rows: Rows
    warmup: int
    stream: Rows = field(init=False)
    known_at: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Check that there is something on either side. Raises `UsageError`."""
        count = len(self.rows.ids)
        if not 0 < self.warmup < count:
            raise UsageError(f"--warmup {self.warmup}: the file has {count} rows; some must be history, some be left")
        ordered = by_time(self.rows)
        stream = ordered.cut(slice(self.warmup, count))
        object.__setattr__(self, "rows", ordered)
        object.__setattr__(self, "stream", stream)
        object.__setattr__(self, "known_at", stream.labelled(_ms(self.loop.labels.delay)).at)

    @property
    def history(self) -> Rows:
        """What the first version learns from."""
        return self.rows.cut(slice(0, self.warmup))

    @property
    def first(self) -> int:
        """The time of the first row of the history."""
        return self.rows.times[0]

    @property
    def start(self) -> int:
        """The time of the first row that is streamed."""
        return self.stream.times[0]

    @property
    def end(self) -> int:
        """When the window of the last row is closed, its labels included."""
        every, loop = _ms(self.loop.windows.every), self.loop
        closed = _after(self.stream.times[-1], every) + max(_ms(loop.windows.grace), _ms(loop.labels.horizon))
        return max(closed, self.known_at[-1])

    def labels(self, start: int, stop: int) -> Labels:
        """The labels of the streamed rows `start` to `stop`."""
        return self.stream.cut(slice(start, stop)).labelled(_ms(self.loop.labels.delay))

    def legs(self) -> Iterator[Leg]:
        """Window after window. Where nothing comes for some windows, one leg goes over all of them."""
        every, grace = _ms(self.loop.windows.every), _ms(self.loop.windows.grace)
        row = label = 0
        boundary = self.start // every * every
        while (due := self._next_due(row, label)) is not None:
            boundary = max(boundary + every, due // every * every)
            rows = bisect_left(self.stream.times, boundary)
            labels = min(rows, bisect_right(self.known_at, boundary))
            yield Leg(self.stream.cut(slice(row, rows)), self.labels(label, labels), boundary + grace)
            row, label = rows, labels
        if boundary + grace < self.end:
            yield Leg(self.stream.cut(slice(0, 0)), self.labels(0, 0), self.end)

    def _next_due(self, row: int, label: int) -> int | None:
        """When the next row or label comes (ms); None when all have."""
        return min((*self.stream.times[row : row + 1], *self.known_at[label : label + 1]), default=None)


def by_time(rows: Rows) -> Rows:
    """The same rows in order of time; rows of one time stay in their order."""
    order = sorted(range(len(rows.ids)), key=rows.times.__getitem__)
    return Rows(
        ids=tuple(rows.ids[place] for place in order),
        times=tuple(rows.times[place] for place in order),
        entities=None if rows.entities is None else tuple(rows.entities[place] for place in order),
        features={name: tuple(values[place] for place in order) for name, values in rows.features.items()},
        labels=tuple(rows.labels[place] for place in order),
    )


def _after(time: int, every: int) -> int:
    """The first boundary after a time."""
    return (time // every + 1) * every


def _ms(duration: timedelta) -> int:
    return duration // MILLISECOND
