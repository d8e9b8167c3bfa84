"""What is counted of the rows of one slice: the state of windows, mergeable whatever partition or worker saw a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from everloop.sketch import Inputs, Labelled, SegmentLabels, Sums
from everloop.sketch.feedback import Brought
from everloop.sketch.layout import AS_PROFILE, Schema

CHAMPION, CANDIDATE, SHADOW = "champion", "candidate", "shadow"
MOST_SCHEMAS: Final = 8
"""Different schemas in one slice of one arm in one partition; rows of any further one are counted together."""
OTHER: Final = Schema(added=("…",))
"""The schema of those rows."""


class Key(NamedTuple):
    """What a cell is about. `start` and `end` in ms, half-open; `revision` 1 holds the rows that came late."""

    model: str
    version: str
    arm: str
    schema: Schema
    start: int
    end: int
    revision: int


@dataclass(slots=True)
class Cell:
    """Counts of one key: inputs and sums of scored rows, or labelled rows and their sums.

    `segments` are the labelled rows counted by the values of declared columns.

    `late` (`DELAY_BINS`,) counts labels of older slices by their delay: they came behind the closing of their windows,
    while this slice was the next to close. `feedback` is what the rows brought, by name.

    `offset`: the last record of the partition that was considered for it.
    """

    sums: Sums
    inputs: Inputs | None = None
    labelled: Labelled | None = None
    segments: SegmentLabels | None = None
    late: NDArray[np.int64] | None = None
    offset: int = -1
    feedback: dict[str, Brought] = field(default_factory=dict)


def is_plain(schema: Schema) -> bool:
    """Whether the columns are those of the profile."""
    return schema == AS_PROFILE
