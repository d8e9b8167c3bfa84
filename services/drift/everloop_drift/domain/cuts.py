"""When a sequence begins to rise, and how surely: one change by least squares, and those that are as good. Pure.

A change is a step, or a slope of some length: from one level it rises to another. It is where least squares puts it
(Hinkley 1970, Biometrika 57; of slopes: Hinkley 1971, Biometrika 58), among those that rise. It begins in the middle
of a figure's time as well, or of several that overlap: a figure is the mean over its time.

As good are the changes that the likelihood ratio does not tell from the best (Siegmund 1988, Annals of Statistics 16):
those that leave a sum of squares of at most c times the smallest. c is simulated: sequences with the best change, of
the size that was seen, with noise as it was seen on either side, where neighbours may be correlated. It is what 95 % of
them stay below at their true change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
LEAST: Final = 6
"""With fewer figures nothing is known of their noise."""
STEPS: Final = 4
"""Places in the time of each figure where a change may begin."""
SLOPES: Final = (0, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Lengths of slopes, in figures; 0 is a step. With fewer, a slope between two of them is dated too surely."""
DONE: Final = 0.5
"""A slope has at least so much of its rise within the sequence: of what is to come nothing is known."""
LEVEL: Final = 0.95
RUNS: Final = 200
FITTED: Final = 3
"""What was fitted to the figures: two levels and where they meet."""
TOGETHER: Final = 2
"""The deviation of a side is drawn towards that of all figures, as if so many of these belonged to it."""
STRONGEST: Final = 0.8
"""No autocorrelation is believed to be stronger: a level that changes twice looks like one."""


class Figure(NamedTuple):
    """One value: from when to when (ms), and how many rows it stands on, or 1 where they do not matter."""

    start: int
    end: int
    value: float
    weight: float = 1.0


class Cut(NamedTuple):
    """When the best change begins, and the first and the last that are as good (ms); the levels before it, and now."""

    at: int
    earliest: int
    latest: int
    before: float
    after: float


def cut(figures: Sequence[Figure], last: int, seed: int) -> Cut | None:
    """Find the change of a sequence in order of time that begins within one of the first `last` figures.

    None where there are too few figures, or none after which they are higher. `earliest` is the start of the sequence
    where nothing in it speaks against that.
    """
    if len(figures) < LEAST or last <= 1 or len({one.value for one in figures}) == 1:
        return None
    changes = _Changes(figures, last)
    gains = changes.gains(changes.values[None])[0]
    if gains.max() <= 0:
        return None
    best = int(gains.argmax())
    times = changes.times[changes.near(best, np.random.default_rng(seed))]
    steps = np.array([figures[0].start, *np.unique(changes.times), changes.end])
    low = steps[np.searchsorted(steps, times.min()) - 1]  # one step more on either side
    high = steps[np.searchsorted(steps, times.max(), side="right")]
    before, rise = changes.levels(best)
    now = before + rise * float(changes.behind[best, -1])
    return Cut(round(float(changes.times[best])), round(float(low)), round(float(high)), before, now)


class _Changes:
    """All changes that a sequence may have, one length of slope after the other. None begins within the first figure.

    Arrays have shape (figures,), (changes,) or (changes, figures); those of many sequences at once (runs, figures) or
    (runs, changes). `times` is when each begins, `behind` how much of it each figure has, 0 to 1.
    """

    def __init__(self, figures: Sequence[Figure], last: int) -> None:
        self.values = np.array([one.value for one in figures])
        self.weights = np.array([one.weight for one in figures])
        begin, end = _own_times(figures)
        self.end = float(end[last - 1])
        steps = (begin[1:last, None] + np.arange(STEPS) / STEPS * (end - begin)[1:last, None]).ravel()
        slopes = np.repeat(np.median(end - begin) * np.array(SLOPES), len(steps))
        times = np.tile(steps, len(SLOPES))
        behind = _behind(figures, times[:, None], slopes[:, None])
        known = (behind[:, -1] >= DONE) | (slopes == 0)
        self.times, self.behind = times[known], behind[known]
        self._share = (self.behind * self.weights).sum(axis=-1) / self.weights.sum()
        self._spread = (self.behind**2 * self.weights).sum(axis=-1) - self.weights.sum() * self._share**2

    def gains(self, values: Floats) -> Floats:
        """By how much each change lowers the weighted sum of squares; 0 where it does not rise."""
        return np.asarray(np.maximum(self._covariances(values), 0.0) ** 2 / self._spread)

    def levels(self, best: int) -> tuple[float, float]:
        """The level before a change, and its whole rise."""
        rise = float(self._covariances(self.values[None])[0, best] / self._spread[best])
        return float(np.average(self.values, weights=self.weights)) - rise * float(self._share[best]), rise

    def near(self, best: int, chance: np.random.Generator) -> Places:
        """The places of the changes that are as good as the best."""
        squares, runs = self._squares(self.values[None])[0], self._squares(self._simulated(best, chance))
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = runs[:, best] / runs.min(axis=-1)
        limit = float(np.quantile(np.nan_to_num(ratios, nan=1.0), LEVEL, method="higher"))
        return np.flatnonzero(squares <= limit * squares.min())

    def _covariances(self, values: Floats) -> Floats:
        """Of the values with how much of a change each has.

        No matrix product: its last bits depend on the processor, and its threads cost more than they give.
        """
        weighted = values * self.weights
        return np.asarray(
            np.einsum("rf,cf->rc", weighted, self.behind) - self._share * weighted.sum(axis=-1, keepdims=True)
        )

    def _squares(self, values: Floats) -> Floats:
        """The weighted sum of squares that each change leaves."""
        means = np.average(values, axis=-1, weights=self.weights)[:, None]
        whole = ((values - means) ** 2 * self.weights).sum(axis=-1, keepdims=True)
        return np.asarray(np.maximum(whole - self.gains(values), 0.0))

    def _simulated(self, best: int, chance: np.random.Generator) -> Floats:
        """Sequences like this one with this change, shape (runs, figures)."""
        before, rise = self.levels(best)
        level, unit = before + rise * self.behind[best], 1 / np.sqrt(self.weights)
        left = (self.values - level) / unit
        noise = autoregressive(chance.normal(size=(RUNS, len(left))), autocorrelation(left))
        return np.asarray(level + deviations(left, int((self.behind[best] == 0).sum())) * noise * unit)


def deviations(left: Floats, place: int) -> Floats:
    """Give each residual of shape (n,) the deviation of its side; the sides meet at `place`."""
    whole = float((left**2).sum()) / (len(left) - FITTED)
    sides = (left[:place], left[place:])
    found = [(float((one**2).sum()) + TOGETHER * whole) / (len(one) - 1 + TOGETHER) for one in sides]
    return np.asarray(np.sqrt(np.repeat(found, [len(one) for one in sides])))


def autocorrelation(left: Floats) -> float:
    """Of neighbours among residuals of shape (n,), from 0 to 0.8; its bias of -(1 + 3 r) / n is taken away.

    The bias is that of Kendall 1954 (Biometrika 41).
    """
    total = float((left**2).sum())
    if total == 0:
        return 0.0
    found = float((left[:-1] * left[1:]).sum()) / total
    return min(STRONGEST, max(0.0, found + (1 + 3 * found) / len(left)))


def autoregressive(noise: Floats, correlation: float) -> Floats:
    """Make neighbours of independent noise (runs, n) of deviation 1 correlate; the deviation stays 1."""
    if not correlation:
        return noise
    made = noise.copy()
    for place in range(1, made.shape[-1]):
        made[:, place] = correlation * made[:, place - 1] + math.sqrt(1 - correlation**2) * noise[:, place]
    return made


def _behind(figures: Sequence[Figure], times: Floats, slopes: Floats) -> Floats:
    """How much of each change (changes, 1) a figure has in the mean of its time: (changes, figures), 0 to 1."""
    starts = np.array([one.start for one in figures], dtype=np.float64)
    ends = np.array([max(one.end, one.start + 1) for one in figures], dtype=np.float64)

    def until(when: Floats) -> Floats:
        """The integral of a change from its begin to then."""
        since = np.maximum(when - times, 0)
        on = np.minimum(since, slopes)
        return np.asarray(on**2 / np.where(slopes > 0, 2 * slopes, 1) + since - on)

    return np.asarray((until(ends) - until(starts)) / (ends - starts))


def _own_times(figures: Sequence[Figure]) -> tuple[Floats, Floats]:
    """Begin and end of each figure's own time: figures that overlap share it out in the middle."""
    begin = np.array([one.start for one in figures], dtype=np.float64)
    end = np.array([one.end for one in figures], dtype=np.float64)
    meet = np.maximum(begin[1:], (begin[1:] + end[:-1]) / 2)
    own = np.minimum(end[:-1], meet)
    return np.concatenate([begin[:1], meet]), np.concatenate([own, end[-1:]])
