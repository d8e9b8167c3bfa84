"""When did it begin? The change point of an episode with an interval of 95 %. Pure, and rebuilt by a fold.

The figures of inputs are one per compared window, made of the `figures` in the judge's own journal; those of quality
are the points of its stream of errors. `cuts` finds where they change. The seed of what it simulates is made of the
episode's id: a repeat says the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low
from typing import TYPE_CHECKING, Final

from everloop.events import ChangePoint, Episode, MeasureTable, WindowClosed, WindowJudged
from everloop_drift.domain import ranking
from everloop_drift.domain.concept import Point, mean_error
from everloop_drift.domain.cuts import Figure, cut
from everloop_drift.domain.measures import rounded

if TYPE_CHECKING:
    from everloop_drift.domain.episodes import Step

MOST_BEFORE: Final = 48
"""Windows that are remembered before an episode; and as many in it: what comes later does not say when it began."""
MOST_STRETCHES: Final = 96
"""A longer stream of errors is looked at in so many stretches."""
OPEN: Final = frozenset({Episode.OPENED, Episode.CONTINUING})


@dataclass(frozen=True, slots=True)
class Trail:
    """What is remembered of one kind of episode, of one version.

    `figures` are those of its windows of inputs since its last episode closed, bounded; `first_bad` is the start (ms)
    of the first window that had drifted of an open episode, `change` what was said last of when it began.
    """

    figures: tuple[Figure, ...] = ()
    first_bad: int | None = None
    change: ChangePoint | None = None


def follow(trail: Trail, event: WindowJudged) -> Trail:
    """Fold one judged window that is no revision, of the same version as those before."""
    if event.episode is Episode.CLOSED:
        return Trail()
    first_bad = trail.first_bad
    if event.episode is Episode.OPENED:
        first_bad = event.change.first_bad if event.change else event.change_at
    fresh = figure(event, event.figures) if event.verdict in {"stable", "drifted"} else None
    return Trail(heard(trail, fresh), first_bad, event.change or trail.change)


def heard(trail: Trail, fresh: Figure | None) -> tuple[Figure, ...]:
    """Add a figure, bounded."""
    figures = (*trail.figures, fresh) if fresh else trail.figures
    return figures[-MOST_BEFORE:] if trail.first_bad is None else figures[: 2 * MOST_BEFORE]


def figure(window: WindowClosed | WindowJudged, measured: MeasureTable) -> Figure | None:
    """One figure of a window, 0 to 1: the root mean square of its columns' drift, beside that of the scores.

    Columns together weigh as much as the scores, as in the verdict. Squares, so that a column that moved far is not
    lost among many that did not. None where nothing was measured.
    """
    columns = [ranking.drift(measured.of(one)) ** 2 for one in measured.columns.values()]
    parts = [sum(columns) / len(columns)] if columns else []
    parts += [ranking.drift(measured.of(measured.score)) ** 2] if measured.score else []
    return Figure(window.start, window.end, math.sqrt(sum(parts) / len(parts))) if parts else None


def stretches(points: Sequence[Point]) -> tuple[Figure, ...]:
    """The mean error of a stream, in at most 96 stretches of points; a point is as long as most are."""
    together = max(1, math.ceil(len(points) / MOST_STRETCHES))
    parts = [points[first : first + together] for first in range(0, len(points), together)]
    step = median_low([later[0] - earlier[0] for earlier, later in pairwise(points)] or [1])
    return tuple(
        Figure(one[0][0], one[-1][0] + step, mean_error(one), float(sum(point[1] for point in one))) for one in parts
    )


def of_inputs(trail: Trail, window: WindowClosed, measured: MeasureTable, after: Step) -> ChangePoint | None:
    """When an episode of inputs began, as known after this window; None where none is open, or nothing was compared."""
    if after.stage not in OPEN:
        return None
    bad = _first_bad(trail, window, after)
    figures = heard(trail, figure(window, measured))
    return _change(trail, figures, bad, sum(one.start <= bad for one in figures), after)


def of_quality(trail: Trail, window: WindowClosed, points: Sequence[Point], after: Step) -> ChangePoint | None:
    """When an episode of quality began; None where none is open, or no error was ever heard."""
    if after.stage not in OPEN:
        return None
    bad = _first_bad(trail, window, after)
    figures = stretches(points)
    return _change(trail, figures, bad, sum(one.start < bad + window.end - window.start for one in figures), after)


def _first_bad(trail: Trail, window: WindowClosed, after: Step) -> int:
    known = after.change_at if trail.first_bad is None else trail.first_bad
    return window.start if known is None else known


def _change(trail: Trail, figures: Sequence[Figure], bad: int, last: int, after: Step) -> ChangePoint | None:
    """It began within one of the first `last` figures. Where they do not reach back to it any more, it stays said."""
    if not figures or after.identity is None:
        return trail.change
    if trail.change and figures[0].start > trail.change.earliest:
        return trail.change
    found = cut(figures, last, seed=int.from_bytes(after.identity.bytes[:8]))
    if found is None:
        return _unknown(figures, bad, last)
    return ChangePoint(
        at=found.at, earliest=found.earliest, latest=found.latest, first_bad=bad,
        before=rounded(found.before), after=rounded(found.after) or 0.0,
    )  # fmt: skip


def _unknown(figures: Sequence[Figure], bad: int, last: int) -> ChangePoint:
    """Too little to cut: it began at any time from the first figure to the end of the first bad one."""
    before = [one for one in figures if one.start < bad]
    behind = [one for one in figures if one.start >= bad] or [*figures[-1:]]
    latest = figures[max(0, last - 1)].end
    return ChangePoint(
        at=bad, earliest=min(bad, figures[0].start), latest=max(bad, latest), first_bad=bad,
        before=rounded(_mean(before)) if before else None, after=rounded(_mean(behind)) or 0.0,
    )  # fmt: skip


def _mean(figures: Sequence[Figure]) -> float:
    return sum(one.value * one.weight for one in figures) / sum(one.weight for one in figures)
