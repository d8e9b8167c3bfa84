"""What a segment's reference would be at the window's hour, where the whole is compared with that. Pure.

Hours of each segment do not travel with the profile: there are many segments, and few rows of each in an hour. Its
reference is weighted by what the hour does to the whole, bin by bin: the density ratio of covariate shift (Shimodaira
2000), which is right where the season moves segments as it moves the whole.
"""

from __future__ import annotations

import numpy as np

from everloop.events import ColumnSide, ColumnWindow


def at_the_hour(column: ColumnWindow, side: ColumnSide) -> ColumnSide:
    """The segment's side, weighted; as it is where the column is compared with the whole reference.

    It counts as so many rows as such a sample is worth: those of equal weights (Kish 1965), and no more than chance in
    the weights themselves leaves, which are of the hour's rows. Mean and deviation move as those of the whole.
    """
    whole, near = column.overall, column.reference
    if whole is None:
        return side
    counts, then, now = (np.asarray(one.counts, dtype=np.float64) for one in (side, whole, near))
    weights = np.divide(now * then.sum(), then * now.sum(), out=np.zeros_like(then), where=then * now.sum() > 0)
    weighted = counts * weights
    if not weighted.sum():
        return side
    worth = 1 / ((weighted * weights).sum() / weighted.sum() ** 2 + 1 / now.sum())
    known = np.round(weighted / weighted.sum() * worth).astype(np.int64)
    return side.model_copy(update={
        "counts": tuple(known.tolist()), "missing": _missing(side, whole, near, int(known.sum())),
        "mean": _moved(side.mean, whole.mean, near.mean), "deviation": _scaled(side, whole, near),
    })  # fmt: skip


def _missing(side: ColumnSide, whole: ColumnSide, near: ColumnSide, present: int) -> int:
    """Rows in no bin beside so many that are in one: their odds move by the factor by which those of the whole do."""
    odds = [(one.missing + one.nonfinite + one.malformed, sum(one.counts)) for one in (side, whole, near)]
    (lost, held), (before, of_before), (after, of_after) = odds
    factor = after * of_before / (before * of_after) if before and of_after else 1.0
    return round(present * lost / held * factor) if held else lost


def _moved(mean: float | None, before: float | None, after: float | None) -> float | None:
    return mean if mean is None or before is None or after is None else mean + after - before


def _scaled(side: ColumnSide, whole: ColumnSide, near: ColumnSide) -> float | None:
    if side.deviation is None or near.deviation is None or not whole.deviation:
        return side.deviation
    return side.deviation * near.deviation / whole.deviation
