"""How far current counts are from reference counts, bin by bin. Raw counts, not shares; bins are the last axis.

Leading axes are batches: a window's columns are measured in one call each. A bin that is empty on both sides changes no
result, so that columns with fewer bins are filled up with zeros. Each formula is that of a library that people compare
us with; the tests hold us to it. A side without rows has no distribution: its distance is NaN, and the caller decides
what nothing means.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]
ZERO_FILL: Final = 1e-4
_TINY: Final = 1e6


class Tested(NamedTuple):
    """Test statistics and their p-values."""

    statistic: Floats
    p_value: Floats


class Shift(NamedTuple):
    """A difference, current minus reference, and its standard error."""

    value: Floats
    error: Floats


def psi(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Population stability index: the sum of (r - c) ln(r / c) over shares. NaN when a side is empty.

    Empty bins are filled as Evidently 0.7 does (`stattests/utils.py`): with 0.0001, or with a millionth of the side's
    smallest share where that is not above 0.0001.
    """
    first, second = _shares(reference), _shares(current)
    used = (first > 0) | (second > 0)
    one, two = _filled(first), _filled(second)
    with np.errstate(invalid="ignore"):
        terms = np.where(used, (one - two) * np.log(one / two), 0)
    return np.where(_either_empty(first, second), np.nan, terms.sum(axis=-1))


def psi_noise(groups: ArrayLike, reference_rows: ArrayLike, current_rows: ArrayLike) -> Floats:
    """Expected PSI when nothing has changed: (groups - 1)(1/n + 1/m), infinite without rows.

    Under no change PSI times nm/(n+m) is about chi-square with groups - 1 degrees of freedom (Yurdakul 2018).
    """
    with np.errstate(divide="ignore"):
        inverse = 1 / np.asarray(reference_rows, dtype=np.float64) + 1 / np.asarray(current_rows, dtype=np.float64)
    return np.where(np.isinf(inverse), np.inf, (np.asarray(groups) - 1) * np.where(np.isinf(inverse), 0, inverse))


def ks(reference: ArrayLike, current: ArrayLike) -> Tested:
    """Two-sample Kolmogorov-Smirnov on binned distributions; its p-value is that of Smirnov's limit (1939).

    The statistic is `scipy.stats.ks_2samp`'s on binned data. From that of the values themselves it differs by at most
    the largest share of a bin on either side, and is never above it. The p-value is `scipy.stats.kstwobign.sf` of the
    statistic times sqrt(nm / (n + m)), as R's `ks.test(exact = FALSE)` has it, and errs towards no drift; scipy's own
    (`method="asymp"`) takes milliseconds, and is within 0.33 / sqrt(nm / (n + m)) of it. NaN when a side is empty.
    """
    first, second = _shares(reference), _shares(current)
    statistic = np.abs(np.cumsum(first - second, axis=-1)).max(axis=-1, initial=0.0)
    statistic = np.where(_either_empty(first, second), np.nan, np.minimum(statistic, 1.0))
    rows = _rows(reference), _rows(current)
    effective = rows[0] * rows[1] / np.maximum(rows[0] + rows[1], 1)
    return Tested(statistic, np.asarray(special.kolmogorov(np.sqrt(effective) * statistic), dtype=np.float64))


def chi_square(reference: ArrayLike, current: ArrayLike) -> Tested:
    """Chi-square of homogeneity, as `scipy.stats.chi2_contingency(correction=False)` without all-zero bins.

    NaN when a side is empty; (0, 1) when one bin holds everything.
    """
    one, two = _counts(reference), _counts(current)
    both, rows = one + two, (_rows(one)[..., None], _rows(two)[..., None])
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = both / (rows[0] + rows[1])
        expected = rows[0] * shares, rows[1] * shares
        terms = [np.where(both > 0, (seen - due) ** 2 / due, 0) for seen, due in zip((one, two), expected, strict=True)]
    empty = (rows[0] * rows[1])[..., 0] == 0
    statistic = np.where(empty, np.nan, terms[0].sum(axis=-1) + terms[1].sum(axis=-1))
    freedom = np.count_nonzero(both, axis=-1) - 1
    tail = special.chdtrc(np.maximum(freedom, 1), statistic)
    return Tested(statistic, np.where((freedom < 1) & ~empty, 1.0, tail))


def jensen_shannon(reference: ArrayLike, current: ArrayLike, base: float = 2.0) -> Floats:
    """Jensen-Shannon distance, as `scipy.spatial.distance.jensenshannon`: in base 2 within [0, 1], NaN when empty.

    Merging bins can only lower it (data processing inequality).
    """
    first, second = _shares(reference), _shares(current)
    middle = (first + second) / 2
    nats = special.rel_entr(first, middle).sum(axis=-1) + special.rel_entr(second, middle).sum(axis=-1)
    distance: Floats = np.sqrt(np.maximum(nats, 0) / 2 / np.log(base))
    return distance


def wasserstein(places: ArrayLike, reference: ArrayLike, current: ArrayLike) -> Floats:
    """First Wasserstein distance, as `scipy.stats.wasserstein_distance(places, places, reference, current)`.

    `places` is where the values of each bin stand, ascending, in the column's own unit. NaN when a side is empty.
    """
    first, second = _shares(reference), _shares(current)
    gaps = np.diff(np.asarray(places, dtype=np.float64), axis=-1)
    moved: Floats = (np.abs(np.cumsum(first - second, axis=-1))[..., :-1] * gaps).sum(axis=-1)
    return moved


def unseen_rate(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Share of current values in bins that the reference never filled: new categories, numbers out of range."""
    second = _shares(current)
    return np.where(_rows(current) > 0, np.where(_counts(reference) == 0, second, 0).sum(axis=-1), np.nan)


def rate_change(reference: ArrayLike, reference_rows: ArrayLike, current: ArrayLike, current_rows: ArrayLike) -> Shift:
    """Change of a share with its pooled error: their ratio is the two-proportion z. NaN when a side has no rows."""
    hits, rows = (_counts(reference), _counts(current)), (_counts(reference_rows), _counts(current_rows))
    with np.errstate(invalid="ignore", divide="ignore"):
        change = hits[1] / rows[1] - hits[0] / rows[0]
        pooled = (hits[0] + hits[1]) / (rows[0] + rows[1])
        error = np.sqrt(pooled * (1 - pooled) * (1 / rows[0] + 1 / rows[1]))
    return Shift(change, np.where(np.isnan(change), np.nan, error))


class Moments(NamedTuple):
    """Finite values of one side: how many, their mean and their population deviation; NaN where there are none.

    A window rounds its values to 1/1024 of the reference deviation, and cuts them off at 1,024 of them (see
    `everloop.sketch.Inputs`): its mean is within 1/2048 of a reference deviation, its deviation within 1/1024.
    """

    rows: Floats
    mean: Floats
    deviation: Floats


def mean_shift(reference: Moments, current: Moments) -> Shift:
    """Difference of means in reference deviations; value / error is Welch's t (1947), Biometrika 34.

    As `scipy.stats.ttest_ind(equal_var=False)`. NaN where a mean is not known or the reference is constant; the error
    is NaN where a side has fewer than two values.
    """
    unit = np.where(reference.deviation > 0, reference.deviation, np.nan)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        value = current.mean / unit - reference.mean / unit
        spread = [np.where(one.rows > 1, (one.deviation / unit) ** 2 / (one.rows - 1), np.nan) for one in
                  (reference, current)]  # fmt: skip
    return Shift(value, np.sqrt(spread[0] + spread[1]))


def deviation_ratio(reference: Moments, current: Moments) -> Floats:
    """Natural logarithm of current over reference deviation. NaN where either is 0 or not known.

    It has no interval: that needs the fourth moment, which a window does not carry, and the F test believes in normal
    columns.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log(current.deviation) - np.log(reference.deviation)
    return np.where(np.isfinite(ratio), ratio, np.nan)


def _counts(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _rows(values: ArrayLike) -> Floats:
    total: Floats = _counts(values).sum(axis=-1)
    return total


def _shares(values: ArrayLike) -> Floats:
    """Divide counts by their sum; NaN when there is nothing to divide by."""
    numbers = _counts(values)
    total = numbers.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return numbers / np.where(total > 0, total, np.nan)


def _either_empty(first: Floats, second: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.isnan(first).all(axis=-1) | np.isnan(second).all(axis=-1))


def _filled(shares: Floats) -> Floats:
    """Fill the empty bins of one side by Evidently's rule."""
    smallest = np.where(shares > 0, shares, np.inf).min(axis=-1, keepdims=True, initial=np.inf)
    return np.where(shares == 0, np.where(smallest <= ZERO_FILL, smallest / _TINY, ZERO_FILL), shares)
