"""How good the model is on each segment of the holdout: what labels of the same segment are compared with later. Pure.

It is counted and measured by what counts and measures windows, so that a window is compared with its like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from everloop.loop import primary
from everloop.profile import Profile, QualityProfile, Task
from everloop.quality import of_segment
from everloop.sketch import Layout, SegmentLabels


def with_segment_quality(
    profile: Profile, task: Task, columns: Mapping[str, Sequence[object]], scores: NDArray[np.float64],
    labels: NDArray[np.float64],
) -> Profile:  # fmt: skip
    """Add the primary metric of the holdout's rows in each segment; its columns, scores and labels of one length."""
    layout = Layout.of(profile)
    seen = SegmentLabels(layout, task)
    seen.add({split.name: columns[split.name] for split in layout.splits}, scores, labels)
    found = [
        said.model_copy(
            update={"quality": tuple(_reference(seen, number) for number in range(split.first, split.other + 1))}
        )
        for said, split in zip(profile.segments, layout.splits, strict=True)
    ]
    return profile.model_copy(update={"segments": tuple(found)})


def _reference(seen: SegmentLabels, segment: int) -> QualityProfile | None:
    found = of_segment(seen, segment)
    if found is None:
        return None
    return QualityProfile(
        metric=primary(seen.task), value=found.value, standard_error=found.error, rows=found.rows,
        positives=int(seen.scores_of(segment).positives.sum()),
    )  # fmt: skip
