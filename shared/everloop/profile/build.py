"""Make a profile from columns of reference rows and scores of holdout rows."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from everloop.profile.cells import (
    FIRST_BIN,
    MALFORMED,
    MISSING,
    NONFINITE,
    Cells,
    Values,
    count_categorical,
    count_numeric,
    listed,
    tally,
    to_floats,
)
from everloop.profile.values import ColumnProfile, Profile, QualityProfile

Task = Literal["binary", "multiclass", "regression"]
Kind = Literal["numeric", "categorical"]
MAX_BINS: Final = 64
MAX_CATEGORIES: Final = 100
SCORE_BINS: Final = 100


def build_profile(
    columns: Mapping[str, Values],
    *,
    scores: Values,
    quality: Sequence[QualityProfile] = (),
    positive_rate: float | None = None,
    task: Task = "binary",
    blocks: int = 0,
) -> Profile:
    """Describe reference rows, in order of time, and the scores of out-of-time holdout rows.

    `scores` are probabilities (of the positive class, or of the predicted one) on 100 equal bins of [0, 1], under
    regression values on quantile bins. `blocks` is into how many contiguous stretches the counts are also split.
    """
    edges = quantile_edges(scores) if task == "regression" else score_edges()
    return Profile(
        rows=max((len(values) for values in columns.values()), default=0),
        columns=tuple(build_column(name, values, blocks) for name, values in columns.items()),
        score=_column("score", "numeric", edges, (), scores, blocks),
        quality=tuple(quality),
        positive_rate=positive_rate,
    )


def build_column(name: str, values: Values, blocks: int = 0) -> ColumnProfile:
    """Describe one column: numbers on quantile bins, text and bools by category."""
    if infer_kind(values) == "numeric":
        return _column(name, "numeric", quantile_edges(values), (), values, blocks)
    return _column(name, "categorical", (), frequent(values), values, blocks)


def infer_kind(values: Values) -> Kind:
    """Bools and text are categories, numbers are numbers, the majority wins; nothing at all is numeric."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiubUS":
        return "numeric" if values.dtype.kind in "fiu" else "categorical"
    types = Counter(map(type, listed(values) or []))
    words = sum(count for kind, count in types.items() if issubclass(kind, str | bool | np.bool_))
    numbers = sum(count for kind, count in types.items() if issubclass(kind, int | float | Decimal | np.number))
    bools = types[bool]  # a bool is an int to Python, not to us
    return "categorical" if words > numbers - bools else "numeric"


def score_edges() -> tuple[float, ...]:
    """The 99 interior cut points of 100 equal bins on [0, 1], the same for all versions, so that arms compare."""
    return tuple(place / SCORE_BINS for place in range(1, SCORE_BINS))


def quantile_edges(values: Values) -> tuple[float, ...]:
    """Cut where the reference has equal mass, at most 64 bins; one bin per value where there are few values.

    Cuts are reference values (inverse of the empirical distribution), from the smallest to just above the largest: a
    constant gets one cut on each side. No finite value gives no cut.
    """
    numbers = to_floats(values)[0]
    finite = numbers[np.isfinite(numbers)] + 0.0  # -0.0 becomes 0.0
    if not finite.size:
        return ()
    cuts: NDArray[np.float64] = np.unique(finite)
    top = math.nextafter(float(cuts[-1]), math.inf)
    if cuts.size > MAX_BINS - 2:
        shares = np.arange(MAX_BINS - 2) / (MAX_BINS - 2)
        cuts = np.unique(np.quantile(finite, shares, method="inverted_cdf"))
    edges = [float(cut) for cut in cuts]
    return (*edges, top) if math.isfinite(top) else tuple(edges)


def frequent(values: Values) -> tuple[str, ...]:
    """The 100 most frequent categories, ties in order of name."""
    counted = [(-count, key) for key, count in tally(values).items() if isinstance(key, str)]
    return tuple(key for _, key in sorted(counted)[:MAX_CATEGORIES])


def moments(values: Values) -> tuple[float | None, float | None]:
    """Mean and population deviation of the finite values, which may be as large as floats go.

    (None, None) where there is none, and for what leaves the range of floats. A constant has a deviation of exactly 0.
    """
    numbers = to_floats(values)[0]
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return None, None
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        return low + 0.0, 0.0
    unit = max(abs(low), abs(high))  # in this unit no sum overflows
    scaled = finite / unit
    mean, deviation = float(scaled.mean()) * unit, float(scaled.std()) * unit
    return (mean, deviation) if math.isfinite(mean) and math.isfinite(deviation) else (None, None)


def _column(
    name: str, kind: Kind, edges: tuple[float, ...], categories: tuple[str, ...], values: Values, blocks: int
) -> ColumnProfile:
    """Count the whole, then each block, by the rule that the current rows are counted by."""

    def count(part: Values) -> Cells:
        return count_numeric(edges, part) if kind == "numeric" else count_categorical(categories, part)

    def bins(cells: Cells) -> tuple[int, ...]:
        return tuple(int(cell) for cell in cells[FIRST_BIN:])

    cells = count(values)
    mean, deviation = moments(values) if kind == "numeric" else (None, None)
    bounds = [len(values) * place // blocks for place in range(blocks + 1)] if blocks else []
    return ColumnProfile(
        name=name,
        kind=kind,
        edges=edges,
        categories=categories,
        counts=bins(cells),
        missing=int(cells[MISSING]),
        nonfinite=int(cells[NONFINITE]),
        malformed=int(cells[MALFORMED]),
        mean=mean,
        deviation=deviation,
        blocks=tuple(bins(count(values[low:high])) for low, high in pairwise(bounds)),
    )
