"""Count the rows that a version learnt from, by column and slice of time, on the bins of its profile. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from everloop.profile.cells import (
    FIRST_BIN,
    MALFORMED,
    MISSING,
    NONFINITE,
    Values,
    category,
    listed,
    to_float,
    to_floats,
)
from everloop.profile.cut import Cuts
from everloop.profile.seasons import LOST, SLOTS, Slots, pack, slot_of
from everloop.profile.values import ColumnProfile, Season, SlotCounts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows in order of time: columns by name, scores, times (ms); `inside` says which are the profile's reference.

    `held` says which are the holdout, whose scores are the profile's; None: not known, and scores have no season.
    Windows that begin before `since` (ms) are not looked at.
    """

    columns: Mapping[str, Values]
    scores: Values
    times: Ints
    inside: NDArray[np.bool_]
    since: int = 0
    held: NDArray[np.bool_] | None = None

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which rows are not from before `since`: what was before a change is no reference for what comes after it."""
        return np.asarray(self.times >= self.since)

    def all_inside(self) -> Sample:
        """The same, all of it compared with all of it."""
        return replace(self, inside=np.ones(len(self.times), dtype=bool))


@dataclass(frozen=True, slots=True)
class Counted:
    """One column: counts of the reference (bins,), of each window and of its part in the reference (windows, bins)."""

    per_slice: Floats
    reference: Floats
    windows: Floats
    inside: Floats


def counted(column: ColumnProfile, values: Values, sample: Sample, cuts: Cuts) -> Counted:
    """Count a column by slice and window."""
    cells, _ = cells_of(column, values)
    bins = len(column.counts)
    known = (cells >= FIRST_BIN) & (cuts.of >= 0)
    slices, places = cuts.of[known], cells[known] - FIRST_BIN
    inside = sample.inside[known]
    per_slice = _table(slices, places, cuts.slices, bins)
    inner = _table(slices[inside], places[inside], cuts.slices, bins)
    return Counted(per_slice, inner.sum(axis=0), cuts.sums(per_slice), cuts.sums(inner))


def slots_of(column: ColumnProfile, values: Values, times: Ints, season: Season) -> SlotCounts:
    """Count a column by slot of the season."""
    cells, deviations = cells_of(column, values)
    bins, slots, slot = len(column.counts), SLOTS[season], slot_of(times, season)
    order = np.where(cells >= FIRST_BIN, cells - FIRST_BIN, bins + cells)  # missing, not finite, malformed stand behind
    counts = _table(slot, order, slots, bins + LOST).astype(np.int64)
    known = cells >= FIRST_BIN
    rows = counts[:, :bins].sum(axis=1)
    mean, square = (
        np.bincount(slot[known], weights=deviations[known] ** power, minlength=slots) / np.where(rows > 0, rows, np.nan)
        for power in (1, 2)
    )
    unit, center = column.deviation or np.nan, np.nan if column.mean is None else column.mean
    return pack(Slots(counts, center + mean * unit, np.sqrt(np.maximum(square - mean**2, 0)) * unit))


def cells_of(column: ColumnProfile, values: Values) -> tuple[Ints, Floats]:
    """The cell of each value as `profile.cells` counts them, and how many deviations it is from the reference's mean.

    The latter is NaN for categories, and where the reference has no deviation.
    """
    if column.kind == "categorical":
        items = listed(values) or []
        index = {name: FIRST_BIN + place for place, name in enumerate(column.categories)}
        other = FIRST_BIN + len(column.categories)
        named = [category(item) for item in items]
        cells = np.array([one if isinstance(one, int) else index.get(one, other) for one in named], dtype=np.int64)
        return cells, np.full(len(cells), np.nan)
    numbers, malformed = to_floats(values)
    wrong = [place for place, item in enumerate(listed(values) or []) if to_float(item) is None] if malformed else []
    if wrong:
        numbers = np.insert(numbers, np.array(wrong) - np.arange(len(wrong)), np.nan)
    finite = np.isfinite(numbers)
    cells = np.where(np.isnan(numbers), MISSING, NONFINITE)
    cells[finite] = FIRST_BIN + np.searchsorted(np.asarray(column.edges), numbers[finite], side="right")
    cells[wrong] = MALFORMED
    with np.errstate(over="ignore", invalid="ignore"):
        return cells, (numbers - (column.mean or 0.0)) / (column.deviation or np.nan)


def _table(rows: Ints, columns: Ints, height: int, width: int) -> Floats:
    counts = np.bincount(rows * width + columns, minlength=height * width)
    return counts.reshape(height, width).astype(np.float64)
