"""What feedback amounts to, with intervals: means of one arm, and the difference of two.

The unit of evidence is the hash bucket of the entity, not the row: rows of one entity are alike, and all of them lie in
one bucket. The mean over rows is a ratio of sums over buckets, its error that of the linearised ratio (Cochran 1977,
Sampling Techniques, section 6.3), which is the cluster-robust one with the correction G / (G - 1) for G buckets. All
intervals are two-sided at 95 %, by Student's t with G - 1 degrees of freedom; of a difference by Welch's (1947).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from everloop.sketch.arms import BUCKETS
from everloop.sketch.feedback import MILLIONTHS, Brought

FEWEST: Final = 10
"""Buckets with rows from which on there is an interval: fewer say too little of how much they differ."""
_Z: Final = 1.959963984540054


class Interval(NamedTuple):
    """A mean, its standard error, its interval and degrees of freedom; None but for the mean from too few buckets."""

    value: float
    error: float | None = None
    lower: float | None = None
    upper: float | None = None
    freedom: float | None = None


class Worth(NamedTuple):
    """What one arm has brought under one name.

    `mean` is over the `rows` that brought something, `per_row` over all `predicted` ones, where a row without feedback
    has brought nothing. `coverage` is the share of rows with feedback; `p50` and `p95` are ages of it (ms).
    """

    rows: int
    predicted: int | None
    total: float
    coverage: float | None
    mean: Interval | None
    per_row: Interval | None
    p50: int | None
    p95: int | None


def worth(brought: Brought, predicted: int | None) -> Worth:
    """The figures of counts; `predicted` rows were served, with feedback or without."""
    rows, total = brought.rows, sum(brought.sums) / MILLIONTHS
    known = predicted is not None and predicted > 0
    return Worth(
        rows, predicted, total, rows / predicted if predicted else None, mean_of(brought) if rows > 0 else None,
        per_row(brought, predicted) if known and predicted else None, brought.age_ms(0.5), brought.age_ms(0.95),
    )  # fmt: skip


def mean_of(brought: Brought) -> Interval:
    """The mean over the rows that brought something, of which there is one at least.

    Deviations are whole numbers until they are squared and divided: rows x sum - rows of all x total, in millionths.
    """
    counts, sums = brought.cells[0].tolist(), brought.sums
    rows, total = sum(counts), sum(sums)
    residuals = [rows * own - count * total for count, own in zip(counts, sums, strict=True)]
    groups = sum(count > 0 for count in counts)
    return _interval(total / rows, residuals, rows * rows, groups)


def per_row(brought: Brought, predicted: int) -> Interval:
    """The mean over all rows that were served, one at least; those without feedback count as nothing.

    How the rows without feedback lie in buckets is not known: sums of buckets are taken as if all had as many rows.
    That errs on the wide side, the more so the closer coverage is to 1.
    """
    sums = brought.sums
    residuals = [BUCKETS * own - sum(sums) for own in sums]
    filled = int((brought.cells[0] > 0).sum())
    return _interval(sum(sums) / predicted, residuals, BUCKETS * predicted, BUCKETS if filled >= FEWEST else 0)


def difference(of: Interval, to: Interval) -> Interval:
    """How much more `of` is than `to`, of rows of different entities."""
    value = of.value - to.value
    if of.error is None or to.error is None or of.freedom is None or to.freedom is None:
        return Interval(value)
    squares = (of.error**2, to.error**2)
    below = squares[0] ** 2 / of.freedom + squares[1] ** 2 / to.freedom
    freedom = sum(squares) ** 2 / below if below else of.freedom + to.freedom
    return _around(value, math.sqrt(sum(squares)), freedom)


def student(freedom: float) -> float:
    """The quantile of Student's t for a two-sided interval at 95 %, for 9 degrees of freedom or more.

    Abramowitz and Stegun (1964), 26.7.5; it is within 0.02 % of the exact one there.
    """
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))


def _interval(value: float, residuals: Sequence[int], scale: int, groups: int) -> Interval:
    """Of a mean (in millionths) from the residuals of buckets, each `scale` times what it is; exact up to here."""
    value /= MILLIONTHS
    if groups < FEWEST:
        return Interval(value)
    squares = sum(one * one for one in residuals) * groups
    error = math.sqrt(squares / (scale * scale * (groups - 1))) / MILLIONTHS
    return _around(value, error, groups - 1)


def _around(value: float, error: float, freedom: float) -> Interval:
    half = student(freedom) * error
    return Interval(value, error, value - half, value + half, freedom)
