"""Cut rows in order of time into windows as drift does: unions of slices, by time or by rows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from everloop.profile.seasons import HOUR_MS, SLOTS, slot_of, slots_between
from everloop.profile.values import Season

MOST_SLICES: Final = 8_192
"""The newest slices are looked at: eleven months of hours, or 85 days of quarters of an hour."""
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cuts:
    """`first` is the begin of the first slice (ms), `slices` how many there are, `of` the slice of each row (-1: none).

    `ranges`, shape (windows, 2): the slices [a, b) of each window that has rows enough to be judged.
    """

    every_ms: int
    first: int
    slices: int
    of: Ints
    ranges: Ints
    rows: int | None

    @property
    def begins(self) -> Ints:
        """When each slice begins (ms)."""
        return self.first + np.arange(self.slices, dtype=np.int64) * self.every_ms

    @property
    def ends(self) -> Ints:
        """When each window ends (ms)."""
        return np.asarray(self.first + self.ranges[:, 1] * self.every_ms, dtype=np.int64)

    @property
    def span_ms(self) -> int:
        """How much time was looked at: of windows by time those that were judged, by rows from first to last."""
        if self.rows is None:
            return len(self.ranges) * self.every_ms
        return int((self.ranges[-1, 1] - self.ranges[0, 0]) * self.every_ms) if len(self.ranges) else 0

    def sums(self, per_slice: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up over the slices of each window: (slices, ...) becomes (windows, ...)."""
        before = np.concatenate([np.zeros((1, *per_slice.shape[1:])), np.cumsum(per_slice, axis=0)])
        return np.asarray(before[self.ranges[:, 1]] - before[self.ranges[:, 0]])

    def slot_of_slices(self, season: Season) -> Ints:
        """The slot that each slice begins in."""
        return slot_of(self.begins, season)

    def slots(self, season: Season) -> NDArray[np.float64]:
        """Which slots each window touches, 0 or 1, shape (windows, slots)."""
        found = np.zeros((len(self.ranges), SLOTS[season]))
        for place, (a, b) in enumerate(self.ranges.tolist()):
            touched = slots_between(self.first + a * self.every_ms, self.first + b * self.every_ms, season)
            found[place, touched] = 1
        return found

    def repeats(self, season: Season) -> int:
        """In how many days, or weeks, the rarest slot has a window."""
        ends = self.ends - 1
        pairs = {(int(slot), int(hour)) for slot, hour in zip(slot_of(ends, season), ends // HOUR_MS, strict=True)}
        seen = np.bincount([slot for slot, _ in pairs], minlength=SLOTS[season]) if pairs else np.zeros(1)
        return int(seen.min())


def cut(times: Ints, every_ms: int, size_ms: int, rows: int | None, min_rows: int, since: int = 0) -> Cuts:
    """Cut rows by their times (ms, ascending). A window with fewer than `min_rows` rows is not judged, and left out.

    So is one that begins before `since` (ms).
    """
    numbers = times // every_ms
    last = int(numbers[-1]) if len(numbers) else 0
    first = max(int(numbers[0]) if len(numbers) else 0, last - MOST_SLICES + 1)
    slices = last - first + 1
    of = np.where(numbers >= first, numbers - first, -1)
    held = np.bincount(of[of >= 0], minlength=slices)
    ranges = _by_time(slices, size_ms // every_ms) if rows is None else _by_rows(held, rows)
    before = np.concatenate([[0], np.cumsum(held)])
    enough = before[ranges[:, 1]] - before[ranges[:, 0]] >= max(1, min_rows)
    enough &= (first + ranges[:, 0]) * every_ms >= since
    return Cuts(every_ms, first * every_ms, slices, of, ranges[enough], rows)


def _by_time(slices: int, size: int) -> Ints:
    """Each window of so many slices, one for each slice that one can end with."""
    ends = np.arange(size, slices + 1, dtype=np.int64)
    return np.stack([ends - size, ends], axis=1)


def _by_rows(held: Ints, rows: int) -> Ints:
    """One after the other, each until it has its rows."""
    found, begin, seen = [], 0, 0
    for place, count in enumerate(held.tolist()):
        seen += count
        if seen >= rows:
            found.append((begin, place + 1))
            begin, seen = place + 1, 0
    return np.array(found, dtype=np.int64).reshape(-1, 2)
