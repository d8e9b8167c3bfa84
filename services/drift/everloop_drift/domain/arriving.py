"""How labels came to the rows of one closed window: of its slices that were in no window before, all arms that served.

Where windows overlap, each row and each label so counts once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from everloop.events import LabelsArrived
from everloop.sketch.delays import DELAY_BINS
from everloop_drift.domain.cells import SHADOW

if TYPE_CHECKING:
    from everloop.sketch.delays import Integers
    from everloop_drift.domain.arms import Cells
    from everloop_drift.domain.cells import Cell
    from everloop_drift.domain.closing import Closing


def rows_of_fresh(cells: Cells, closing: Closing) -> int:
    """Rows of inputs."""
    return sum(cell.inputs.rows for cell in _fresh(cells, closing) if cell.inputs is not None)


def labels_arrived(cells: Cells, closing: Closing) -> LabelsArrived | None:
    """What arrived; None of a revision, and where nobody said how many rows there were."""
    if closing.revision or closing.fresh_rows is None:
        return None
    delays, late = np.zeros(DELAY_BINS, dtype=np.int64), np.zeros(DELAY_BINS, dtype=np.int64)
    for cell in _fresh(cells, closing):
        delays += cell.labelled.ages if cell.labelled is not None else 0
        late += cell.late if cell.late is not None else 0
    return LabelsArrived(
        start=closing.bounds.fresh, end=closing.bounds.end, predicted=closing.fresh_rows, delays=_counted(delays),
        late=_counted(late),
    )  # fmt: skip


def _fresh(cells: Cells, closing: Closing) -> Iterator[Cell]:
    for key, found in cells.items():
        if key.end > closing.bounds.fresh and key.arm != SHADOW:
            yield from found


def _counted(counts: Integers) -> dict[int, int]:
    return {int(place): int(counts[place]) for place in np.flatnonzero(counts)}
