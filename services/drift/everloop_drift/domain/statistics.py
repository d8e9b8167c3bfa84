"""How far current counts are from reference counts, bin by bin. Shapes: bins and bins; raw counts, not shares.

Each formula is that of a library that people compare us with; the tests hold us to it. A side without rows has no
distribution, so that its distance is NaN: the caller decides what nothing means.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import special, stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Counts = Sequence[int] | NDArray[np.int64]

ZERO_FILL: Final = 1e-4
_TINY: Final = 1e6


class Tested(NamedTuple):
    """A test statistic and its p-value."""

    statistic: float
    p_value: float


class Change(NamedTuple):
    """A change of a share: current minus reference, its z score, and the two-sided p-value."""

    difference: float
    z: float
    p_value: float


def psi(reference: Counts, current: Counts) -> float:
    """Population stability index: the sum of (r - c) ln(r / c) over shares. NaN when a side is empty.

    Empty bins are filled as Evidently 0.7 does (`stattests/utils.py`): with 0.0001, or with a millionth of the side's
    smallest share where that is not above 0.0001.
    """
    first, second = _shares(reference), _shares(current)
    if first is None or second is None:
        return math.nan
    first, second = _filled(first), _filled(second)
    return float(np.sum((first - second) * np.log(first / second)))


def psi_noise(groups: int, reference_rows: int, current_rows: int) -> float:
    """Expected PSI when nothing has changed: (groups - 1)(1/n + 1/m), infinite without rows.

    Under no change PSI times nm/(n+m) is about chi-square with groups - 1 degrees of freedom (Yurdakul, 2018).
    """
    if not (reference_rows and current_rows):
        return math.inf
    return (groups - 1) * (1 / reference_rows + 1 / current_rows)


def ks(reference: Counts, current: Counts) -> Tested:
    """Two-sample Kolmogorov-Smirnov on binned distributions, p-value as `scipy.stats.ks_2samp(method="asymp")`.

    Binning can only lower the statistic, so the p-value errs towards no drift. NaN when a side is empty.
    """
    first, second = _shares(reference), _shares(current)
    if first is None or second is None:
        return Tested(math.nan, math.nan)
    statistic = float(np.max(np.abs(np.cumsum(first) - np.cumsum(second))))
    rows = (float(np.sum(reference)), float(np.sum(current)))
    effective = max(1.0, float(np.round(rows[0] * rows[1] / (rows[0] + rows[1]))))
    return Tested(statistic, float(np.clip(stats.kstwo.sf(statistic, effective), 0.0, 1.0)))


def chi_square(reference: Counts, current: Counts) -> Tested:
    """Chi-square of homogeneity, as `scipy.stats.chi2_contingency(correction=False)` without all-zero bins.

    NaN when a side is empty; (0, 1) when one bin holds everything.
    """
    table = np.array([reference, current], dtype=np.float64)
    table = table[:, table.any(axis=0)]
    if not table.any(axis=1).all():
        return Tested(math.nan, math.nan)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    statistic = float(np.sum((table - expected) ** 2 / expected))
    freedom = table.shape[1] - 1
    return Tested(statistic, float(special.chdtrc(freedom, statistic)) if freedom else 1.0)


def jensen_shannon(reference: Counts, current: Counts, base: float = 2.0) -> float:
    """Jensen-Shannon distance, as `scipy.spatial.distance.jensenshannon`: in base 2 within [0, 1], NaN when empty."""
    first, second = _shares(reference), _shares(current)
    if first is None or second is None:
        return math.nan
    middle = (first + second) / 2
    nats = float(np.sum(special.rel_entr(first, middle) + special.rel_entr(second, middle))) / 2
    return math.sqrt(max(nats, 0.0) / math.log(base))


def wasserstein(edges: Sequence[float], reference: Counts, current: Counts) -> float:
    """Distance that mass has to move, in standard deviations of the reference; every value stands at its bin's middle.

    The outermost bins have no far end: their values stand at their edge. NaN when a side is empty, or when the
    reference stands at one place. Without bins there is nothing to move.
    """
    first, second = _shares(reference), _shares(current)
    if first is None or second is None or not edges:
        return math.nan
    cuts = np.asarray(edges, dtype=np.float64)
    places = np.concatenate([cuts[:1], cuts[:-1] / 2 + cuts[1:] / 2, cuts[-1:]])
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = math.sqrt(float(first @ (places - first @ places) ** 2))
        moved = float(np.abs(np.cumsum(first - second))[:-1] @ np.diff(places))
    return moved / deviation if deviation > 0 else math.nan


def unseen_rate(reference: Counts, current: Counts) -> float:
    """Share of current values in bins that the reference never filled: new categories, numbers out of range."""
    second = _shares(current)
    return math.nan if second is None else float(second[np.asarray(reference) == 0].sum())


def missing_rate_change(reference_missing: int, reference_rows: int, current_missing: int, current_rows: int) -> Change:
    """Compare two missing rates by the pooled two-proportion z test. NaN when a side has no rows."""
    if not (reference_rows and current_rows):
        return Change(math.nan, math.nan, math.nan)
    difference = current_missing / current_rows - reference_missing / reference_rows
    pooled = (reference_missing + current_missing) / (reference_rows + current_rows)
    error = math.sqrt(pooled * (1 - pooled) * (1 / reference_rows + 1 / current_rows))
    z = difference / error if error else 0.0
    return Change(difference, z, math.erfc(abs(z) / math.sqrt(2)))


def _shares(counts: Counts) -> NDArray[np.float64] | None:
    """Divide counts by their sum; None when there is nothing to divide by."""
    numbers = np.asarray(counts, dtype=np.float64)
    total = numbers.sum()
    return numbers / total if total else None


def _filled(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fill the empty bins of one side by Evidently's rule."""
    smallest = float(shares[shares > 0].min())
    return np.where(shares == 0, smallest / _TINY if smallest <= ZERO_FILL else ZERO_FILL, shares)
