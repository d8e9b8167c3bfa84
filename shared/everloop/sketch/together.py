"""Count the rows of many sketches at once, to the bit as each by itself.

A hundred rows cost more in calls of numpy than in numbers: with a thousand models some rows of each are there, and few
of one. So the rows of several stand side by side, each with the tables and scales of its own layout.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np

from everloop.profile.cells import MISSING, NONFINITE
from everloop.sketch.arms import BUCKETS
from everloop.sketch.grid import PLACES, places_of
from everloop.sketch.inputs import steps_of
from everloop.sketch.sums import Sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everloop.sketch.inputs import Inputs, Prepared
    from everloop.sketch.layout import Layout

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Numbers = NDArray[np.intp]

T = TypeVar("T")
G = TypeVar("G", bound=np.generic)
ROWS: Final = 2_048
"""Rows side by side: their numbers and tables stay in a cache of the processor."""
FEW: Final = 512
"""Who brings more is counted by itself: by then the calls are paid for."""


class Share(NamedTuple):
    """What one sketch is to count. Its block has a column at least, and all values of the layout's columns."""

    inputs: Inputs
    prepared: Prepared

    @property
    def rows(self) -> int:
        """How many."""
        return int(self.prepared.block.shape[1])


def count_together(shares: Iterable[Share]) -> None:
    """As `Inputs.count` of each."""
    alike = defaultdict[int, list[Share]](list)
    for share in shares:
        if _is_plain(share):
            alike[len(share.prepared.block)].append(share)
        else:
            share.inputs.count(share.prepared)
    for group in alike.values():
        for batch in in_batches(group, [share.rows for share in group]):
            if len(batch) == 1:
                batch[0].inputs.count(batch[0].prepared)
            else:
                _count(batch)


class Summed(NamedTuple):
    """What goes into the sums of one sketch: `Sums.add` says what each is."""

    sums: Sums
    buckets: NDArray[np.uint8]
    score: Floats
    errors: Flags | None = None
    latency_ms: Floats | None = None


def add_together(shares: Sequence[Summed]) -> None:
    """As `Sums.add` of each."""
    for batch in in_batches(shares, [len(share.buckets) for share in shares]):
        if len(batch) == 1:
            (one,) = batch
            one.sums.add(one.buckets, errors=one.errors, latency_ms=one.latency_ms, score=one.score)
        else:
            _add(batch)


def _add(batch: Sequence[Summed]) -> None:
    sizes = [len(share.buckets) for share in batch]
    buckets = np.concatenate([share.buckets for share in batch], dtype=np.intp)
    wide = Sums(len(batch) * BUCKETS)
    wide.add(
        buckets + np.repeat(np.arange(len(batch)) * BUCKETS, sizes),
        errors=either([share.errors for share in batch], sizes, fill=False),
        latency_ms=either([share.latency_ms for share in batch], sizes, fill=np.nan),
        score=np.concatenate([share.score for share in batch]),
    )
    for name, found in wide.measures.items():
        for share, mine in zip(batch, found.reshape(-1, BUCKETS), strict=True):
            if mine.any() or name == "score_e6" or (name == "latency_us" and share.latency_ms is not None):
                share.sums.grow(name, mine)


def either(arrays: Sequence[NDArray[G] | None], sizes: Sequence[int], *, fill: float) -> NDArray[G] | None:
    """One array of many, of which some are not there; None where none is."""
    dtype = next((one.dtype for one in arrays if one is not None), None)
    if dtype is None:
        return None
    pairs = zip(arrays, sizes, strict=True)
    return np.concatenate([np.full(size, fill, dtype) if one is None else one for one, size in pairs])


def in_batches(items: Sequence[T], sizes: Sequence[int]) -> Iterator[Sequence[T]]:
    """Neighbours that have `ROWS` rows together, or one that has more."""
    first, rows = 0, 0
    for place, size in enumerate(sizes):
        if rows and rows + size > ROWS:
            yield items[first:place]
            first, rows = place, 0
        rows += size
    if items:
        yield items[first:]


def _is_plain(share: Share) -> bool:
    """Whether all its columns have a table, and its rows are counted once: neither a shadow's nor by segments."""
    layout, prepared = share.inputs.layout, share.prepared
    by_segments = share.inputs.segments is not None and prepared.marks is not None
    whole = prepared.codes is not None and not by_segments and not layout.grid.searched
    return whole and 0 < share.rows <= FEW


class _Side(NamedTuple):
    """Rows side by side: `sizes` of each share, where each starts, and where its cells begin among all of them."""

    layouts: Sequence[Layout]
    sizes: Numbers
    starts: Numbers
    bases: Numbers
    cells: int

    @classmethod
    def of(cls, batch: Sequence[Share]) -> _Side:
        sizes = [share.rows for share in batch]
        strides = [share.inputs.layout.cells + share.inputs.lost.size for share in batch]
        *bases, cells = accumulate(strides, initial=0)
        *starts, _ = accumulate(sizes, initial=0)
        layouts = [share.inputs.layout for share in batch]
        return cls(layouts, np.array(sizes), np.array(starts), np.array(bases), cells)

    def spread(self, columns: Iterable[NDArray[Any]]) -> NDArray[Any]:
        """Of each share (K, 1), for each of its rows."""
        return np.repeat(np.concatenate([*columns], axis=1), self.sizes, axis=1)

    def each(self, numbers: Sequence[int] | Numbers) -> Numbers:
        """Of each share one number, for each of its rows."""
        return np.repeat(np.asarray(numbers, np.intp), self.sizes)

    def sums(self, values: NDArray[Any], kind: type[np.generic]) -> NDArray[Any]:
        """Sums of rows. Shape: (K, shares)."""
        return np.add.reduceat(values, self.starts, axis=1, dtype=kind)


def _count(batch: Sequence[Share]) -> None:
    side = _Side.of(batch)
    block = np.concatenate([share.prepared.block for share in batch], axis=1)
    finite = np.isfinite(block)
    whole = bool(finite.all())
    if not whole:
        _lose(batch, side, block, finite)
        block = np.where(finite, block, 0.0)
    with np.errstate(over="ignore"):
        places = _bins(side, block)
        first, squares = _moments(side, block, None if whole else finite)
    if not whole:
        places[~finite] = side.cells
    codes = np.concatenate([share.prepared.codes for share in batch if share.prepared.codes is not None])
    lengths = [0 if share.prepared.codes is None else len(share.prepared.codes) for share in batch]
    found = np.bincount(places.ravel(), minlength=side.cells + 1)
    found += np.bincount(codes + np.repeat(side.bases, lengths), minlength=side.cells + 1)
    for place, (share, base) in enumerate(zip(batch, side.bases.tolist(), strict=True)):
        share.inputs.grow(found[base:], first[:, place], squares[:, place])


def _lose(batch: Sequence[Share], side: _Side, block: Floats, finite: Flags) -> None:
    """Note what is in no bin."""
    nothing = side.sums(np.isnan(block), np.int64)
    infinite = side.sums(~finite, np.int64) - nothing
    for place, share in enumerate(batch):
        lost = share.inputs.lost[:, : len(block)]
        lost[MISSING] += nothing[:, place]
        lost[NONFINITE] += infinite[:, place]


def _bins(side: _Side, block: Floats) -> Numbers:
    """Number the cell of each value among all cells, as `Grid.bins` does among those of one layout.

    One grid of all, for `Grid.bins` to look in, was tried: its table of 32 bits made all of it a fifth dearer.
    """
    grids = [layout.grid for layout in side.layouts]
    lows, scales = side.spread(one.low for one in grids), side.spread(one.scale for one in grids)
    places = places_of(block, lows, scales).astype(np.intp)  # all tables have more places than 32 bits can number
    places += grids[0].row
    places += side.each(np.arange(len(grids)) * (len(block) * PLACES))
    found = np.concatenate([one.table for one in grids]).take(places).astype(np.intp)
    edges = np.concatenate([one.edges for one in grids])
    begin = np.array([*accumulate((len(one.edges) for one in grids[:-1]), initial=0)])
    found += side.each(begin)
    for _ in range(max(one.passes for one in grids)):
        found += block >= edges.take(found)
    found += side.each(side.bases - begin)
    return found


def _moments(side: _Side, block: Floats, finite: Flags | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sums of steps and of their squares per share: whole numbers, exact in float64."""
    center = side.spread(layout.center for layout in side.layouts)
    steps, _ = steps_of(block, center, side.spread(layout.per_step for layout in side.layouts), finite)
    return side.sums(steps, np.float64).astype(np.int64), side.sums(steps * steps, np.float64).astype(np.int64)
