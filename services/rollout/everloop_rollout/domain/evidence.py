"""What is known of two arms, per hash bucket of the entity. Pure measures; `sequential` decides on them.

The unit is the bucket (hash of the entity mod 256), not the row: rows of one card or one user resemble one another, so
a spread computed over rows is too small and a judge that believes it aborts good candidates. Sums are integers in
micro-units (1e-6), so that merging is exact, associative and commutative. No rows means None, and None means hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
BUCKETS = 256
MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class BucketSums:
    """Rows and the sum of one measure (integer micro-units) of one arm, 256 of each, by bucket."""

    rows: tuple[int, ...] = (0,) * BUCKETS
    total: tuple[int, ...] = (0,) * BUCKETS

    def __post_init__(self) -> None:
        """Hold the shape.

        Raises:
            ValueError: not 256 buckets, or a negative number of rows.

        """
        if len(self.rows) != BUCKETS or len(self.total) != BUCKETS or min(self.rows) < 0:
            raise ValueError(f"an arm's evidence is {BUCKETS} row counts >= 0 and {BUCKETS} sums")

    @classmethod
    def counted(cls, rows: Sequence[int], events: Sequence[int]) -> Self:
        """Build the evidence of a rate from whole events per bucket."""
        return cls(tuple(int(n) for n in rows), tuple(int(n) * MICRO for n in events))

    def __add__(self, other: Self) -> Self:
        """Merge two disjoint sets of rows of the same arm and measure."""
        rows = tuple(a + b for a, b in zip(self.rows, other.rows, strict=True))
        return type(self)(rows, tuple(a + b for a, b in zip(self.total, other.total, strict=True)))


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of the candidate's arm minus mean of the champion's, in units of the measure per row.

    `buckets` is the number with rows in the arm that has fewer of them; `degrees` is the effective number, smaller when
    few buckets carry most of the spread.
    """

    estimate: float
    standard_error: float
    buckets: int
    degrees: float
    rows_candidate: int
    rows_champion: int


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of one arm per row, with the spread over buckets."""

    estimate: float
    standard_error: float
    buckets: int
    degrees: float
    rows: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Events of one arm; `design_effect` >= 1 says how many dependent rows count as one independent row."""

    events: float
    rows: int
    buckets: int
    design_effect: float


@dataclass(frozen=True, slots=True)
class RatePair:
    """The same rate in both arms."""

    candidate: Rate
    champion: Rate


def difference(candidate: BucketSums, champion: BucketSums) -> Difference | None:
    """Compare two arms over one span in which the split did not change."""
    return stratified([(candidate, champion)])


def stratified(pairs: Sequence[tuple[BucketSums, BucketSums]]) -> Difference | None:
    """Compare (candidate, champion) within each span, then average: time that favours an arm's share cannot mislead.

    Spans are steps of a rollout; pooling over them would mistake a change of the world for a difference of the arms,
    since the candidate's share grows with time. Weights are Mantel and Haenszel's n1 n2 / (n1 + n2), which do not
    depend on the outcome. The spread is summed per bucket over spans, so an entity seen in several spans, or in both
    arms (its step came), counts as one. Spans in which an arm has no rows say nothing.
    """
    spans = [pair for pair in pairs if any(pair[0].rows) and any(pair[1].rows)]
    if not spans:
        return None
    arms = [[_arrays(arm) for arm in pair] for pair in spans]
    weight = np.array([_harmonic(n1.sum(), n2.sum()) for (n1, _), (n2, _) in arms])
    weight = weight / weight.sum()
    parts = [arm_difference(*one, *two) for one, two in arms]
    estimate = float(sum(w * part[0] for w, part in zip(weight, parts, strict=True)))
    residual = np.sum([w * part[1] for w, part in zip(weight, parts, strict=True)], axis=0)
    rows = [np.sum([pair[arm].rows for pair in spans], axis=0) for arm in (0, 1)]
    error, degrees = spread(residual, rows[0] + rows[1] > 0)
    buckets = min(int(np.count_nonzero(arm)) for arm in rows)
    return Difference(estimate, float(error), buckets, float(degrees), int(rows[0].sum()), int(rows[1].sum()))


def shadow_shift(candidate: BucketSums, shadow: BucketSums) -> Difference | None:
    """Compare the candidate's scores on its own arm with its shadow's scores on the champion's rows.

    One model on two shares of the same traffic: a shift says that the arm is served other features, other code or other
    traffic. (Against the champion's scores it would say only that a successor differs, as it must after a change.)
    """
    return difference(candidate, shadow)


def one_sample(arm: BucketSums) -> Mean | None:
    """Measure one arm's mean, with the spread over buckets, to be held against a fixed limit."""
    rows, total = _arrays(arm)
    if rows.sum() == 0:
        return None
    estimate = total.sum() / rows.sum()
    error, degrees = spread((total - estimate * rows) / rows.sum(), rows > 0)
    return Mean(float(estimate), float(error), int(np.count_nonzero(rows)), float(degrees), int(rows.sum()))


def rate(arm: BucketSums) -> Rate | None:
    """Measure one arm's event rate (each row adds 0 or 1) and its design effect (Rao and Scott 1992)."""
    mean = one_sample(arm)
    if mean is None:
        return None
    binomial = sqrt(max(0.0, mean.estimate * (1 - mean.estimate)) / mean.rows)
    effect = max(1.0, (mean.standard_error / binomial) ** 2) if binomial else 1.0
    return Rate(sum(arm.total) / MICRO, mean.rows, mean.buckets, effect)


def rates(candidate: BucketSums, champion: BucketSums) -> RatePair | None:
    """Measure the same rate in both arms over one span in which the split did not change."""
    one, two = rate(candidate), rate(champion)
    return RatePair(one, two) if one and two else None


def arm_difference(rows_1: Floats, total_1: Floats, rows_2: Floats, total_2: Floats) -> tuple[Floats, Floats]:
    """Difference of two ratio estimators and its residual per bucket; buckets are the last axis, others are batches.

    Taylor linearisation of a ratio (Cochran 1977, section 6.3), per bucket and paired: an arm without rows in a bucket
    adds nothing there, so the arms' covariance is taken in where an entity was in both.
    """
    n_1, n_2 = rows_1.sum(axis=-1, keepdims=True), rows_2.sum(axis=-1, keepdims=True)
    mean_1, mean_2 = total_1.sum(axis=-1, keepdims=True) / n_1, total_2.sum(axis=-1, keepdims=True) / n_2
    residual: Floats = (total_1 - mean_1 * rows_1) / n_1 - (total_2 - mean_2 * rows_2) / n_2
    estimate: Floats = (mean_1 - mean_2)[..., 0]
    return estimate, residual


def spread(residual: Floats, used: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Standard error of a sum of bucket residuals, and its effective degrees of freedom (batches in leading axes).

    Variance B / (B - 1) * sum(d^2). Its own variance, sum(d^4) - sum(d^2)^2 / B, gives the degrees by Satterthwaite
    (1946): B - 1 for normal residuals, about 2 when one bucket carries everything.
    """
    buckets = used.sum(axis=-1)
    second, fourth = np.square(residual).sum(axis=-1), np.power(residual, 4).sum(axis=-1)
    excess = fourth - second**2 / np.maximum(buckets, 1)
    satterthwaite = np.where(excess > 0, 2 * second**2 / np.where(excess > 0, excess, 1), buckets)
    correction = buckets / np.maximum(buckets - 1, 1)
    return np.sqrt(second * correction), np.minimum(satterthwaite, buckets - 1)


def _arrays(arm: BucketSums) -> tuple[Floats, Floats]:
    return np.array(arm.rows, dtype=np.float64), np.array(arm.total, dtype=np.float64) / MICRO


def _harmonic(one: float, two: float) -> float:
    return one * two / (one + two)
