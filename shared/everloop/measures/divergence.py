"""One number per column that means the same for each: a divergence over what is to be expected when nothing changed.

A divergence is taken to that power of the test's statistic whose mean falls as 1/n + 1/m where nothing has changed.
What is left of it in the windows of the reference itself, `unit`, is how much windows differ among each other by nature
(the hour, the weather). Its ratio to both, divergence / (noise + unit), is about 1 while nothing happens. The ratio's
cube root is nearly normal, for few categories and for many bins alike (Wilson and Hilferty 1931): less its mean, over
its deviation, it is the standardised number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from everloop.loop import Test
from everloop.measures import statistics

Floats = NDArray[np.float64]
FOR_CATEGORIES: Final[Mapping[Test, Test]] = {"ks": "chi_square", "wasserstein": "jensen_shannon"}
"""Categories have no order."""
SQUARED: Final[frozenset[Test]] = frozenset({"ks", "jensen_shannon", "wasserstein"})
"""Tests whose statistic is a distance: its square is the divergence."""
_KOLMOGOROV: Final = math.pi**2 / 12
"""Mean square of Kolmogorov's distribution: the sum of (-1)^(k-1) / k^2 over all k from 1 on."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a column's bins: the group of each (bins,), where its values stand (bins,), the deviation.

    `places` are in the column's own unit, None for categories; `deviation` is the reference's, None where not known.
    """

    test: Test
    groups: NDArray[np.int64]
    places: Floats | None = None
    deviation: float | None = None

    @classmethod
    def of(
        cls, test: Test, groups: ArrayLike, places: ArrayLike | None = None, deviation: float | None = None
    ) -> Shape:
        """For the test that this kind of column is measured by: numbers have places."""
        numbers = None if places is None else np.asarray(places, dtype=np.float64)
        chosen = test if numbers is not None else FOR_CATEGORIES.get(test, test)
        return cls(chosen, np.asarray(groups, dtype=np.int64), numbers, deviation)

    def grouped(self, counts: ArrayLike) -> Floats:
        """Counts per group, shape (..., groups), of counts per bin, shape (..., bins)."""
        member = np.zeros((len(self.groups), int(self.groups.max(initial=0)) + 1))
        member[np.arange(len(self.groups)), self.groups] = 1
        found: Floats = np.asarray(counts, dtype=np.float64) @ member
        return found


def divergence(shape: Shape, reference: ArrayLike, current: ArrayLike) -> Floats:
    """The divergence of counts per bin, shape (..., bins); NaN where there is none.

    psi: PSI. chi_square: X2 (1/n + 1/m), which is mean square contingency. jensen_shannon, ks, wasserstein: the square
    of the distance (wasserstein in deviations of the reference).
    """
    if shape.test == "psi":
        return statistics.psi(shape.grouped(reference), shape.grouped(current))
    if shape.test == "chi_square":
        rows = np.asarray(reference).sum(axis=-1), np.asarray(current).sum(axis=-1)
        found = statistics.chi_square(shape.grouped(reference), shape.grouped(current)).statistic
        return found * inverse_rows(*rows)
    return np.square(_distance(shape, reference, current))


def noise_per_row(shape: Shape, reference: ArrayLike) -> Floats:
    """The mean of the divergence where nothing has changed, over 1/n + 1/m; of the reference's counts, (..., bins).

    psi and chi_square: degrees of freedom (Yurdakul 2018; Pearson 1900). jensen_shannon: those / (8 ln 2), by its
    second-order expansion (Lin 1991). ks: pi^2 / 12, the second moment of Kolmogorov's distribution. wasserstein: the
    square of the mean of the integral of a Brownian bridge's size (del Barrio et al. 1999).
    """
    counts = np.asarray(reference, dtype=np.float64)
    freedom = np.maximum(1, np.count_nonzero(shape.grouped(counts), axis=-1) - 1).astype(np.float64)
    match shape.test:
        case "psi" | "chi_square":
            return np.asarray(freedom)
        case "jensen_shannon":
            return np.asarray(freedom / (8 * math.log(2)))
        case "ks":
            return np.full_like(freedom, _KOLMOGOROV)
        case _:
            below = np.cumsum(counts, axis=-1)[..., :-1] / np.maximum(1.0, counts.sum(axis=-1, keepdims=True))
            gaps = np.diff(shape.places) / (shape.deviation or math.inf) if shape.places is not None else below
            return np.asarray(2 / math.pi * (np.sqrt(np.clip(below * (1 - below), 0, None)) * gaps).sum(axis=-1) ** 2)


def inverse_rows(reference_rows: ArrayLike, current_rows: ArrayLike) -> Floats:
    """1/n + 1/m; infinite where a side has no rows."""
    with np.errstate(divide="ignore"):
        return np.asarray(1 / np.asarray(reference_rows, dtype=np.float64) + 1 / np.asarray(current_rows, np.float64))


def standardised(ratio: ArrayLike, center: float, spread: float) -> Floats:
    """The cube root of the ratio, less `center`, over `spread`; 0 where it does not vary."""
    return np.asarray((np.cbrt(np.asarray(ratio, dtype=np.float64)) - center) / (spread or math.inf))


def ratio_of(number: float, center: float, spread: float) -> float:
    """The ratio that has this standardised number, at least 0."""
    return float(max(0.0, center + number * spread) ** 3)


def in_unit_of_the_test(test: Test, found: float, inverse: float) -> float:
    """A divergence as the test's own statistic: the distance, X2, or PSI."""
    if test in SQUARED:
        return math.sqrt(max(0.0, found))
    return found / inverse if test == "chi_square" else found


def _distance(shape: Shape, reference: ArrayLike, current: ArrayLike) -> Floats:
    if shape.test == "jensen_shannon":
        return statistics.jensen_shannon(shape.grouped(reference), shape.grouped(current))
    if shape.test == "ks":
        return statistics.ks(reference, current).statistic
    unit = shape.deviation or math.nan
    return statistics.wasserstein(np.asarray(shape.places), reference, current) / unit
