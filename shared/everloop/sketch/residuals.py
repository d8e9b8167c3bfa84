"""Residuals of a regression as exact sums: integers, so that merging is associative to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from everloop.sketch.reading import count, written

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
UNITS: Final = 2**20
"""A residual is a whole number of `scale` / 2^20: about a millionth of the reference deviation of the score."""
LARGEST: Final = 2**30
"""Residuals are cut at 1,024 deviations: one row of nonsense must not be all that a sum says."""
_LIMB: Final = 20
_LIMBS: Final = 3
_MOST_ROWS: Final = 2**22  # of products below 2^40 in 63 bits


@dataclass(frozen=True, slots=True)
class Residuals:
    """Sums over `rows` of |r|, r^2 and r^4, r in units; `clipped` rows were cut to the largest unit.

    Python's integers: r^4 has up to 120 bits a row. Rounding to units moves RMSE and MAE by at most scale / 2^21.
    """

    rows: int = 0
    absolute: int = 0
    squares: int = 0
    fourths: int = 0
    clipped: int = 0

    @classmethod
    def observe(cls, units: Integers) -> Residuals:
        """Sum residuals in units, as `in_units` gives them; shape (n,)."""
        absolute = int(units.sum())
        clipped = int(np.count_nonzero(units == LARGEST))
        return cls(units.size, absolute, sum_of_squares(units), sum_of_squares(units * units), clipped)

    def merge(self, other: Residuals, sign: int = 1) -> Residuals:
        """Add all sums; with the sign -1 take them away."""
        return Residuals(
            self.rows + sign * other.rows,
            self.absolute + sign * other.absolute,
            self.squares + sign * other.squares,
            self.fourths + sign * other.fourths,
            self.clipped + sign * other.clipped,
        )

    @property
    def sound(self) -> bool:
        """Whether no sum is below zero."""
        return min(self.rows, self.absolute, self.squares, self.fourths, self.clipped) >= 0

    def to_plain(self) -> dict[str, Any]:
        """Give the sums; those that may leave 64 bits as text."""
        sums = {"absolute": str(self.absolute), "squares": str(self.squares), "fourths": str(self.fourths)}
        return {"rows": self.rows, **sums, "clipped": self.clipped}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], *, signed: bool = False) -> Residuals:
        """Read `to_plain`, where `signed` also differences; raises `KeyError`, `TypeError` or `ValueError`."""
        rows, clipped = (count(plain[name], signed=signed) for name in ("rows", "clipped"))
        names = ("absolute", "squares", "fourths")
        absolute, squares, fourths = (written(plain[name], signed=signed) for name in names)
        return cls(rows, absolute, squares, fourths, clipped)


def in_units(scores: Floats, labels: Floats, scale: float) -> Integers:
    """Absolute residuals of finite scores and labels in units, cut at the largest; shapes (n,), (n,) and (n,)."""
    with np.errstate(over="ignore"):
        units = np.rint(np.abs(labels - scores) / scale * UNITS)
    return np.minimum(units, LARGEST).astype(np.int64)


def sum_of_squares(values: Integers) -> int:
    """Sum of squares of values below 2^60, exact: by limbs of 20 bits, whose products fit into 64 bits."""
    if values.size > _MOST_ROWS:
        return sum_of_squares(values[:_MOST_ROWS]) + sum_of_squares(values[_MOST_ROWS:])
    limbs = [(values >> (_LIMB * place)) & (2**_LIMB - 1) for place in range(_LIMBS + 1)]
    return sum(int(one @ two) << (_LIMB * (i + j)) for i, one in enumerate(limbs) for j, two in enumerate(limbs))
