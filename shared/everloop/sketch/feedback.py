"""Feedback of one name: how many rows brought something, and how much, per hash bucket of the entity; in integers.

A value counts in millionths. A row that was corrected counts once, with its last value: what it takes the place of is
subtracted again, which is exact, since every sum is linear in whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from everloop.errors import InvalidError
from everloop.events import LARGEST_FEEDBACK
from everloop.sketch.arms import BUCKETS
from everloop.sketch.delays import DELAY_BINS, UPPERS, count_delays, delays_from_plain, delays_to_plain
from everloop.sketch.reading import integers, place

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
MILLIONTHS: Final = 10**6
_SHIFT: Final = 30
_MASK: Final = 2**_SHIFT - 1
_MOST_UNITS: Final = round(LARGEST_FEEDBACK) * MILLIONTHS  # below 2^60: both halves of a sum hold 2^33 rows of it
_MALFORMED: Final = "feedback is counts of rows and sums of values in integers, by bucket"


def _no_cells() -> Integers:
    return np.zeros((3, BUCKETS), dtype=np.int64)


def _no_delays() -> Integers:
    return np.zeros(DELAY_BINS, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Brought:
    """What rows of one version and arm have brought under one name.

    Shape of `cells`: (3, 256), per bucket rows, and the sum of values in two halves (`high` x 2^30 + `low`). `ages` and
    `late` (`DELAY_BINS`,) count rows by the age of their first value: of those in the cells, and of rows of older
    slices, whose values came behind the closing of their windows and are in no cells.
    """

    cells: Integers = field(default_factory=_no_cells)
    ages: Integers = field(default_factory=_no_delays)
    late: Integers = field(default_factory=_no_delays)

    @classmethod
    def observe(cls, buckets: Integers, values: Floats, before: Floats, ages_ms: Integers) -> Brought:
        """Count rows given as arrays of equal length (n,); `before` is NaN where a row has its first value."""
        made, first = cls(), np.isnan(before)
        places = np.asarray(buckets, dtype=np.intp)
        _add(made.cells, places, values, 1)
        _add(made.cells, places[~first], before[~first], -1)
        made.ages[:] = count_delays(np.asarray(ages_ms, dtype=np.int64)[first])
        return made

    @classmethod
    def too_late(cls, before: Floats, ages_ms: Integers) -> Brought:
        """Rows that came behind the closing of their slice, by their ages; of corrections nothing is said."""
        made = cls()
        made.late[:] = count_delays(np.asarray(ages_ms, dtype=np.int64)[np.isnan(before)])
        return made

    @property
    def rows(self) -> int:
        """Rows that brought something."""
        return int(self.cells[0].sum())

    @property
    def sums(self) -> tuple[int, ...]:
        """The sum of values of each bucket, in millionths."""
        return tuple((high << _SHIFT) + low for high, low in zip(*self.cells[1:].tolist(), strict=True))

    def merge(self, other: Brought) -> Brought:
        """Add all counts and sums."""
        return Brought(self.cells + other.cells, self.ages + other.ages, self.late + other.late)

    def age_ms(self, share: float) -> int | None:
        """Age of the first value that this share of rows does not exceed, to an eighth; None without rows."""
        rows = int(self.ages.sum())
        if not rows:
            return None
        return int(UPPERS[np.argmax(np.cumsum(self.ages) >= max(1, math.ceil(share * rows)))])

    def __eq__(self, other: object) -> bool:
        """Equal counts and sums."""
        return isinstance(other, Brought) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.to_json())

    def to_plain(self) -> dict[str, Any]:
        """Give JSON values, empty buckets and bins left out: `{bucket: [rows, high, low]}`."""
        filled = np.flatnonzero(self.cells.any(axis=0))
        cells = {str(bucket): self.cells[:, bucket].tolist() for bucket in filled.tolist()}
        return {"buckets": cells, "delays": delays_to_plain(self.ages), "late": delays_to_plain(self.late)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Brought:
        """Read `to_plain`; raises `InvalidError` (`malformed`) for anything else."""
        made = cls()
        try:
            for text, cell in plain["buckets"].items():
                made.cells[:, place(text, BUCKETS)] = integers(cell, 3)
            made.ages[:], made.late[:] = delays_from_plain(plain["delays"]), delays_from_plain(plain["late"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidError("malformed", _MALFORMED) from error
        return made

    def to_json(self) -> bytes:
        """Give canonical bytes: equal counts have equal bytes."""
        return orjson.dumps(self.to_plain(), option=orjson.OPT_SORT_KEYS)


def _add(cells: Integers, places: NDArray[np.intp], values: Floats, sign: int) -> None:
    """Round each value to millionths, then add: integer sums do not depend on the order."""
    units = np.clip(np.rint(values * MILLIONTHS), -_MOST_UNITS, _MOST_UNITS).astype(np.int64)
    for row, column in enumerate((np.ones_like(units), units >> _SHIFT, units & _MASK)):
        np.add.at(cells[row], places, sign * column)
