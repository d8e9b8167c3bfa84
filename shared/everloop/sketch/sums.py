"""Sums per hash bucket that grow in place: what a rollout is judged on, as long as rows still come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from everloop.errors import InvalidError
from everloop.sketch.arms import BUCKETS, MEASURES, ArmSums
from everloop.sketch.reading import integers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Buckets = NDArray[np.integer[Any]]

_LIMIT: Final = 1e12
"""Largest amount of a unit that one row adds: millions of rows of nonsense cannot overflow 64 bits."""
_MOST_ROWS: Final = 8_192
"""Rows at a time: float64 adds so many of the largest amounts exactly (below 2^53)."""
_UNSCORED: Final = "unscored"
_KNOWN: Final = frozenset({*MEASURES, _UNSCORED} - {"scored"})


class Sums:
    """One array of 256 per measure that occurs. Of scored rows those without a score are counted: mostly none.

    `width`: those of several sketches side by side, see `together`.
    """

    __slots__ = ("measures", "width")

    def __init__(self, width: int = BUCKETS) -> None:
        """Nothing has been summed."""
        self.measures: dict[str, NDArray[np.int64]] = {}
        self.width = width

    def add(
        self,
        buckets: Buckets,
        *,
        errors: NDArray[np.bool_] | None = None,
        latency_ms: Floats | None = None,
        score: Floats | None = None,
        loss: Floats | None = None,
    ) -> None:
        """Sum rows given as columns of equal length; what is not finite is not counted as measured."""
        for start in range(0, len(buckets), _MOST_ROWS):
            part = slice(start, start + _MOST_ROWS)
            places = np.asarray(buckets[part], dtype=np.intp)
            self._count("rows", places)
            if errors is not None:
                self._count("errors", places[errors[part]])
            if latency_ms is not None:
                self._sum("latency_us", places, latency_ms[part], 1e3)
            self._count(_UNSCORED, places if score is None else places[~np.isfinite(score[part])])
            if score is not None:
                self._sum("score_e6", places, score[part], 1e6)
            if loss is not None:
                self._count("labelled", places[np.isfinite(loss[part])])
                self._sum("loss_e6", places, loss[part], 1e6)

    def merge(self, other: Sums, sign: int = 1) -> None:
        """Add bucket by bucket; with the sign -1 take away."""
        for name, sums in other.measures.items():
            self.grow(name, sign * sums)

    def grow(self, name: str, amounts: NDArray[np.int64]) -> None:
        """Add what was summed elsewhere, bucket by bucket."""
        self._of(name).__iadd__(amounts)

    def arm_sums(self) -> ArmSums:
        """As the value that a window carries."""
        made = ArmSums.empty()
        for place, name in enumerate(MEASURES):
            made.cells[place] = self.measures.get(name, 0)
        made.scored[:] = made.rows - self.measures.get(_UNSCORED, 0)
        return made

    def to_plain(self) -> dict[str, NDArray[np.int64]]:
        """Give an integer array per measure that occurs, in order of name: equal sums have equal bytes."""
        return dict(sorted(self.measures.items()))

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Sums:
        """Read `to_plain`; raises `InvalidError` (`malformed`) for anything else."""
        made = cls()
        try:
            for name, sums in plain.items():
                if name not in _KNOWN:
                    raise ValueError(name)  # noqa: TRY301 -- one answer to all that is wrong
                made._of(name)[:] = integers(sums, BUCKETS)
        except (TypeError, ValueError, AttributeError) as error:
            message = f"sums are lists of {BUCKETS} integers by measure: {', '.join(sorted(_KNOWN))}"
            raise InvalidError("malformed", message) from error
        return made

    def _of(self, name: str) -> NDArray[np.int64]:
        found = self.measures.get(name)
        if found is None:
            found = self.measures[name] = np.zeros(self.width, dtype=np.int64)
        return found

    def _count(self, name: str, places: NDArray[np.intp]) -> None:
        if places.size:
            self.grow(name, np.bincount(places, minlength=self.width))

    def _sum(self, name: str, places: NDArray[np.intp], values: Floats, scale: float) -> None:
        """Round each row to an integer, then add: integer sums do not depend on the order."""
        finite = np.isfinite(values)
        if not finite.all():
            places, values = places[finite], values[finite]
        with np.errstate(over="ignore"):
            units = np.rint(values * scale)
        np.minimum(units, _LIMIT, out=units)
        np.maximum(units, -_LIMIT, out=units)
        self.grow(name, np.bincount(places, weights=units, minlength=self.width).astype(np.int64))
