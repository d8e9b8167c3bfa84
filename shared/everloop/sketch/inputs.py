"""Counts and moments of scored rows of one (version, arm, schema, slice) on the bins of its version's profile.

Integers only, so that merging is associative and commutative to the bit. Bad data is counted, never raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from everloop.errors import InvalidError
from everloop.profile.cells import ABSENT, MALFORMED, MISSING, NONFINITE
from everloop.sketch.layout import LOST
from everloop.sketch.numbers import packed
from everloop.sketch.reading import integers
from everloop.sketch.segments import Marks, Segments
from everloop.sketch.words import are_quoted, words_of

if TYPE_CHECKING:
    from everloop.listed import Quoted
    from everloop.sketch.layout import Layout
    from everloop.sketch.words import Words

    Block = NDArray[np.float64]
    Integers = NDArray[np.integer[Any]]

MOST_STEPS: Final = float(1 << 20)
"""Where moments are cut off: 1,024 deviations of the reference on either side of its mean."""
MOST_ROWS: Final = 8_192
"""Rows at a time: sums of their squared steps are below 2^53, so float64 adds them exactly."""
_LOW: Final = (1 << 32) - 1
_INT32: Final = np.iinfo(np.int32).max


class Prepared(NamedTuple):
    """Rows on their way into a sketch. Shapes: `block` (numeric + 1, rows), or (1, rows) of a shadow; `codes` (any,).

    The last of the block are the scores; NaN is no value. `codes` are cells, in no order; None: a shadow. `marks` say
    which segments the rows belong to, where that is counted.
    """

    block: NDArray[np.float64]
    codes: NDArray[np.uint32] | None
    marks: Marks | None = None

    @staticmethod
    def joined(parts: Sequence[Prepared]) -> Prepared:
        """Many as one; all of them, or none, of shadows."""
        if len(parts) == 1:
            return parts[0]
        codes = [part.codes for part in parts if part.codes is not None]
        return Prepared(
            np.concatenate([part.block for part in parts], axis=1), np.concatenate(codes) if codes else None,
            Marks.joined([part.marks for part in parts if part.marks is not None]),
        )  # fmt: skip


class Inputs:
    """Counts that grow in place. Columns stand in the order of the layout: numeric, score, categorical.

    Shapes: `cells` (layout.cells,), `lost` (4, columns), `first` (numeric + 1,): steps from the reference's mean,
    summed; `second` (2, numeric + 1): their squares, summed, in 32 low bits and the rest. `segments` are the same rows
    counted by the values of declared columns, where that was asked for.
    """

    __slots__ = ("cells", "first", "layout", "lost", "rows", "second", "segments")

    def __init__(self, layout: Layout, *, segmented: bool = False) -> None:
        """Nothing has been counted."""
        self.segments = Segments(layout) if segmented else None
        numbers = len(layout.numeric) + 1
        self.layout = layout
        self.rows = 0
        self.cells: Integers = np.zeros(layout.cells, dtype=np.int32)
        self.lost: Integers = np.zeros((LOST, layout.columns), dtype=np.int32)
        self.first: NDArray[np.int64] = np.zeros(numbers, dtype=np.int64)
        self.second: NDArray[np.int64] = np.zeros((2, numbers), dtype=np.int64)

    def add(self, features: Mapping[str, object] | None, scores: object, rows: int) -> None:
        """Count `rows` rows given as columns; `features` is None for a shadow, of which only the scores are news.

        A column that is too short counts the rest as missing, one that is too long is cut. None as `scores`, or a
        feature that is not there, is absent.
        """
        self.count(self.prepare(features, scores, rows))

    def prepare(self, features: Mapping[str, object] | None, scores: object, rows: int) -> Prepared:
        """Make arrays of columns, to be counted with those of others; what is no number is counted at once."""
        self._make_room(rows)
        self.rows += rows
        last = len(self.layout.numeric)
        if features is None:
            columns, first, codes = [scores], last, None
        else:
            columns, first = [features.get(name) for name in self.layout.numeric], 0
            columns.append(scores)
            codes = self._codes(features, rows)
        block, malformed = packed(columns, rows, self.lost[ABSENT, first : last + 1])
        for place, count in malformed.items():  # they stand as NaN, and will be counted as missing
            self.lost[MALFORMED, first + place] += count
            self.lost[MISSING, first + place] -= count
        marks = None if self.segments is None or features is None else self.segments.mark(features, rows, codes)
        return Prepared(block, codes, marks)

    def count(self, prepared: Prepared) -> None:
        """Count what was prepared, by this or by another one of the same layout."""
        last, block = len(self.layout.numeric) + 1, prepared.block
        marks = None if self.segments is None else prepared.marks
        with np.errstate(over="ignore"):
            for start in range(0, block.shape[1], MOST_ROWS):
                part = slice(start, start + MOST_ROWS)
                self._bin(block[:, part], last - len(block), last, None if marks is None else marks.numbers[:, part])
        if self.segments is not None and marks is not None:
            self.segments.add(marks)
        if prepared.codes is not None:
            self._grow(np.bincount(prepared.codes, minlength=self.layout.cells + self.lost.size))

    def grow(self, found: Integers, first: NDArray[np.int64], squares: NDArray[np.int64]) -> None:
        """Add rows that were counted elsewhere: how many are in each cell and then lost, sums of steps and squares."""
        self._grow(found)
        self.first += first
        self._add_squares(squares, 0, len(squares))

    def _grow(self, found: Integers) -> None:
        cells = self.layout.cells
        self.cells += found[:cells]
        self.lost += found[cells : cells + self.lost.size].reshape(self.lost.shape)

    def _add_squares(self, squares: NDArray[np.int64], first: int, last: int) -> None:
        self.second[0, first:last] += squares & _LOW
        self.second[1, first:last] += squares >> 32

    def merge(self, other: Inputs) -> None:
        """Add what another one has counted. Raises `InvalidError` (`shape`) when its bins are not those of this one."""
        if self.cells.shape != other.cells.shape or self.lost.shape != other.lost.shape:
            raise InvalidError("shape", "two sketches have different bins: merge one version's sketches only")
        self._make_room(other.rows)
        self.rows += other.rows
        self.cells += other.cells
        self.lost += other.lost
        self.first += other.first
        self.second += other.second
        if other.segments is not None:
            self.segments = self.segments or Segments(self.layout)
            self.segments.merge(other.segments)

    def to_plain(self) -> dict[str, object]:
        """Give JSON values and integer arrays (`orjson.OPT_SERIALIZE_NUMPY`); equal counts have equal bytes."""
        low = self.second[0] & _LOW
        more = {} if self.segments is None else {"segments": self.segments.to_plain()}
        return {
            "rows": self.rows, "cells": self.cells, "lost": self.lost.ravel(), "first": self.first,
            "second": np.concatenate([low, self.second[1] + (self.second[0] >> 32)]), **more,
        }  # fmt: skip

    @classmethod
    def from_plain(cls, layout: Layout, plain: Mapping[str, Any]) -> Inputs:
        """Read `to_plain`; raises `InvalidError` (`malformed`) for anything else, and for other bins."""
        made = cls(layout)
        try:
            rows = plain["rows"]
            if type(rows) is not int or rows < 0:
                raise TypeError("rows")  # noqa: TRY301 -- one answer to all that is wrong
            made._make_room(rows)
            made.rows = rows
            made.cells += integers(plain["cells"], made.cells.size)
            made.lost += integers(plain["lost"], made.lost.size).reshape(made.lost.shape)
            made.first += integers(plain["first"], made.first.size)
            made.second += integers(plain["second"], made.second.size).reshape(made.second.shape)
            if "segments" in plain:
                made.segments = Segments.from_plain(layout, plain["segments"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InvalidError("malformed", "a sketch is rows, cells, lost, first and second, in integers") from error
        return made

    def counts(self, place: int) -> Integers:
        """Rows per bin of a column."""
        return self.cells[self.layout.span(place)]

    def moments(self, place: int) -> tuple[float, float] | None:
        """Mean and population deviation of the finite values of a numeric column or the score; None without them.

        Each value is rounded to a step, `STEPS` of which are the reference's deviation, and cut off at `MOST_STEPS`:
        where none is cut off, the mean is within half a step of that of the values, the deviation within one step.
        """
        first, second = int(self.first[place]), int(self.second[0, place]) + (int(self.second[1, place]) << 32)
        return self.layout.moments(place, int(self.counts(place).sum()), first, second)

    def _make_room(self, rows: int) -> None:
        """Count in 32 bits, half the memory, for as long as no count can overflow."""
        if self.cells.dtype == np.int32 and self.rows + rows > _INT32:
            self.cells, self.lost = self.cells.astype(np.int64), self.lost.astype(np.int64)

    def _codes(self, features: Mapping[str, object], rows: int) -> NDArray[np.uint32]:
        """The cells of all categorical columns, one after the other."""
        columns = [features.get(name) for name in self.layout.categorical]
        if are_quoted(columns, rows) and (words := words_of(self.layout)) is not None:
            return self._looked_up(words, columns)
        parts, first = [], len(self.layout.numeric) + 1
        for place, (column, codes) in enumerate(zip(columns, self.layout.codes, strict=True), first):
            if column is None:
                self.lost[ABSENT, place] += rows
            parts.append(codes.encode(column, rows))
        return np.frombuffer(b"".join(parts), dtype=np.uint32)

    def _looked_up(self, words: Words, columns: Sequence[Quoted]) -> NDArray[np.uint32]:
        """The same of all at once; texts that are not among the categories are looked at by themselves, each once."""
        cells, known = words.find(columns)
        for place in np.flatnonzero(~known.all(axis=1)).tolist():
            unknown = np.flatnonzero(~known[place])
            texts = columns[place].take(unknown)
            found = {text: self.layout.codes[place][text] for text in {*texts}}
            cells[place, unknown] = [found[text] for text in texts]
        return cells.ravel()

    def _bin(self, block: Block, first: int, last: int, numbers: NDArray[np.uint32] | None) -> None:
        layout = self.layout
        finite = np.isfinite(block)
        whole = bool(finite.all())
        if not whole:
            nothing, lost = np.isnan(block).sum(axis=1), self.lost[:, first:last]
            lost[MISSING] += nothing
            lost[NONFINITE] += (~finite).sum(axis=1) - nothing
            block = np.where(finite, block, 0.0)
        places: Integers = layout.grid.bins(block, first, last)
        if not whole:
            places = places.astype(np.intp)  # one cell more than there are bins may be one too many for fewer bits
            places[~finite] = layout.cells
        self.cells += np.bincount(places.ravel(), minlength=layout.cells + 1)[: layout.cells]
        steps = self._sum(block, None if whole else finite, first, last)
        if self.segments is not None and numbers is not None:
            self.segments.bin(places, steps, numbers)

    def _sum(self, block: Block, finite: NDArray[np.bool_] | None, first: int, last: int) -> Block:
        steps, squares = steps_of(block, self.layout.center[first:last], self.layout.per_step[first:last], finite)
        self.first[first:last] += steps.sum(axis=1).astype(np.int64)
        self._add_squares(squares.astype(np.int64), first, last)
        return steps


def steps_of(
    block: Block, center: Block, per_step: Block, finite: NDArray[np.bool_] | None
) -> tuple[Block, NDArray[np.float64]]:
    """Whole steps of each value from its center, cut off at `MOST_STEPS`, and the sum of their squares per column.

    Zero where a value is not `finite`; None: all are.
    """
    steps = block - center
    steps *= per_step
    np.rint(steps, out=steps)
    if finite is not None:
        steps[~finite] = 0.0
    squares = np.vecdot(steps, steps)
    if not squares.max(initial=0.0) <= MOST_STEPS * MOST_STEPS:  # else no step of them is larger than the most
        np.minimum(steps, MOST_STEPS, out=steps)
        np.maximum(steps, -MOST_STEPS, out=steps)
        squares = np.vecdot(steps, steps)
    return steps, squares
