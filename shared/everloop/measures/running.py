"""What adds up over windows: a change too small for one window shows in the sum of many.

Each column gives one standardised number per window, about 0 with a deviation of 1 while nothing happens: of numbers
the shift of the mean over its error, of categories the standardised divergence, which only counts where it grows. The
running statistic is the largest |sum of the last k| / sqrt(k) over columns and k = 1, 2, 4 .. 32: the generalised
likelihood ratio of a change of the mean k windows ago (Willsky and Jones 1976; Lai 1995, here on powers of two).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
SPANS: Final = (1, 2, 4, 8, 16, 32)
"""Windows that are added up."""
MOST: Final = SPANS[-1]


def of_means(shift: ArrayLike, inverse_rows: ArrayLike, unit: ArrayLike) -> Floats:
    """Of a column of numbers: the difference of means (in deviations of the reference) over its standard error.

    `inverse_rows` is 1/n + 1/m, `unit` the variance of the means of windows beyond that.
    """
    return np.asarray(np.asarray(shift, dtype=np.float64) / np.sqrt(np.asarray(inverse_rows) + np.asarray(unit)))


def strongest(numbers: Floats, one_sided: NDArray[np.bool_]) -> Floats:
    """The running statistic after each window, shape (windows,), of numbers of shape (windows, columns).

    A column that is `one_sided` only counts where it grows. What is NaN counts as 0.
    """
    known = np.nan_to_num(numbers)
    sums = np.vstack([np.zeros(known.shape[1]), np.cumsum(known, axis=0)])
    after = np.arange(1, len(known) + 1)
    best = np.zeros(len(known))
    for span in SPANS:
        since = np.maximum(0, after - span)
        added = (sums[after] - sums[since]) / np.sqrt(after - since)[:, None]
        best = np.maximum(best, np.where(one_sided, added, np.abs(added)).max(axis=1, initial=0.0))
    return best


def of_column(numbers: Sequence[float], *, one_sided: bool, most: int = MOST) -> float:
    """The running statistic of one column after its last window, over at most so many windows."""
    best = 0.0
    for span in SPANS:
        some = numbers[-span:]
        if span > most or not some:
            break
        added = sum(some) / math.sqrt(len(some))
        best = max(best, added if one_sided else abs(added))
    return best


def by_column(trail: Sequence[Mapping[str, float]], name: str) -> list[float]:
    """The numbers of one column, oldest first; a window that has none of it counts as 0."""
    return [numbers.get(name, 0.0) for numbers in trail[-MOST:]]
