"""Feedback into cells, and out of the cells of a closed window: what the rows of each arm have brought, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from everloop.events import FeedbackWindow
from everloop.sketch.feedback import Brought

if TYPE_CHECKING:
    from everloop.events import FeedbackJoined
    from everloop_drift.domain.arms import Cells
    from everloop_drift.domain.cells import Cell
    from everloop_drift.domain.closing import Closing


def add_feedback(cell: Cell, event: FeedbackJoined, index: Sequence[int] | None) -> None:
    """Add the rows numbered in `index` (None: all)."""
    rows = np.arange(len(event.prediction_id)) if index is None else np.asarray(index, dtype=np.intp)
    ages = np.array(event.said_at, dtype=np.int64) - np.array(event.times, dtype=np.int64)
    value, before = np.array(event.value, dtype=np.float64), np.array(event.before, dtype=np.float64)
    _put(cell, event.name, Brought.observe(np.array(event.bucket)[rows], value[rows], before[rows], ages[rows]))


def add_late_feedback(cell: Cell, event: FeedbackJoined, index: Sequence[int], watermark: int) -> None:
    """Count rows that came behind the closing of their slice; they were not known before the watermark (ms)."""
    rows = np.asarray(index, dtype=np.intp)
    known = np.maximum(np.array(event.said_at, dtype=np.int64)[rows], watermark)
    ages = known - np.array(event.times, dtype=np.int64)[rows]
    _put(cell, event.name, Brought.too_late(np.array(event.before, dtype=np.float64)[rows], ages))


def feedback_windows(cells: Cells, closing: Closing, declared: Sequence[str]) -> tuple[FeedbackWindow, ...]:
    """What the rows of a window have brought, in order of arm, version and name.

    Arms that were served and have brought nothing of what is declared are in it as well: else who adds windows up
    would leave out their rows.
    """
    found: dict[tuple[str, str, str], Brought] = {}
    for key, some in sorted(cells.items()):
        for name, brought in ((name, one) for cell in some for name, one in cell.feedback.items()):
            named = (key.arm, key.version, name)
            found[named] = found[named].merge(brought) if named in found else brought
    predicted = closing.predicted or {}
    for served in (text for text, rows in predicted.items() if rows):
        arm, _, version = served.partition("|")
        for name in declared:
            found.setdefault((arm, version, name), Brought())
    return tuple(
        FeedbackWindow(
            arm=arm, version=version, name=name, predicted=predicted.get(f"{arm}|{version}"), counts=brought.to_plain()
        )
        for (arm, version, name), brought in sorted(found.items())
    )


def _put(cell: Cell, name: str, brought: Brought) -> None:
    cell.feedback[name] = cell.feedback[name].merge(brought) if name in cell.feedback else brought
