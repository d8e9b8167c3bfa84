"""How much worse a metric is than in the reference, at least: a bound that holds far out and with few rows. Pure.

The limits of both sides are put together as for any difference (MOVER, Zou and Donner 2008): its lower limit is the
difference less the root of the squared distances of each side to its own limit. A side's limit is the farther one of
two: on the metric's own scale, and on the scale on which its error depends on it least (log odds of an area under the
curve, Pepe 2003; the logarithm of a root mean square error). With few rows an error is itself uncertain: quantiles are
Student's, of a binary model by the rows of its rarer class.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy import special


class Side(NamedTuple):
    """A metric, its standard error, and the rows that its error follows from."""

    value: float
    error: float
    rows: int

    def reach(self, chance: float) -> float:
        """So many standard errors lie between the value and its one-sided limit that fails with this chance."""
        return float(special.stdtrit(max(1, self.rows - 1), 1 - chance)) * self.error


def fall_of_area(then: Side, now: Side, chance: float) -> float:
    """Lower limit of how much an area under the curve has fallen, one-sided."""
    return then.value - now.value - math.hypot(_below(then, chance), _below(_mirrored(now), chance))


def rise_of_error(then: Side, now: Side, chance: float) -> float:
    """Lower limit of how much a root mean square error has risen, one-sided."""
    reach = then.reach(chance)
    above = then.value * math.expm1(reach / then.value) if then.value else reach
    return now.value - then.value - math.hypot(above, now.reach(chance))


def _mirrored(side: Side) -> Side:
    """The area that the negatives have over the positives: its lower limit is the upper one of the other."""
    return side._replace(value=1 - side.value)


def _below(side: Side, chance: float) -> float:
    """How far below its value the lower limit of an area is.

    Where the classes do not overlap there is no error: the limit is Wilson's, as if the rows were so many trials.
    """
    value, reach = side.value, side.reach(chance)
    if value >= 1:
        square = special.ndtri(1 - chance) ** 2
        return float(square / (side.rows + square))
    odds = value * math.exp(-reach / (value * (1 - value))) if value > 0 else 0.0
    return max(reach, value - odds / (1 - value + odds))
