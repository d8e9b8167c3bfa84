"""How often a rule would raise an alarm where nothing has changed: the whole policy, over resampled windows.

The policy: an episode opens after `confirm` windows in a row above the threshold, closes after as many that are not,
and is one alarm. Windows hang together, so stretches of them are resampled, not single ones: the circular block
bootstrap (Politis and Romano 1992, in Exploring the Limits of Bootstrap).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RESAMPLES: Final = 32
LEAST_STRETCH: Final = 8
LEVELS: Final = 24
"""Thresholds at which alarms are counted."""
Curve = tuple[tuple[float, float], ...]
"""Expected alarms in the whole span, and the threshold: from few alarms to many."""


def curve(found: Floats, confirm: int, seed: int) -> Curve:
    """Alarms to be expected over as many windows as there are, by threshold; `found` is the statistic per window."""
    thresholds = _levels(found)
    chosen = _stretches(len(found), np.random.default_rng(seed))
    resampled = alarms(found[chosen], thresholds, confirm).mean(axis=0)
    seen = alarms(found[None], thresholds, confirm)[0]  # where stretches meet, runs are torn
    expected = np.maximum(resampled, seen)
    return tuple((round(float(one), 3), float(f"{level:.5g}")) for one, level in zip(expected, thresholds, strict=True))


def alarms(found: Floats, thresholds: Floats, confirm: int) -> NDArray[np.int64]:
    """Alarms per run and threshold, shape (runs, thresholds), of statistics of shape (runs, windows)."""
    above, below, opened, count = (np.zeros((len(found), len(thresholds)), dtype=np.int64) for _ in range(4))
    for window in found.T:
        high = window[:, None] > thresholds
        above, below = np.where(high, above + 1, 0), np.where(high, 0, below + 1)
        opens, closes = (opened == 0) & (above >= confirm), (opened == 1) & (below >= confirm)
        count += opens
        opened = np.where(opens, 1, np.where(closes, 0, opened))
    return count


def threshold(known: Sequence[tuple[float, float]], allowed: float) -> float:
    """The lowest threshold with at most `allowed` alarms in the span of the reference; the largest value if none.

    Far below, episodes flow together and alarms grow few again: the way down ends at the first with too many.

    One alarm is added to those that the reference itself shows: above the largest of N values the next one comes with
    chance 1 / (N + 1), and not never (Vovk et al. 2005, on conformal p-values).
    """
    fitting = [level for _, level in takewhile(lambda one: one[0] + 1 <= allowed, known)]
    return fitting[-1] if fitting else known[0][1]


def _levels(found: Floats) -> Floats:
    """The largest values of the statistic: each of the first ones, then ever fewer, down to the upper quarter."""
    ordered = np.sort(found)[::-1]
    last = max(1, len(ordered) // 4)
    places = np.unique(np.round(np.geomspace(1, last, LEVELS)).astype(np.int64)) - 1
    return np.asarray(ordered[places], dtype=np.float64)


def _stretches(windows: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """Places of windows, shape (RESAMPLES, windows): stretches of about the square root of their number."""
    length = min(windows, max(LEAST_STRETCH, round(windows**0.5)))
    starts = chance.integers(0, windows, size=(RESAMPLES, -(-windows // length)))
    places = (starts[:, :, None] + np.arange(length)) % windows
    return places.reshape(RESAMPLES, -1)[:, :windows]
