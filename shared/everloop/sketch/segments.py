"""The rows of one sketch counted once more, by the values of declared columns. Integers, merged in any order.

Every row is in exactly one segment of each column: the counts of a column's segments add up to those of all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from everloop.errors import InvalidError
from everloop.sketch.reading import integers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everloop.sketch.layout import Layout

_LOW: Final = (1 << 32) - 1


class Marks(NamedTuple):
    """Where rows on their way into a sketch belong: `numbers` are their segments, shape (declared columns, rows).

    `codes` are the cells of their categories in each of those, in no order.
    """

    numbers: NDArray[np.uint32]
    codes: NDArray[np.int64]

    @staticmethod
    def joined(parts: Sequence[Marks]) -> Marks | None:
        """Many as one; None of none."""
        if not parts:
            return None
        return Marks(
            np.concatenate([part.numbers for part in parts], axis=1), np.concatenate([part.codes for part in parts])
        )


class Segments:
    """Counts that grow in place; columns stand in the order of the layout, segments in that of its splits.

    Shapes: `rows` (segments,); `cells` (segments, cells + columns): the layout's cells, then per column what is in
    none; `first` and `second` as in `Inputs`, with segments before the columns.
    """

    __slots__ = ("cells", "first", "layout", "rows", "second")

    def __init__(self, layout: Layout) -> None:
        """Nothing has been counted."""
        many, numbers = layout.splits[-1].other + 1 if layout.splits else 0, len(layout.numeric) + 1
        self.layout = layout
        self.rows: NDArray[np.int64] = np.zeros(many, dtype=np.int64)
        self.cells: NDArray[np.int64] = np.zeros((many, layout.cells + layout.columns), dtype=np.int64)
        self.first: NDArray[np.int64] = np.zeros((many, numbers), dtype=np.int64)
        self.second: NDArray[np.int64] = np.zeros((2, many, numbers), dtype=np.int64)

    def mark(self, features: Mapping[str, object], rows: int, codes: NDArray[np.uint32] | None) -> Marks:
        """Tell the rows of one record apart; `codes` are the cells of its categories, a column after the other."""
        numbers = np.stack([split.of(features.get(split.name), rows) for split in self.layout.splits])
        if codes is None or codes.size != len(self.layout.categorical) * rows:
            return Marks(numbers, np.empty(0, dtype=np.int64))  # a column is not there: only records as the profile are
        lost = self.layout.cells + (codes.astype(np.int64) - self.layout.cells) % self.layout.columns
        cells = np.where(codes < self.layout.cells, codes, lost).reshape(-1, rows)
        return Marks(numbers, (numbers[:, None].astype(np.int64) * self.cells.shape[1] + cells).ravel())

    def add(self, marks: Marks) -> None:
        """Count rows, and their categories."""
        self.rows += np.bincount(marks.numbers.ravel(), minlength=self.rows.size)
        self._count(marks.codes)

    def bin(self, places: NDArray[np.integer], steps: NDArray[np.float64], numbers: NDArray[np.uint32]) -> None:
        """Count the numbers of rows: the cell of each, shape (numeric + 1, rows), and its steps from the mean.

        So many rows that float64 adds the squares of their steps exactly, as in `Inputs`.
        """
        columns, width = np.arange(len(places))[:, None], self.first.shape[1]
        cells = np.where(places < self.layout.cells, places, self.layout.cells + columns)
        squares = steps * steps
        for one in numbers.astype(np.int64):
            self._count((one * self.cells.shape[1] + cells).ravel())
            at = (one * width + columns).ravel()
            self.first += self._sums(at, steps)
            found = self._sums(at, squares)
            self.second[0] += found & _LOW
            self.second[1] += found >> 32

    def merge(self, other: Segments) -> None:
        """Add what another one of the same layout has counted. Raises `InvalidError` (`shape`) for other segments."""
        if self.cells.shape != other.cells.shape:
            raise InvalidError("shape", "two sketches have different segments: merge one version's sketches only")
        for name in ("rows", "cells", "first", "second"):
            getattr(self, name).__iadd__(getattr(other, name))

    def to_plain(self) -> dict[str, NDArray[np.int64]]:
        """Give integer arrays (`orjson.OPT_SERIALIZE_NUMPY`); equal counts have equal bytes.

        Most cells are empty: those that are not stand with their places.
        """
        flat = self.cells.ravel()
        places = np.flatnonzero(flat)
        low, high = self.second[0] & _LOW, self.second[1] + (self.second[0] >> 32)
        return {
            "rows": self.rows, "places": places, "counts": flat[places], "first": self.first.ravel(),
            "second": np.concatenate([low.ravel(), high.ravel()]),
        }  # fmt: skip

    @classmethod
    def from_plain(cls, layout: Layout, plain: Mapping[str, Any]) -> Segments:
        """Read `to_plain`. Raises what `Inputs.from_plain` turns into its one error."""
        made = cls(layout)
        made.rows += integers(plain["rows"], made.rows.size)
        places, counts = _whole(plain["places"]), _whole(plain["counts"])
        if places.size and not 0 <= int(places.min()) <= int(places.max()) < made.cells.size:
            raise ValueError("places")
        if places.size != counts.size:
            raise ValueError("counts")
        made.cells.ravel()[places] = counts
        made.first += integers(plain["first"], made.first.size).reshape(made.first.shape)
        made.second += integers(plain["second"], made.second.size).reshape(made.second.shape)
        return made

    def moments(self, segment: int, place: int) -> tuple[float, float] | None:
        """As `Inputs.moments`, of one segment."""
        count = int(self.cells[segment, self.layout.span(place)].sum())
        second = int(self.second[0, segment, place]) + (int(self.second[1, segment, place]) << 32)
        return self.layout.moments(place, count, int(self.first[segment, place]), second)

    def _count(self, places: NDArray[np.int64]) -> None:
        self.cells += np.bincount(places, minlength=self.cells.size).reshape(self.cells.shape)

    def _sums(self, at: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
        sums = np.bincount(at, values.ravel(), self.first.size).astype(np.int64)
        return sums.reshape(self.first.shape)


def _whole(values: object) -> NDArray[np.int64]:
    """A list of integers, which may be empty."""
    return integers(values) if values != [] else np.empty(0, dtype=np.int64)
