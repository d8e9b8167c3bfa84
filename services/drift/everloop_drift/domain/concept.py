"""Concept drift: detectors of River on the stream of errors of labelled rows. Pure; built anew for every window.

A detector's state is no pickle and is kept nowhere: the points are in the judge's own journal, and a fresh detector
that is fed them is where the old one was. Only finite values are ever fed: one NaN blinds ADWIN and Page-Hinkley for
good.

What is fed are means of blocks of points, in order of event time. A block ends when it has as many rows as a point
had on the average of the first 32: so a mean at night is not taken for news because few rows made it. ADWIN and
Page-Hinkley hear the mean loss, which is within [0, 1], in units of the largest deviation that the mean of so many
independent rows can have there, sqrt(m (1 - m) / rows) (Bhatia and Davis 2000): so their settings fit any model and any
traffic, and err towards no drift. DDM and HDDM-A hear the share of wrong rows: both bound the spread of a single row,
and a mean spreads less. EDDM (distances between single errors) and HDDM-W (a memory of twenty rows) need the order of
single rows, which no window has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol

from everloop.events import Detection, ErrorSeries
from everloop.loop import Detector

MOST_POINTS: Final = 1024
"""The newest points that detectors are built from."""
WINDOW_POINTS: Final = 64
"""A window of more intervals is coarsened to at most so many points."""
BASELINE: Final = 32
"""The first points say how many rows a block has, and give the unit of the loss; before them nothing is heard."""
_MICRO: Final = 1e6


Point = tuple[int, int, int, int]
"""Begin of an interval (ms), labelled rows, wrong rows, sum of loss in millionths."""


class Hearing(Protocol):
    """A detector of River as we use it."""

    @property
    def drift_detected(self) -> bool:
        """Whether the last value made it fire."""

    def update(self, x: float) -> None:
        """Hear the next value."""


def new_points(heard: int, series: Mapping[int, tuple[int, int, int]]) -> tuple[Point, ...]:
    """The points of a window's series after the interval that begins at `heard` (windows may overlap), at most 64.

    Neighbours are merged where there are more, so that a long window costs no more than a short one; a merged point
    bears the begin of its last interval.
    """
    fresh = [(start, *sums) for start, sums in sorted(series.items()) if start > heard and sums[0] > 0]
    together = max(1, math.ceil(len(fresh) / WINDOW_POINTS))
    parts = [fresh[first : first + together] for first in range(0, len(fresh), together)]
    return tuple((part[-1][0], *_together(part)[1:]) for part in parts)


def as_series(points: Sequence[Point]) -> ErrorSeries:
    """Points as an event carries them."""
    start, rows, wrong, loss = zip(*points, strict=True) if points else ((), (), (), ())
    return ErrorSeries(start=start, rows=rows, wrong=wrong, loss_e6=loss)


def as_points(series: ErrorSeries) -> tuple[Point, ...]:
    """Points from an event."""
    return tuple(zip(series.start, series.rows, series.wrong, series.loss_e6, strict=True))


def kept(known: Sequence[Point], fresh: Sequence[Point]) -> tuple[Point, ...]:
    """The newest points, bounded."""
    return (*known, *fresh)[-MOST_POINTS:]


@dataclass(frozen=True, slots=True)
class Block:
    """Points that are heard as one value: their sums, and the place of the last of them."""

    sums: Point
    end: int


def blocks(points: Sequence[Point]) -> list[Block]:
    """Put points together until they have the mean number of rows of the first 32; what is left over waits.

    Empty before there are 32 points.
    """
    if len(points) < BASELINE:
        return []
    needed = sum(one[1] for one in points[:BASELINE]) / BASELINE
    found: list[Block] = []
    waiting: list[Point] = []
    for place, point in enumerate(points):
        waiting.append(point)
        if sum(one[1] for one in waiting) >= needed:
            found.append(Block(_together(waiting), place))
            waiting = []
    return found


def detect(
    detectors: Sequence[Detector], known: Sequence[Point], fresh: Sequence[Point], *, classes: bool
) -> tuple[Detection, ...]:
    """Feed known and fresh points to new detectors; the first firing of each that the fresh points led to.

    `classes`: rows can be wrong. Where they cannot (a regression), DDM and HDDM-A have nothing to hear.
    """
    points = kept(known, fresh)
    first = len(points) - len(fresh) if len(known) >= BASELINE else 0
    found = (_first(name, points, first) for name in detectors if classes or name not in OF_WRONG)
    return tuple(one for one in found if one)


def values(detector: Detector, heard: Sequence[Block]) -> list[float]:
    """What this detector is fed, one value per block."""
    if detector in OF_WRONG:
        return [one.sums[2] / one.sums[1] for one in heard]
    rows = sum(one.sums[1] for one in heard[:BASELINE])
    mean = (sum(one.sums[3] for one in heard[:BASELINE]) / _MICRO + 0.5) / (rows + 1)  # no model is without any error
    unit = math.sqrt(mean * (1 - mean) / max(1, rows) * len(heard[:BASELINE]))
    return [one.sums[3] / one.sums[1] / _MICRO / unit for one in heard]


def firings(detector: Detector, fed: Sequence[float]) -> Iterator[int]:
    """The places of the values at which a fresh detector fires."""
    hearing = DETECTORS[detector]()
    begun = detector != "ddm"
    for place, value in enumerate(fed):
        begun = begun or value > 0  # DDM takes a start without errors for a rate of 0, and the first error for drift
        if not begun or not math.isfinite(value):
            continue
        hearing.update(value)
        if hearing.drift_detected:
            yield place


def change(points: Sequence[Point]) -> int:
    """Where these points are best cut in two of unequal mean error: least squares over rows (Hinkley 1970).

    The place of the first point behind the cut; 0 for a single point.
    """
    rows, losses = [0, *accumulate(one[1] for one in points)], [0, *accumulate(one[3] for one in points)]

    def gain(cut: int) -> float:
        behind = rows[-1] - rows[cut]
        gap = losses[cut] / rows[cut] - (losses[-1] - losses[cut]) / behind
        return gap * gap * rows[cut] * behind

    return max(range(1, len(points)), key=gain, default=0)


def mean_error(points: Sequence[Point]) -> float:
    """Mean loss of all rows of these points, within [0, 1]; 0 without rows."""
    rows = sum(one[1] for one in points)
    return sum(one[3] for one in points) / rows / _MICRO if rows else 0.0


def _together(points: Sequence[Point]) -> Point:
    _, rows, wrong, loss = (sum(numbers) for numbers in zip(*points, strict=True))
    return points[0][0], rows, wrong, loss


def _first(detector: Detector, points: Sequence[Point], first: int) -> Detection | None:
    """The first firing from this point on that says that errors have grown: ADWIN fires at a fall as well."""
    heard, begin = blocks(points), 0
    for place in firings(detector, values(detector, heard)):
        stretch = [one.sums for one in heard[begin : place + 1]]
        cut = change(stretch)
        before, after = mean_error(stretch[:cut]), mean_error(stretch[cut:])
        at, since = points[heard[place].end][0], stretch[cut][0]
        if heard[place].end >= first and after > before:
            return Detection(detector=detector, at=at, since=since, before=before, after=after)
        begin = place + 1
    return None


def _adwin() -> Hearing:
    from river.drift import ADWIN  # noqa: PLC0415 - costs seconds; only who hears labels pays

    return ADWIN(delta=0.002, clock=1)  # type: ignore[no-untyped-call]  # River has types in parts


def _page_hinkley() -> Hearing:
    from river.drift import PageHinkley  # noqa: PLC0415 - as above

    return PageHinkley(min_instances=BASELINE, delta=0.1, threshold=15.0, alpha=1.0, mode="up")


def _ddm() -> Hearing:
    from river.drift.binary import DDM  # noqa: PLC0415 - as above

    return DDM(warm_start=4 * BASELINE)


def _hddm_a() -> Hearing:
    from river.drift.binary import HDDMA  # noqa: PLC0415 - as above

    return HDDMA()  # type: ignore[no-untyped-call]  # as above


DETECTORS: Final[Mapping[Detector, Callable[[], Hearing]]] = {
    "adwin": _adwin,
    "page_hinkley": _page_hinkley,
    "ddm": _ddm,
    "hddm_a": _hddm_a,
}
OF_WRONG: Final[frozenset[Detector]] = frozenset({"ddm", "hddm_a"})
