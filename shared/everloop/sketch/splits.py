"""Which segment the rows of a record belong to, by the values of one declared column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from everloop.profile.cells import MALFORMED
from everloop.sketch.numbers import packed
from everloop.sketch.texts import Codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everloop.profile.values import Segmentation

_KINDS = MALFORMED + 1


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The segments of one column are numbered from `first` on, `other` last. `numbers` are None for texts.

    Shapes: `numbers` (values,), ascending, and `places` (values,), the segment of each.
    """

    name: str
    first: int
    other: int
    codes: Codes
    numbers: NDArray[np.float64] | None
    places: NDArray[np.uint32]

    def of(self, column: object, rows: int) -> NDArray[np.uint32]:
        """The segment of each row, shape (rows,); whatever is no value of the reference is `other`."""
        if self.numbers is None:
            return np.frombuffer(self.codes.encode(column, rows), dtype=np.uint32)
        block, _ = packed([column], rows, np.zeros(1, dtype=np.int64))
        at = np.minimum(np.searchsorted(self.numbers, block[0]), len(self.numbers) - 1)
        return np.where(self.numbers[at] == block[0], self.places[at], np.uint32(self.other))


def splits_of(segmentations: Sequence[Segmentation]) -> tuple[Split, ...]:
    """Number the segments of all columns, one column after the other."""
    firsts = np.cumsum([0, *(len(one.rows) for one in segmentations)]).tolist()
    return tuple(_split(one, first) for one, first in zip(segmentations, firsts, strict=False))


def _split(one: Segmentation, first: int) -> Split:
    other = first + len(one.values)
    codes = Codes(one.values, first, [other] * _KINDS)
    if one.kind != "numeric" or not one.values:
        return Split(one.column, first, other, codes, None, np.empty(0, dtype=np.uint32))
    numbers = np.array([float(value) for value in one.values])
    order = np.argsort(numbers)
    return Split(one.column, first, other, codes, numbers[order], (first + order).astype(np.uint32))
