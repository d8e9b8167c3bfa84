"""Has the joint distribution of the columns moved? Two numbers for it, off the hot path, on bounded samples. Pure.

What single columns cannot show, such as a correlation that is gone, these can. They are evidence in a report and decide
nothing. Both take rows as exchangeable: where rows of a window hang together, they are too sure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

Floats = NDArray[np.float64]
Columns = Mapping[str, Floats | Sequence[object]]
"""Values by column: numbers with NaN for missing, or texts with None."""

FEWEST_ROWS: Final = 40
"""Rows that each side must have: with fewer the half that measures has no area that says anything."""
ENERGY_ROWS: Final = 1_000
"""Rows of each side whose distances are taken: 32 MB for both sides."""
PERMUTATIONS: Final = 199
MOST_CATEGORIES: Final = 30
"""The most frequent categories have a code of their own, the others share one."""
CUT: Final = 0.005
"""Share of the numbers at either end that are moved to the last before them: one wild value must not hide a column."""
Z: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class DomainAuc:
    """Area under the ROC curve of a classifier that tells both sides apart: 0.5 is no difference, 1 is two worlds.

    `error` is its standard error, `lower` and `upper` the two-sided interval at 95 %. `rows` are those of both sides
    that it was measured on.
    """

    value: float
    error: float
    lower: float
    upper: float
    rows: int


@dataclass(frozen=True, slots=True)
class Energy:
    """The energy distance of both sides (0: none; in standard deviations to the power of one half), its p-value.

    `rows` of both sides, `permutations` behind the p-value.
    """

    distance: float
    p_value: float
    rows: int
    permutations: int


def domain_auc(reference: Columns, current: Columns, seed: int) -> DomainAuc | None:
    """Tell current from reference rows by boosted trees: one half of the rows teaches, the other measures.

    The classifier two-sample test (Lopez-Paz and Oquab 2017, ICLR; as a detector of shift Rabanser et al. 2019,
    NeurIPS), its error that of DeLong et al. (1988), Biometrics 44. Both sides have the same columns, each column on
    both sides numbers or texts. None with fewer than `FEWEST_ROWS` on a side.

    Of a cross-validation every row would be measured, but the areas of its folds hang together: where nothing had
    changed, their combined error (LeDell et al. 2015) was found 1.3 to 1.4 times too small. A split keeps its word.
    """
    codes, labels = _stacked(*coded(reference, current))
    if min(labels.sum(), len(labels) - labels.sum()) < FEWEST_ROWS:
        return None
    trees = HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=15, early_stopping=False, random_state=seed,
        categorical_features=[not _numeric(reference[name]) for name in reference],
    )  # fmt: skip
    first, second, taught, truth = train_test_split(codes, labels, test_size=0.5, stratify=labels, random_state=seed)
    scores = trees.fit(first, taught).predict_proba(second)[:, 1]
    value, variance = area(scores[truth == 1], scores[truth == 0])
    error = math.sqrt(variance)
    return DomainAuc(value, error, max(0.0, value - Z * error), min(1.0, value + Z * error), len(truth))


def area(positive: Floats, negative: Floats) -> tuple[float, float]:
    """The share of pairs in order, ties counted half; its variance by DeLong with the midranks of Sun and Xu (2014)."""
    m, n = len(positive), len(negative)
    pooled = rankdata(np.concatenate([positive, negative]))
    above = (pooled[:m] - rankdata(positive)) / n
    below = 1 - (pooled[m:] - rankdata(negative)) / m
    return float(above.mean()), float(above.var(ddof=1) / m + below.var(ddof=1) / n)


def energy(reference: Columns, current: Columns, seed: int) -> Energy | None:
    """Compare distances between the sides with those within them; None with fewer than two rows on a side.

    The energy distance (Székely and Rizzo 2013, Journal of Statistical Planning and Inference 143) of the first
    `ENERGY_ROWS` rows of each side, as `scipy.stats.energy_distance` defines it for one column, here in the space of
    `placed`. The p-value is that of 199 permutations of the rows' sides, the seen one counted among them.
    """
    sides = placed(_first(reference), _first(current))
    if min(map(len, sides)) < 2:  # noqa: PLR2004 - a distance within needs two
        return None
    rows, ones = _stacked(*sides)
    distances = cdist(rows, rows)
    chance = np.random.default_rng(seed)
    shuffled = [chance.permutation(ones) for _ in range(PERMUTATIONS)]
    found = _squares(distances, np.array([ones, *shuffled], dtype=np.float64))
    extreme = int((found[1:] >= found[0] * (1 - 1e-12)).sum())
    p_value = (1 + extreme) / (1 + PERMUTATIONS)
    return Energy(math.sqrt(max(0.0, found[0])), p_value, len(rows), PERMUTATIONS)


def _squares(distances: Floats, sides: Floats) -> Floats:
    """The squared energy distance of each row of `sides` (1: current): 2 E|X - Y| - E|X - X'| - E|Y - Y'|."""
    current = sides.sum(axis=1)
    reference = sides.shape[1] - current
    with_current = sides @ distances
    within_current = (with_current * sides).sum(axis=1)
    between = (with_current * (1 - sides)).sum(axis=1)
    within_reference = distances.sum() - within_current - 2 * between
    squares = 2 * between / (current * reference) - within_current / current**2 - within_reference / reference**2
    return np.asarray(squares, dtype=np.float64)


def coded(reference: Columns, current: Columns) -> tuple[Floats, Floats]:
    """Both sides as one matrix each, for trees: numbers as they are, categories by their rank in frequency."""
    codes = [_codes(reference[name], current[name]) for name in reference]
    return _matrix([one for one, _ in codes], reference), _matrix([two for _, two in codes], current)


def placed(reference: Columns, current: Columns) -> tuple[Floats, Floats]:
    """Both sides as points of one space, for distances, in units of the deviation of both sides together.

    A missing number is at the mean, and one off in a dimension of its own; two different categories are one apart.
    Numbers at the ends are moved inwards by `CUT`.
    """
    both = [pair for name in reference for pair in _axes(reference[name], current[name])]
    return _matrix([one for one, _ in both], reference), _matrix([two for _, two in both], current)


def _axes(reference: Floats | Sequence[object], current: Floats | Sequence[object]) -> Iterator[tuple[Floats, Floats]]:
    one, two = _codes(reference, current)
    both, cut = np.concatenate([one, two]), len(one)
    missing = np.isnan(both)
    if not _numeric(reference):
        for code in np.unique(both[~missing]):
            axis = (both == code) / math.sqrt(2)
            yield axis[:cut], axis[cut:]
    elif not missing.all():
        both = np.clip(both, *np.quantile(both[~missing], [CUT, 1 - CUT], method="inverted_cdf"))
        both = both / (np.nanmax(np.abs(both)) or 1.0)  # squares of what is near the largest float have no room
        spread = both[~missing].std()
        axis = np.where(missing, 0.0, (both - both[~missing].mean()) / (spread if spread > 0 else 1.0))
        yield axis[:cut], axis[cut:]
    if missing.any():
        yield missing[:cut].astype(np.float64), missing[cut:].astype(np.float64)


def _codes(reference: Floats | Sequence[object], current: Floats | Sequence[object]) -> tuple[Floats, Floats]:
    if _numeric(reference):
        return _finite(reference), _finite(current)
    seen = Counter(value for side in (reference, current) for value in side if value is not None)
    ranked = sorted(seen, key=lambda value: (-seen[value], str(value)))
    places = {value: min(place, MOST_CATEGORIES) for place, value in enumerate(ranked)}
    one, two = (np.array([places.get(value, math.nan) for value in side], dtype=np.float64)
                for side in (reference, current))  # fmt: skip
    return one, two


def _finite(values: Floats | Sequence[object]) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, math.nan)


def _numeric(values: Floats | Sequence[object]) -> bool:
    return isinstance(values, np.ndarray)


def _first(columns: Columns) -> Columns:
    return {name: values[:ENERGY_ROWS] for name, values in columns.items()}


def _matrix(axes: Sequence[Floats], columns: Columns) -> Floats:
    rows = len(next(iter(columns.values()), ()))
    return np.column_stack(axes) if axes else np.zeros((rows, 0))


def _stacked(reference: Floats, current: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """All rows, and 1 for those of the current side."""
    labels = np.repeat([0, 1], [len(reference), len(current)])
    return np.concatenate([reference, current]), labels
