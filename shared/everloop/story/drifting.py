"""What drifted, how the columns looked, and since when: told from judged windows and their counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from uuid import UUID

from everloop.events import (
    ChangePoint,
    ColumnSide,
    ColumnWindow,
    Episode,
    Measure,
    RankedColumn,
    WindowClosed,
    WindowJudged,
)
from everloop.story.feedback import Stretch
from everloop.story.lines import number

MOST_BARS: Final = 16
CHAMPION: Final = "champion"
SCORE: Final = "score"
JUDGED: Final = frozenset({"stable", "drifted", "data_fault"})


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares of the values on both sides in the same bars, and the share of rows that are in none of them."""

    labels: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]
    missing_reference: float
    missing_current: float

    @property
    def largest(self) -> float:
        """The largest share of a bar: both sides are drawn on one scale."""
        return max((*self.reference, *self.current), default=0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One column of a window, or its scores: its rank if it has one, what decided, and its histogram where known.

    `against` is what it was compared with: `hour_of_day` or `hour_of_week` of the reference, or the `whole`.
    """

    name: str
    ranked: RankedColumn | None = None
    measures: tuple[Measure, ...] = ()
    histogram: Histogram | None = None
    against: str | None = None

    @property
    def drifted(self) -> bool:
        """Whether any of its measures is drift."""
        return any(one.drifted for one in self.measures)


@dataclass(frozen=True, slots=True)
class Course:
    """One episode. Times are starts and ends of windows (ms); `closed` is None while it is open.

    `diagnosis` is what its last diagnosed window was said to show.
    """

    identity: UUID
    kind: str
    version: str | None
    opened: int
    closed: int | None = None
    windows: int = 1
    change_at: int | None = None
    change: ChangePoint | None = None
    diagnosis: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A window with its columns in order of drift x importance, the windows of inputs so far, and the episodes.

    `feedback` is what predictions brought, of a window and of those like it; `labelled` the window of outcomes that has
    segments, `outcome` the one whose labels were judged. `season_why` is why the window's version has its season, or
    none, as its profile says.
    """

    window: WindowJudged | None = None
    rows: tuple[Row, ...] = ()
    course: tuple[WindowJudged, ...] = ()
    episodes: tuple[Course, ...] = ()
    feedback: tuple[Stretch, ...] = ()
    labelled: WindowJudged | None = None
    season_why: str = ""
    outcome: WindowJudged | None = None


def inputs_of(judged: Iterable[WindowJudged]) -> tuple[WindowJudged, ...]:
    """The windows of inputs in order of time, each as it was judged last: a revision replaces what it revises."""
    return _newest(one for one in judged if one.kind == "inputs")


def labelled_of(judged: Iterable[WindowJudged], start: int | None) -> WindowJudged | None:
    """The window of outcomes with this start, or else the last, of those with segments."""
    return _at((one for one in judged if one.kind == "outcomes" and one.segments), start)


def outcome_of(judged: Iterable[WindowJudged], start: int | None) -> WindowJudged | None:
    """The window of outcomes with this start, or else the last, of those whose quality was judged."""
    return _at((one for one in judged if one.kind == "outcomes" and one.verdict in JUDGED), start)


def _at(judged: Iterable[WindowJudged], start: int | None) -> WindowJudged | None:
    found = _newest(judged)
    return next((one for one in found if one.start == start), found[-1] if found and start is None else None)


def _newest(judged: Iterable[WindowJudged]) -> tuple[WindowJudged, ...]:
    newest: dict[int, WindowJudged] = {}
    for one in judged:
        if one.start not in newest or newest[one.start].revision <= one.revision:
            newest[one.start] = one
    return tuple(newest[start] for start in sorted(newest))


def is_compared(window: WindowJudged) -> bool:
    """Whether columns or scores were measured against the reference."""
    return bool(window.figures.columns) or window.figures.score is not None


def rows_of(window: WindowJudged, closed: WindowClosed | None) -> tuple[Row, ...]:
    """The ranked columns of a window, best first, then its scores. Without its counts there are no histograms."""
    seen = _counted(window, closed)
    held: dict[str, list[Measure]] = {}
    for one in window.measures:
        held.setdefault(one.name, []).append(one)
    rows = [_row(one.name, one, held, seen, window.season) for one in window.ranking]
    return (*rows, _row(SCORE, None, held, seen, window.season)) if window.figures.score else tuple(rows)


def episodes_of(judged: Iterable[WindowJudged]) -> tuple[Course, ...]:
    """Every episode in the order of opening, as its last window knows it."""
    found: dict[UUID, Course] = {}
    for one in judged:
        if one.episode_id is None or one.episode is Episode.NONE:
            continue
        known = found.get(one.episode_id)
        found[one.episode_id] = Course(
            one.episode_id, one.episode_kind or "", known.version if known else one.version,
            known.opened if known else one.start, one.end if one.episode is Episode.CLOSED else None,
            known.windows + 1 if known else 1, one.change_at, one.change or (known.change if known else None),
            one.diagnosis.kind if one.diagnosis else known.diagnosis if known else None,
        )  # fmt: skip
    return tuple(found.values())


def histogram(column: ColumnWindow) -> Histogram:
    """Put the bins of a column into at most 16 bars.

    Of a numeric column the outermost bins stay apart, since they are what the reference never had; the others, of
    near-equal reference mass, are put together as neighbours. Of a categorical one the most frequent stay.
    """
    bars = list(_bars(column))
    sides = (column.reference, column.current)
    reference, current = (_shares([sum(side.counts[place] for place in bar) for _, bar in bars]) for side in sides)
    missing = [_missing(side) for side in sides]
    return Histogram(tuple(label for label, _ in bars), reference, current, *missing)


def _row(
    name: str, ranked: RankedColumn | None, held: Mapping[str, Sequence[Measure]], seen: _Seen, season: str | None
) -> Row:
    column, measures = seen.get((name, ranked is not None)), tuple(held.get(name, ()))
    if column is None:
        return Row(name, ranked, measures)
    return Row(name, ranked, measures, histogram(column), "whole" if column.overall is None else season)


_Seen = Mapping[tuple[str, bool], ColumnWindow]
"""Counts by name, and whether they are of a column: one may be called like the scores."""


def _counted(window: WindowJudged, closed: WindowClosed | None) -> _Seen:
    arms = closed.arms if closed else ()
    arm = next((one for one in arms if one.arm == CHAMPION and one.version == window.version), None)
    if arm is None:
        return {}
    columns = {(one.name, True): one for one in arm.columns}
    return columns | ({(SCORE, False): arm.score} if arm.score else {})


def _bars(column: ColumnWindow) -> Iterator[tuple[str, range]]:
    """The bars of a column with the places of their bins."""
    bins = len(column.reference.counts)
    if column.kind == "categorical":
        shown = bins if bins <= MOST_BARS else MOST_BARS - 1
        yield from ((column.categories[place], range(place, place + 1)) for place in range(min(shown, bins - 1)))
        yield "other", range(min(shown, bins - 1), bins)
        return
    parts = min(bins - 2, MOST_BARS - 2)
    inner = [1 + (bins - 2) * part // parts for part in range(parts)]
    for low, high in pairwise([0, *inner, *range(max(1, bins - 1), bins + 1)]):
        yield _range(column.edges, low, high), range(low, high)


def _range(edges: Sequence[float], low: int, high: int) -> str:
    """What the bins from `low` to below `high` hold."""
    if not edges:
        return "any"
    if low == 0:
        return f"below {number(edges[0])}"
    if high > len(edges):
        return f"from {number(edges[-1])}"
    return f"{number(edges[low - 1])} to {number(edges[high - 1])}"


def _shares(counts: Sequence[int]) -> tuple[float, ...]:
    total = sum(counts)
    return tuple(count / total if total else 0.0 for count in counts)


def _missing(side: ColumnSide) -> float:
    lost = side.missing + side.nonfinite + side.malformed
    rows = lost + sum(side.counts)
    return lost / rows if rows else 0.0
