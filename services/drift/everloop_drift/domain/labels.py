"""Labelled rows into a cell: how good the scores were, when, and how late labels came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from everloop.sketch import Labelled, SegmentLabels, Sums
from everloop.sketch.delays import count_delays

if TYPE_CHECKING:
    from everloop.events import OutcomesJoined
    from everloop.loop import Task
    from everloop.sketch.layout import Layout
    from everloop_drift.domain.cells import Cell
    from everloop_drift.domain.rules import WindowRules

POINTS: Final = 16
"""Points of the error series in one slice."""


def add_labels(
    cell: Cell,
    event: OutcomesJoined,
    index: Sequence[int] | None,
    scores: Sequence[float | None],
    rules: WindowRules,
    scale: float,
) -> None:
    """Add the rows numbered in `index` (None: all) with these scores; `scale` is the unit of a regression's errors.

    Of a row whose label is a correction, the label before is taken away again.
    """
    rows = np.arange(len(event.prediction_id)) if index is None else np.asarray(index, dtype=np.intp)
    said, true = np.array(scores, dtype=np.float64)[rows], np.array(event.label, dtype=np.float64)[rows]
    times = np.array(event.times, dtype=np.int64)[rows]
    ages = np.array(event.labelled_at, dtype=np.int64)[rows] - times
    step = max(1, rules.every // POINTS)
    buckets, before = np.array(event.bucket, dtype=np.intp)[rows], _before(event, rows)
    cell.sums.add(buckets, loss=(true - said) ** 2)
    if (again := ~np.isnan(before)).any():
        old = Sums()
        old.add(buckets[again], loss=(before[again] - said[again]) ** 2)
        cell.sums.merge(old, -1)
    if cell.labelled is None:
        cell.labelled = Labelled.empty(rules.task, scale)
    made = Labelled.observe(rules.task, scale, said, true, ages, times - times % step, before)
    cell.labelled = cell.labelled.merge(made)


def add_segments(
    cell: Cell, event: OutcomesJoined, index: Sequence[int] | None, task: Task, layout: Layout
) -> None:  # fmt: skip
    """Count the champion's rows once more, by the values of declared columns, where the record carries some."""
    if not event.segments or not layout.splits:
        return
    rows = range(len(event.prediction_id)) if index is None else index
    scores, labels = (np.array(column, dtype=np.float64)[list(rows)] for column in (event.score, event.label))
    if cell.segments is None:
        cell.segments = SegmentLabels(layout, task)
    cell.segments.add(
        {name: [values[row] for row in rows] for name, values in event.segments.items()}, scores, labels,
        _before(event, np.asarray(rows, dtype=np.intp)),
    )  # fmt: skip


def add_late(cell: Cell, event: OutcomesJoined, index: Sequence[int], watermark: int) -> None:
    """Count first labels that came behind the closing of their slice; not known before the watermark (ms)."""
    rows = np.asarray(index, dtype=np.intp)
    rows = rows[np.isnan(_before(event, rows))]
    known = np.maximum(np.array(event.labelled_at, dtype=np.int64)[rows], watermark)
    delays = count_delays(known - np.array(event.times, dtype=np.int64)[rows])
    cell.late = delays if cell.late is None else cell.late + delays


def _before(event: OutcomesJoined, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """The labels that those of these rows take the place of, shape (n,); NaN where there was none."""
    if event.before is None:
        return np.full(len(rows), np.nan)
    return np.array(event.before, dtype=np.float64)[rows]
