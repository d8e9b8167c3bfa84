"""Labelled rows counted by the values of declared columns. Integers, merged in any order.

A row is in one segment of each declared column that its record carried the values of: counts of a column's segments add
up to all labelled rows where all records did. Scores of a binary model are counted by outcome, on the grid of all rows
or a coarser one where segments are many; a regression's residuals are summed; of many classes labels are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from everloop.errors import InvalidError
from everloop.sketch.classified import GRID, ScoreCounts
from everloop.sketch.labelled import TASKS, Labelled, usable
from everloop.sketch.reading import integers, place
from everloop.sketch.residuals import Residuals, in_units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everloop.profile.build import Task
    from everloop.sketch.layout import Layout
    from everloop.sketch.splits import Split

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

FEW: Final = 1_024
"""Places that may wait to be counted, at least; else as many as are counted already."""
GRIDS: Final = (GRID, 500, 250, 100)
"""Bins of scores; each fits into the one before."""
MOST_PLACES: Final = 1 << 17
"""Counts of all segments together: about a megabyte in a record at the worst."""
_MALFORMED: Final = "labels by segment are counts and sums in integers, of segments that the profile has"


def bins_of(segments: int) -> int:
    """Equal bins of [0, 1] for scores where there are so many segments: as many as there is room for."""
    return next((bins for bins in GRIDS if segments * 2 * bins <= MOST_PLACES), GRIDS[-1])


class SegmentLabels:
    """Counts that grow in place; segments stand in the order of the layout's splits.

    Shapes: `rows` (segments,). What is not empty of the counts of scores stands in `places`, ascending, and `counts`: a
    place is segment x 2 bins + bin, and the bins of label 1 come behind those of label 0. Few rows so take few bytes,
    of which there are as many as slices that wait for labels. `residuals` are by segment.
    """

    __slots__ = ("_held", "_waiting", "bins", "counts", "layout", "places", "residuals", "rows", "scale", "task")

    def __init__(self, layout: Layout, task: Task) -> None:
        """Nothing has been counted."""
        self.layout, self.task = layout, task
        self.rows: Integers = np.zeros(layout.splits[-1].other + 1 if layout.splits else 0, dtype=np.int64)
        self.scale, self.bins = Labelled.empty(task, layout.scale).scale, bins_of(self.rows.size)
        self.places: Integers = np.empty(0, dtype=np.int64)
        self.counts: Integers = np.empty(0, dtype=np.int64)
        self.residuals: dict[int, Residuals] = {}
        self._waiting: list[Integers] = []
        self._held = 0

    def add(
        self, columns: Mapping[str, Sequence[object]], scores: Floats, labels: Floats, before: Floats | None = None
    ) -> None:
        """Count rows by the declared columns that are given; all of one length, rejected as `Labelled` does.

        `before`: the labels that these take the place of, NaN where there was none.
        """
        self._add(columns, scores, labels)
        if before is not None and (again := np.flatnonzero(~np.isnan(before))).size:
            old = SegmentLabels(self.layout, self.task)
            some = {name: [values[row] for row in again.tolist()] for name, values in columns.items()}
            old._add(some, scores[again], before[again])
            self.merge(old, -1)

    def _add(self, columns: Mapping[str, Sequence[object]], scores: Floats, labels: Floats) -> None:
        kept = usable(self.task, scores, labels)
        for split in self.layout.splits:
            if split.name in columns:
                numbers = split.of(list(columns[split.name]), kept.size)[kept].astype(np.int64)
                self.rows += np.bincount(numbers, minlength=self.rows.size)
                self._measure(numbers, scores[kept], labels[kept])

    def covers(self, split: Split, rows: int) -> bool:
        """Whether so many labelled rows, which are all, stand in the segments of a column."""
        return int(self.rows[split.first : split.other + 1].sum()) == rows

    def scores_of(self, segment: int) -> ScoreCounts:
        """Scores by outcome of one segment; what needs more than these counts is left out."""
        self._settle()
        width = 2 * self.bins
        low, high = np.searchsorted(self.places, [segment * width, (segment + 1) * width]).tolist()
        sides = np.zeros(width, dtype=np.int64)
        sides[self.places[low:high] - segment * width] = self.counts[low:high]
        return ScoreCounts(negatives=sides[: self.bins], positives=sides[self.bins :])

    def merge(self, other: SegmentLabels, sign: int = 1) -> None:
        """Add what another one of the same layout has counted; with the sign -1 take it away.

        Raises `InvalidError` (`shape`) for other segments.
        """
        if (self.rows.size, self.bins, self.task) != (other.rows.size, other.bins, other.task):
            raise InvalidError("shape", "two sketches have different segments: merge one version's sketches only")
        self._settle()
        other._settle()
        self.rows += sign * other.rows
        self._count(np.concatenate([self.places, other.places]), np.concatenate([self.counts, sign * other.counts]))
        for segment, sums in other.residuals.items():
            self.residuals[segment] = self.residuals.get(segment, Residuals()).merge(sums, sign)

    @property
    def sound(self) -> bool:
        """Whether no count is below zero, as `Labelled.sound`."""
        self._settle()
        whole = all(one.sound for one in self.residuals.values())
        return whole and min(int(self.rows.min(initial=0)), int(self.counts.min(initial=0))) >= 0

    def to_plain(self) -> dict[str, Any]:
        """Give integer arrays (`orjson.OPT_SERIALIZE_NUMPY`) and sums; equal counts have equal bytes."""
        self._settle()
        return {
            "task": self.task, "rows": self.rows, "places": self.places, "counts": self.counts,
            "residuals": {str(segment): self.residuals[segment].to_plain() for segment in sorted(self.residuals)},
        }  # fmt: skip

    @classmethod
    def from_plain(cls, layout: Layout, plain: Mapping[str, Any]) -> SegmentLabels:
        """Read `to_plain`, also what is not `sound`; raises `InvalidError` (`malformed`) for anything else."""
        try:
            made = cls(layout, _task(plain["task"]))
            made.rows += integers(plain["rows"], made.rows.size)
            made._take(_whole(plain["places"]), _whole(plain["counts"]))
            for text, sums in plain["residuals"].items():
                made.residuals[place(text, made.rows.size)] = Residuals.from_plain(sums, signed=True)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InvalidError("malformed", _MALFORMED) from error
        return made

    def _take(self, places: Integers, counts: Integers) -> None:
        end = self.rows.size * 2 * self.bins
        if places.size != counts.size or (places.size and not 0 <= int(places[0]) <= int(places[-1]) < end):
            raise ValueError("places")
        if (np.diff(places) <= 0).any():
            raise ValueError("counts")
        self.places, self.counts = places, counts

    def _measure(self, numbers: Integers, scores: Floats, labels: Floats) -> None:
        if self.task == "binary":
            bins = np.minimum(scores * self.bins, self.bins - 1).astype(np.int64)
            self._waiting.append(numbers * 2 * self.bins + np.where(labels == 1, self.bins, 0) + bins)
            self._held += numbers.size
            if self._held > max(FEW, self.places.size):
                self._settle()
        elif self.task == "regression":
            units = in_units(scores, labels, self.scale)
            for segment in np.unique(numbers).tolist():
                sums = Residuals.observe(units[numbers == segment])
                self.residuals[segment] = self.residuals.get(segment, Residuals()).merge(sums)

    def _settle(self) -> None:
        """Count what waits."""
        if self._waiting:
            waiting = np.concatenate(self._waiting)
            self._waiting, self._held = [], 0
            ones = np.ones(waiting.size, dtype=np.int64)
            self._count(np.concatenate([self.places, waiting]), np.concatenate([self.counts, ones]))

    def _count(self, places: Integers, counts: Integers) -> None:
        distinct, inverse = np.unique(places, return_inverse=True)
        sums = np.zeros(distinct.size, dtype=np.int64)
        np.add.at(sums, inverse.ravel(), counts)
        self.places, self.counts = distinct[sums != 0], sums[sums != 0]


def _task(name: Any) -> Task:  # noqa: ANN401 -- what stands in JSON
    if name not in TASKS:
        raise ValueError("task")
    task: Task = name
    return task


def _whole(values: object) -> Integers:
    """A list of integers, which may be empty."""
    return integers(values) if values != [] else np.empty(0, dtype=np.int64)
