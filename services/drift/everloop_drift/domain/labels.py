"""Labelled rows into a cell: how good the scores were, when, and how late labels came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from everloop.sketch import Labelled, SegmentLabels
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
    """Add the rows numbered in `index` (None: all) with these scores; `scale` is the unit of a regression's errors."""
    rows = np.arange(len(event.prediction_id)) if index is None else np.asarray(index, dtype=np.intp)
    said, true = np.array(scores, dtype=np.float64)[rows], np.array(event.label, dtype=np.float64)[rows]
    times = np.array(event.times, dtype=np.int64)[rows]
    ages = np.array(event.labelled_at, dtype=np.int64)[rows] - times
    step = max(1, rules.every // POINTS)
    cell.sums.add(np.array(event.bucket, dtype=np.intp)[rows], loss=(true - said) ** 2)
    if cell.labelled is None:
        cell.labelled = Labelled.empty(rules.task, scale)
    cell.labelled = cell.labelled.merge(Labelled.observe(rules.task, scale, said, true, ages, times - times % step))


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
        {name: [values[row] for row in rows] for name, values in event.segments.items()}, scores, labels
    )  # fmt: skip


def add_late(cell: Cell, event: OutcomesJoined, index: Sequence[int], watermark: int) -> None:
    """Count labels that came behind the closing of their slice; they were not known before the watermark (ms)."""
    rows = np.asarray(index, dtype=np.intp)
    known = np.maximum(np.array(event.labelled_at, dtype=np.int64)[rows], watermark)
    delays = count_delays(known - np.array(event.times, dtype=np.int64)[rows])
    cell.late = delays if cell.late is None else cell.late + delays
