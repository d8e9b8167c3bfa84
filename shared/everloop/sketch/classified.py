"""Scores of a binary model by outcome: integers from which quality and its intervals follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from everloop.sketch.reading import count, integers, place

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
GRID: Final = 1000
"""Equal bins of [0, 1] for scores."""
CALIBRATION_BINS: Final = 10
"""Equal bins of [0, 1] for the calibration error."""
CUT: Final = 0.5
"""From here on a score is a yes."""
_MICRO: Final = 1e6
_EPSILON: Final = 1e-15  # log loss is infinite at 0 and 1


def _grid() -> Integers:
    return np.zeros(GRID, dtype=np.int64)


def _calibration() -> Integers:
    return np.zeros((2, CALIBRATION_BINS), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreCounts:
    """Shapes: `positives`, `negatives` (1000), equal bins of [0, 1]; `calibration` (2, 10), sums of scores and losses.

    Everything but rows is in millionths. `log_loss_squares` and `brier_squares` sum the squares of each row's loss, for
    intervals. The largest squared log loss is 1.2e9 millionths, so that 64 bits hold 7e9 rows of the worst kind.
    """

    positives: Integers = field(default_factory=_grid)
    negatives: Integers = field(default_factory=_grid)
    calibration: Integers = field(default_factory=_calibration)
    log_loss: int = 0
    log_loss_squares: int = 0
    brier_squares: int = 0

    @property
    def rows(self) -> int:
        """Labelled rows."""
        return int(self.positives.sum() + self.negatives.sum())

    @property
    def brier(self) -> int:
        """Sum of squared errors, in millionths."""
        return int(self.calibration[1].sum())

    @classmethod
    def observe(cls, scores: Floats, labels: Floats) -> ScoreCounts:
        """Count scores in [0, 1] by labels 0 and 1; shapes (n,) and (n,)."""
        places = np.minimum(scores * GRID, GRID - 1).astype(np.int64)
        wrong = np.abs(labels - scores)
        log_loss = -np.log(np.maximum(np.where(labels == 1, scores, 1 - scores), _EPSILON))
        return cls(
            positives=np.bincount(places[labels == 1], minlength=GRID).astype(np.int64),
            negatives=np.bincount(places[labels == 0], minlength=GRID).astype(np.int64),
            calibration=_by_bin(places // (GRID // CALIBRATION_BINS), scores, brier(scores, labels)),
            log_loss=_total(log_loss),
            log_loss_squares=_total(log_loss**2),
            brier_squares=_total(wrong**4),
        )

    def merge(self, other: ScoreCounts, sign: int = 1) -> ScoreCounts:
        """Add all counts and sums; with the sign -1 take them away, which is exact: each is linear in whole numbers."""
        return ScoreCounts(
            self.positives + sign * other.positives,
            self.negatives + sign * other.negatives,
            self.calibration + sign * other.calibration,
            self.log_loss + sign * other.log_loss,
            self.log_loss_squares + sign * other.log_loss_squares,
            self.brier_squares + sign * other.brier_squares,
        )

    @property
    def sound(self) -> bool:
        """Whether no count is below zero."""
        return min(int(self.positives.min()), int(self.negatives.min())) >= 0

    def to_plain(self) -> dict[str, Any]:
        """Give the sums, and the non-empty bins as `{bin: [positives, negatives]}` and `{bin: [score, brier]}`."""
        return {
            "bins": _filled(np.stack([self.positives, self.negatives])),
            "calibration": _filled(self.calibration),
            "log_loss_e6": self.log_loss,
            "log_loss_squares_e6": self.log_loss_squares,
            "brier_squares_e6": self.brier_squares,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], *, signed: bool = False) -> ScoreCounts:
        """Read `to_plain`, where `signed` also differences.

        Raises `KeyError`, `TypeError`, `ValueError` or `AttributeError` for anything else.
        """
        bins = _read(plain["bins"], GRID, signed=signed)
        names = ("log_loss_e6", "log_loss_squares_e6", "brier_squares_e6")
        sums = [count(plain[name], signed=signed) for name in names]
        return cls(bins[0], bins[1], _read(plain["calibration"], CALIBRATION_BINS, signed=signed), *sums)


def brier(scores: Floats, labels: Floats) -> Integers:
    """Squared error of each row in millionths, shape (n,)."""
    return np.rint((labels - scores) ** 2 * _MICRO).astype(np.int64)


def _by_bin(bins: Integers, scores: Floats, losses: Integers) -> Integers:
    """Sum by bin. `bincount` adds in float64, which is exact here: 2^53 is nine billion rows of a million."""
    parts = (np.rint(scores * _MICRO), losses)
    return np.stack([np.bincount(bins, part, CALIBRATION_BINS) for part in parts]).astype(np.int64)


def _total(values: Floats) -> int:
    """Round each row to millionths, then add: integer sums do not depend on the order."""
    return int(np.rint(values * _MICRO).astype(np.int64).sum())


def _filled(pairs: Integers) -> dict[str, list[int]]:
    return {str(one): pairs[:, one].tolist() for one in np.flatnonzero(pairs.any(axis=0))}


def _read(plain: Mapping[str, Any], size: int, *, signed: bool) -> Integers:
    pairs = np.zeros((2, size), dtype=np.int64)
    for text, pair in plain.items():
        pairs[:, place(text, size)] = integers(pair, len(pairs))
    if not signed and (pairs < 0).any():
        raise ValueError("a count is negative")
    return pairs
