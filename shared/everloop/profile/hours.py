"""What each window of the reference is compared with: the whole, or its own hours; never with its own rows. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import compress
from typing import Self

import numpy as np
from numpy.typing import NDArray

from everloop.profile.cells import Values, listed
from everloop.profile.cut import Cuts
from everloop.profile.sample import Counted, Sample, slots_of
from everloop.profile.seasons import LEAST_ROWS, SLOTS, slot_of
from everloop.profile.values import ColumnProfile, Profile, Season

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Hours:
    """By which slots windows are compared: those of a season, or one alone, of all rows.

    `slot`: of each slice, (slices,); `touched`: which slots each window touches, 0 or 1, (windows, slots); `near`:
    which windows are compared with their own, (windows,); `slices`: those whose rows count, (slices,). `stretch`: the
    slots that windows of production will meet are of so many slices in a row; 0: of all.
    """

    slot: Ints
    touched: Floats
    near: Flags
    slices: Flags
    stretch: int = 0

    @classmethod
    def of(cls, cuts: Cuts, season: Season, sample: Sample, chosen: Flags) -> Self:
        """Of the slots that the `chosen` rows make, (rows,); as in `seasons.side` few rows make none."""
        touched = cuts.slots(season)
        rows = np.bincount(slot_of(sample.times[chosen], season), minlength=SLOTS[season])
        near = (touched @ rows >= LEAST_ROWS) & (touched.sum(axis=1) < SLOTS[season])
        return cls(cuts.slot_of_slices(season), touched, near, cuts.begins >= sample.since)

    @classmethod
    def none(cls, cuts: Cuts) -> Self:
        """Of no season."""
        windows = len(cuts.ranges)
        slot, slices = np.zeros(cuts.slices, dtype=np.int64), np.ones(cuts.slices, dtype=bool)
        return cls(slot, np.ones((windows, 1)), np.ones(windows, dtype=bool), slices)

    def counts(self, per_slice: Floats, of: Flags) -> Floats:
        """What the slots that each window touches hold of these slices, (windows, bins)."""
        found = np.zeros((self.touched.shape[1], per_slice.shape[1]))
        chosen = of & self.slices
        np.add.at(found, self.slot[chosen], per_slice[chosen])
        return np.asarray(self.touched @ found)


def of_holdout(cuts: Cuts, season: Season | None, sample: Sample) -> tuple[Hours | None, Season | None]:
    """The same of the holdout, whose scores are of rows that the version did not learn from; and the scores' season.

    They have none where not every hour of the windows is in it: what some windows are compared with would say nothing
    about the others.
    """
    if sample.held is None:
        return None, None
    of = cuts.of[sample.held & (cuts.of >= 0)]
    stretch = cuts.slices - int(of.min()) if of.size else 0
    found = Hours.of(cuts, season, sample, sample.known & sample.held) if season else None
    if found is None or not found.near.all():
        return replace(Hours.none(cuts), stretch=stretch), None
    return replace(found, stretch=stretch), season


def with_slots(profile: Profile, sample: Sample, season: Season, *, scores: bool) -> Profile:
    """The columns by slot of the season, of all rows; the scores, if they have a season, of the holdout's alone."""
    columns = tuple(
        _by_slot(column, sample.columns[column.name], sample.times, sample.known, season) for column in profile.columns
    )
    known = profile.model_copy(update={"columns": columns})
    if not scores or sample.held is None:
        return known
    score = _by_slot(profile.score, sample.scores, sample.times, sample.known & sample.held, season)
    return known.model_copy(update={"score": score})


def _by_slot(column: ColumnProfile, values: Values, times: Ints, chosen: Flags, season: Season) -> ColumnProfile:
    some = values[chosen] if isinstance(values, np.ndarray) else list(compress(listed(values) or [], chosen.tolist()))
    return column.model_copy(update={"slots": slots_of(column, some, times[chosen], season)})


def references(counts: Counted, cuts: Cuts, hours: Hours | None) -> Floats:
    """For each window the counts that it is compared with, without the window's own rows; shape (windows, bins)."""
    whole = counts.reference - counts.inside
    if hours is None:
        return whole
    everything = np.ones(cuts.slices, dtype=bool)
    own = hours.counts(counts.per_slice, everything) - counts.windows
    if hours.stretch:
        apart = _apart(counts, cuts, hours)
        own = np.where(apart.sum(axis=1, keepdims=True) >= LEAST_ROWS, apart, own)
    return np.where(hours.near[:, None], own, whole)


def _apart(counts: Counted, cuts: Cuts, hours: Hours) -> Floats:
    """What the stretch before the window's holds, of the first one that behind it.

    With as few rows as production will compare with chance is as large, and it is the same for many windows: what they
    show of it adds up, as it will.
    """
    many = cuts.slices // hours.stretch
    number = (cuts.slices - 1 - np.arange(cuts.slices)) // hours.stretch  # 0 is the newest
    first, last = number[cuts.ranges[:, 0]], number[cuts.ranges[:, 1] - 1]
    chosen = np.where(first + 1 < many, first + 1, last - 1)
    found = np.zeros_like(counts.windows)
    for one in range(many):
        found[chosen == one] = hours.counts(counts.per_slice, number == one)[chosen == one]
    return found
