"""Measure every column of a window against its reference. Nothing is decided here: `limits` does that.

The columns of a window are measured together, a row of an array each. KS and Wasserstein run on the fine bins, PSI,
chi-square and Jensen-Shannon on groups of near-equal reference mass. What cannot be measured is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from everloop.events import ColumnFigures, ColumnSide, ColumnWindow, MeasureTable
from everloop.measures import statistics
from everloop.profile.places import places_of
from everloop.sketch.classified import CUT

Floats = NDArray[np.float64]
DIGITS: Final = 5
"""Significant digits of a figure that decides nothing."""
SHARED: Final = ("psi", "psi_noise", "chi_square", "jensen_shannon", "missing_rate", "constant", "outside_constant")
NUMERIC: Final = (*SHARED, "ks", "ks_statistic", "wasserstein", "mean_shift", "mean_shift_error", "variance_shift",
                  "out_of_range")  # fmt: skip
CATEGORICAL: Final = (*SHARED, "unseen")
POSITIVE: Final = ("positive_rate", "positive_rate_change")


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one column, by test. `rows` are current values in bins, `seen` all current rows.

    `filled` are the bins of the reference that have values: it is constant where that is one.
    """

    name: str
    kind: str
    rows: int
    seen: int
    filled: int
    by_test: Mapping[str, float]


def measure(windows: Sequence[ColumnWindow], *, positive_rate: bool = False) -> tuple[Measured, ...]:
    """Measure columns, or the score, in their order; `positive_rate` for scores of a binary model."""
    if not windows:
        return ()
    batch = _Batch.of(windows)
    found = _shared(batch) | _numeric(batch)
    if positive_rate:
        found |= _positive_rate(windows, batch)
    filled, rows, seen = batch.filled.tolist(), batch.current.sum(axis=-1), batch.rows(current=True)
    values = {test: figures.tolist() for test, figures in found.items()}
    return tuple(
        Measured(
            one.name, one.kind, int(rows[place]), int(seen[place]), filled[place],
            {test: values[test][place] for test in _tests(one, positive_rate=positive_rate)},
        )
        for place, one in enumerate(windows)
    )  # fmt: skip


def table(columns: Sequence[Measured], scores: Sequence[Measured] = ()) -> MeasureTable:
    """Put all that was measured into one table: a row per column, and one for the scores."""
    tests = tuple(dict.fromkeys(test for one in (*columns, *scores) for test in one.by_test))
    found = [
        ColumnFigures(rows=one.rows, values=tuple(rounded(one.by_test.get(test)) for test in tests))
        for one in (*columns, *scores)
    ]
    named = dict(zip((one.name for one in columns), found, strict=False))
    return MeasureTable(tests=tests, columns=named, score=found[-1] if scores else None)


def rounded(value: float | None) -> float | None:
    """A figure to five digits; None for what is none."""
    return float(f"{value:.{DIGITS}g}") if value is not None and math.isfinite(value) else None


def _tests(window: ColumnWindow, *, positive_rate: bool) -> tuple[str, ...]:
    tests = NUMERIC if window.kind == "numeric" else CATEGORICAL
    return (*tests, *POSITIVE) if positive_rate else tests


@dataclass(frozen=True, slots=True)
class _Batch:
    """The columns of a window as arrays, shapes (columns, bins) and (columns,), filled up with zeros."""

    windows: Sequence[ColumnWindow]
    reference: Floats
    current: Floats
    groups: NDArray[np.int64]

    @classmethod
    def of(cls, windows: Sequence[ColumnWindow]) -> _Batch:
        reference = _matrix([one.reference.counts for one in windows])
        current = _matrix([one.current.counts for one in windows])
        groups = _matrix([one.groups or tuple(range(len(one.current.counts))) for one in windows])
        return cls(windows, reference, current, groups.astype(np.int64))

    @property
    def filled(self) -> NDArray[np.int64]:
        """How many bins of the reference have values."""
        return np.asarray(np.count_nonzero(self.reference, axis=-1), dtype=np.int64)

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Whether the reference has at most one bin with values."""
        return self.filled <= 1

    def grouped(self, counts: Floats) -> Floats:
        """Add up the counts of each group, shape (columns, groups)."""
        columns, groups = len(counts), int(self.groups.max(initial=0)) + 1
        places = self.groups + np.arange(columns)[:, None] * groups
        sums: Floats = np.bincount(places.ravel(), counts.ravel(), columns * groups).astype(np.float64)
        return sums.reshape(columns, groups)

    def of_side(self, number: Callable[[ColumnSide], float | None], *, current: bool) -> Floats:
        """One number of each column's side; None becomes NaN."""
        sides = (one.current if current else one.reference for one in self.windows)
        return np.array([math.nan if (found := number(side)) is None else found for side in sides], dtype=np.float64)

    def lost(self, *, current: bool) -> Floats:
        """Rows in no bin: without a value, or with one that is not finite or of another type."""
        return self.of_side(lambda side: side.missing + side.nonfinite + side.malformed, current=current)

    def rows(self, *, current: bool) -> Floats:
        """All rows of a side."""
        counts = self.current if current else self.reference
        total: Floats = counts.sum(axis=-1) + self.lost(current=current)
        return total

    def moments(self, *, current: bool) -> statistics.Moments:
        """Finite values with their mean and deviation."""
        counts = self.current if current else self.reference
        mean = self.of_side(lambda side: side.mean, current=current)
        deviation = self.of_side(lambda side: side.deviation, current=current)
        return statistics.Moments(counts.sum(axis=-1), mean, deviation)


def _shared(batch: _Batch) -> dict[str, Floats]:
    """What is measured of any column. Against a constant reference PSI means nothing: the share elsewhere does."""
    reference, current = batch.grouped(batch.reference), batch.grouped(batch.current)
    rows = batch.reference.sum(axis=-1), batch.current.sum(axis=-1)
    groups = np.count_nonzero(reference + current, axis=-1)
    nothing = np.full(len(rows[0]), np.nan)
    lost = batch.lost(current=False), batch.lost(current=True)
    missing = statistics.rate_change(lost[0], rows[0] + lost[0], lost[1], rows[1] + lost[1])
    return {
        "psi": np.where(batch.constant, nothing, statistics.psi(reference, current)),
        "psi_noise": np.where(batch.constant, nothing, statistics.psi_noise(groups, *rows)),
        "chi_square": statistics.chi_square(reference, current).p_value,
        "jensen_shannon": statistics.jensen_shannon(reference, current),
        "missing_rate": missing.value,
        "constant": np.where(batch.constant | (rows[1] <= 1), nothing, _one_value(batch)),
        "outside_constant": np.where(batch.constant, _outside(batch, rows, lost[1]), nothing),
        "unseen": statistics.unseen_rate(batch.reference, batch.current),
    }


def _outside(batch: _Batch, rows: tuple[Floats, Floats], lost: Floats) -> Floats:
    """Give the share of rows that left the constant; where the reference had no value at all, of rows with one."""
    left = np.where(batch.reference == 0, batch.current, 0).sum(axis=-1)
    seen = np.where(rows[0] > 0, rows[1], rows[1] + lost)
    return np.asarray(left / np.where(seen > 0, seen, np.nan))


def _one_value(batch: _Batch) -> Floats:
    """1 where all current values are one value, else 0.

    Numbers: no deviation, to a window's precision; one bin where the deviation is not known. Categories: one of the
    reference's, not `other`, which may be many.
    """
    known = np.array([len(one.categories) if one.kind == "categorical" else len(one.current.counts)
                      for one in batch.windows])  # fmt: skip
    filled = batch.current > 0
    inside = np.arange(filled.shape[-1]) < known[:, None]
    one_bin = (filled.sum(axis=-1) == 1) & (filled & inside).any(axis=-1)
    deviation = batch.moments(current=True).deviation
    return np.asarray(np.where(np.isnan(deviation), one_bin, deviation == 0), dtype=np.float64)


def _numeric(batch: _Batch) -> dict[str, Floats]:
    """What is measured of numbers; of categories it means nothing, and is not taken."""
    reference, current = batch.moments(current=False), batch.moments(current=True)
    ks = statistics.ks(batch.reference, batch.current)
    shift = statistics.mean_shift(reference, current)
    return {
        "ks": ks.p_value,
        "ks_statistic": ks.statistic,
        "wasserstein": _wasserstein(batch, reference.deviation, shift.value),
        "mean_shift": shift.value,
        "mean_shift_error": shift.error,
        "variance_shift": statistics.deviation_ratio(reference, current),
        "out_of_range": statistics.unseen_rate(batch.reference, batch.current),
    }


def _wasserstein(batch: _Batch, deviation: Floats, shift: Floats) -> Floats:
    """Wasserstein distance in reference deviations, of values that stand at their bin's middle.

    From that of the values themselves it differs by at most the sum over bins of (reference share + current share)
    times half the bin's width, over the deviation. A column of few different values has a bin for each, and they stand
    at its lower edge, where they are; for others in such a column the bound is the whole width. Values beyond the
    reference stand at its end; but the distance is never below the difference of means (Kantorovich and Rubinstein
    1958), which a window knows to 1/2048 of a deviation, and so finds a column that changed its unit.
    """
    places = _matrix([places_of(one.edges) for one in batch.windows], width=batch.reference.shape[-1], last=True)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        distance = statistics.wasserstein(places, batch.reference, batch.current)
        return np.fmax(distance / np.where(deviation > 0, deviation, np.nan), np.abs(shift))


def _positive_rate(windows: Sequence[ColumnWindow], batch: _Batch) -> dict[str, Floats]:
    """Share of scores from 0.5 on, and its change against the reference; NaN where no bin begins at 0.5."""
    begin = np.array([one.edges.index(CUT) + 1 if CUT in one.edges else -1 for one in windows])[:, None]
    yes = np.arange(batch.current.shape[-1]) >= begin
    hits = [np.where(yes, counts, 0).sum(axis=-1) for counts in (batch.reference, batch.current)]
    rows = [counts.sum(axis=-1) for counts in (batch.reference, batch.current)]
    unknown = (begin < 0)[:, 0] | (rows[1] == 0)
    change = statistics.rate_change(hits[0], rows[0], hits[1], rows[1]).value
    share = hits[1] / np.where(unknown, np.nan, rows[1])
    return {"positive_rate": share, "positive_rate_change": np.where(unknown, np.nan, change)}


def _matrix(rows: Sequence[Sequence[float]], *, width: int = 0, last: bool = False) -> Floats:
    """Rows of unequal length as one array, filled up with zeros, or with the last value of each."""
    lengths = np.array([len(row) for row in rows])
    inside = np.arange(max(width, int(lengths.max(initial=0)))) < lengths[:, None]
    made = np.zeros(inside.shape)
    if last:
        made[:] = np.array([row[-1] for row in rows])[:, None]
    made[inside] = np.fromiter(chain.from_iterable(rows), dtype=np.float64, count=int(lengths.sum()))
    return made
