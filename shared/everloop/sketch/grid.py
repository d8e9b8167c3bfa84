"""Find the bins of many numbers in many columns at once: a table per column, then a comparison with the next edge.

A binary search mispredicts its branches: about 30 ns per number on 64 edges. A table takes one multiplication and one
look-up, and is exact: the place of a number in the table grows with the number, so edges in lower places are at or
below it, edges in higher places are above it, and those in its own place are compared, one per pass. A column with
too many edges in one place (a long tail) is searched after all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Places = NDArray[np.integer]
    Bins = NDArray[np.unsignedinteger]

PLACES: Final = 512
"""Places of one column's table: 1 kB of 16-bit numbers."""
MOST_PASSES: Final = 2
"""Edges that may share a place."""
_MOST_BINS: Final = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Tables of K columns. The bins of all columns are numbered through, column after column.

    `edges` are the edges of all columns, each column's followed by infinity, so that bin and edge have one number.
    `deep` are, for each pass after the first, the columns that need it. Shapes: `low`, `scale`, `row` (K, 1); `table`
    (K x PLACES,); `edges` and `bounds[-1]` the number of bins.
    """

    bounds: tuple[int, ...]
    edges: Floats
    low: Floats
    scale: Floats
    row: NDArray[np.int32]
    table: Bins
    deep: tuple[NDArray[np.intp], ...]
    searched: tuple[int, ...]

    @classmethod
    def of(cls, columns: Sequence[Sequence[float]]) -> Grid:
        """Build the tables for the edges of each column: ascending, finite, as in `ColumnProfile`."""
        bounds = np.concatenate([[0], np.cumsum([len(edges) + 1 for edges in columns], dtype=np.intp)])
        table: NDArray[np.unsignedinteger] = np.empty(
            len(columns) * PLACES, dtype=np.uint16 if bounds[-1] <= _MOST_BINS else np.uint32
        )
        low, scale = np.zeros((2, len(columns), 1))
        passes, searched = np.zeros(len(columns), np.intp), []
        for number, column in enumerate(columns):
            cuts = np.asarray(column, dtype=np.float64)
            low[number], scale[number], below, shared = _tabled(cuts)
            table[number * PLACES : (number + 1) * PLACES] = bounds[number] + below
            if shared > MOST_PASSES:
                searched.append(number)
            else:
                passes[number] = shared
        edges = np.concatenate([[*column, np.inf] for column in columns]) if columns else np.empty(0)
        row = np.arange(len(columns), dtype=np.int32)[:, None] * np.int32(PLACES)
        deep = tuple(np.flatnonzero(passes > one) for one in range(1, int(passes.max(initial=0))))
        return cls(tuple(map(int, bounds)), edges, low, scale, row, table, deep, tuple(searched))

    @property
    def passes(self) -> int:
        """How many each value needs at the most."""
        return 1 + len(self.deep)

    def bins(self, block: Floats, first: int, last: int) -> Bins:
        """Number the bin of each value of `block`, shape (columns `first` to `last`, rows); all must be finite.

        A difference may overflow, and is right then: the caller sees to it that this is no warning.

        Bin i of a column holds `edges[i-1] <= x < edges[i]`, as `numpy.searchsorted(edges, x, side="right")` says.
        """
        places = places_of(block, self.low[first:last], self.scale[first:last])
        places += self.row[first:last]
        found: Bins = self.table.take(places)
        found += block >= self.edges.take(found)
        for deep in self.deep:  # of a long tail, or whose largest edges are equal
            here = deep[(deep >= first) & (deep < last)] - first
            if here.size:
                some = found[here]
                some += block[here] >= self.edges.take(some)
                found[here] = some
        for number in self.searched:
            if first <= number < last:
                start, end = self.bounds[number : number + 2]
                cuts = self.edges[start : end - 1]
                found[number - first] = start + cuts.searchsorted(block[number - first], side="right")
        return found


def places_of(values: Floats, low: Floats | float, scale: Floats | float) -> NDArray[np.int32]:
    """Give the place of each value: the nearer to infinity, the further right, never out of the table."""
    scaled = values - low
    scaled *= scale
    np.maximum(scaled, 0.0, out=scaled)
    np.minimum(scaled, PLACES - 1.0, out=scaled)
    return scaled.astype(np.int32)  # which the processor does at once; not so 64 bits


def _tabled(cuts: Floats) -> tuple[float, float, Places, int]:
    """Choose the span of a table: where it starts, places per unit, edges below each place, most edges in one place.

    The outermost edges are the extremes of the reference; left out of the span they may leave more room for the others.
    """
    best: tuple[float, float, Places, int] = (0.0, 0.0, np.zeros(PLACES, dtype=np.intp), len(cuts))
    for trimmed in range(min(3, (len(cuts) + 1) // 2)):
        low, high = float(cuts[trimmed]), float(cuts[len(cuts) - 1 - trimmed])
        with np.errstate(over="ignore", divide="ignore"):
            scale = float(np.float64(PLACES) / (np.float64(high) - low))
            if not 0 < scale < np.inf:
                continue
            held = np.bincount(places_of(cuts, low, scale), minlength=PLACES)
        if held.max() < best[3] or trimmed == 0:
            best = (low, scale, np.cumsum(held) - held, int(held.max()))
    return best
