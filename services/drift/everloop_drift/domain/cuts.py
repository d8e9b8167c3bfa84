"""Where a sequence changes its level, and how surely: one cut by least squares, and the cuts that are as good. Pure.

The cut is where least squares puts it (Hinkley 1970, Biometrika 57), among those after which the level is higher. A
change comes in the middle of a figure's time as well, or of several that overlap: each is then of both levels, by the
share of its time. So cuts stand at `STEPS` places in the time of each figure.

As good are the cuts that the likelihood ratio does not tell from the best (Siegmund 1988, Annals of Statistics 16):
those that leave a sum of squares of at most c times the smallest. c is simulated: sequences with a change at the best
cut, of the size that was seen, with noise as it was seen on either side, where neighbours may be correlated. It is what
95 % of them stay below at their true cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST: Final = 6
"""With fewer figures nothing is known of their noise."""
STEPS: Final = 4
LEVEL: Final = 0.95
RUNS: Final = 200
FITTED: Final = 3
"""What was fitted to the figures: two levels and the cut."""
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
    """The best cut, the first and the last that are as good (ms), and the levels on both sides of the best."""

    at: int
    earliest: int
    latest: int
    before: float
    after: float


def cut(figures: Sequence[Figure], last: int, seed: int) -> Cut | None:
    """Cut a sequence in order of time, within one of the first `last` figures.

    None where there are too few figures, or no cut after which the level is higher. `earliest` is the start of the
    sequence where nothing in it speaks against that.
    """
    if len(figures) < LEAST or last <= 1:
        return None
    cuts = _Cuts(figures, last)
    gains = cuts.gains(cuts.values[None])[0]
    if gains.max() <= 0:
        return None
    best = int(gains.argmax())
    first, final = cuts.near(best, np.random.default_rng(seed))
    times = [figures[0].start, *cuts.times.round().astype(int).tolist(), round(cuts.end)]
    before, after = cuts.levels(best)
    return Cut(times[best + 1], times[first], times[final + 2], before, after)  # one step more on either side


class _Cuts:
    """All cuts of a sequence, in order of time; there are none within the first figure.

    Arrays have shape (figures,), (cuts,) or (cuts, figures); those of many sequences at once (runs, figures) or (runs,
    cuts). `behind` is the share of each figure that is behind a cut.
    """

    def __init__(self, figures: Sequence[Figure], last: int) -> None:
        self.values = np.array([one.value for one in figures])
        self.weights = np.array([one.weight for one in figures])
        begin, end = _own_times(figures)
        parts = np.arange(STEPS) / STEPS
        self.times = (begin[1:last, None] + parts * (end - begin)[1:last, None]).ravel()
        self.end = float(end[last - 1])
        ends = np.array([one.end for one in figures], dtype=np.float64)
        lengths = np.array([max(1, one.end - one.start) for one in figures])
        self.behind = np.clip((ends - self.times[:, None]) / lengths, 0, 1)
        self._share = self.behind @ self.weights / self.weights.sum()
        self._spread = self.behind**2 @ self.weights - self.weights.sum() * self._share**2

    def gains(self, values: Floats) -> Floats:
        """By how much each cut lowers the weighted sum of squares; 0 where the level does not rise."""
        return np.asarray(np.maximum(self._covariances(values), 0.0) ** 2 / self._spread)

    def levels(self, best: int) -> tuple[float, float]:
        """The levels on both sides of a cut."""
        rise = float(self._covariances(self.values[None])[0, best] / self._spread[best])
        before = float(np.average(self.values, weights=self.weights)) - rise * float(self._share[best])
        return before, before + rise

    def near(self, best: int, chance: np.random.Generator) -> tuple[int, int]:
        """The first and the last cut that are as good as the best."""
        squares, runs = self._squares(self.values[None])[0], self._squares(self._simulated(best, chance))
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = runs[:, best] / runs.min(axis=-1)
        limit = float(np.quantile(np.nan_to_num(ratios, nan=1.0), LEVEL, method="higher"))
        found = np.flatnonzero(squares <= limit * squares.min())
        return int(found[0]), int(found[-1])

    def _covariances(self, values: Floats) -> Floats:
        """Of the values with how much of each figure is behind a cut."""
        weighted = values * self.weights
        return np.asarray(weighted @ self.behind.T - self._share * weighted.sum(axis=-1, keepdims=True))

    def _squares(self, values: Floats) -> Floats:
        """The weighted sum of squares that each cut leaves."""
        means = np.average(values, axis=-1, weights=self.weights)[:, None]
        whole = ((values - means) ** 2 * self.weights).sum(axis=-1, keepdims=True)
        return np.asarray(np.maximum(whole - self.gains(values), 0.0))

    def _simulated(self, best: int, chance: np.random.Generator) -> Floats:
        """Sequences like this one with a change at this cut, shape (runs, figures)."""
        before, after = self.levels(best)
        level, unit = before + (after - before) * self.behind[best], 1 / np.sqrt(self.weights)
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


def _own_times(figures: Sequence[Figure]) -> tuple[Floats, Floats]:
    """Begin and end of each figure's own time: figures that overlap share it out in the middle."""
    begin = np.array([one.start for one in figures], dtype=np.float64)
    end = np.array([one.end for one in figures], dtype=np.float64)
    meet = np.maximum(begin[1:], (begin[1:] + end[:-1]) / 2)
    own = np.minimum(end[:-1], meet)
    return np.concatenate([begin[:1], meet]), np.concatenate([own, end[-1:]])
