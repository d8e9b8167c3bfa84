"""What windows of the reference show when they are cut as those of production will be: season and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from everloop.events import TrainingSpec
from everloop.loop import Test
from everloop.models import Scorer, frame
from everloop.profile import Profile
from everloop.profile.calibrate import Rules, calibrated
from everloop.profile.sample import Sample

REFERENCE_ROWS: Final = 2_000
MOST_ROWS: Final = 500_000
"""Rows that are looked at, the newest."""
Values = Sequence[object] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Side:
    """Rows before the cut, or the holdout: features by name, times in ms, ascending."""

    columns: Mapping[str, Values]
    times: NDArray[np.int64]


def reference_rows(held: int) -> int:
    """The reference of inputs is the newest rows before the cut: as many as the holdout has, at least 2,000."""
    return max(REFERENCE_ROWS, held)


def with_windows(profile: Profile, scorer: Scorer, learned: Side, held: Side, spec: TrainingSpec) -> Profile:
    """Measure all rows, window by window, against the reference.

    Scores are those of the version itself, on the rows that it learnt from as well. How windows differ among each other
    is all that is taken from them: what windows are compared with stays the holdout's, also by the hour.
    """
    watch = spec.watch
    if watch is None:
        return profile
    columns = {
        name: [*learned.columns[name], *held.columns[name]][-MOST_ROWS:]
        for name in scorer.manifest.features if name in learned.columns
    }  # fmt: skip
    times = np.concatenate([learned.times, held.times])
    begin, end = len(learned.times) - reference_rows(len(held.times)), len(learned.times)
    inside = (np.arange(len(times)) >= begin) & (np.arange(len(times)) < end)
    held_out = np.arange(len(times)) >= end
    table = frame(columns, scorer.manifest.features)
    kinds = scorer.manifest.features.items()
    seen: dict[str, Values] = {
        name: table[:, place].astype(np.float64) if kind == "numeric" else table[:, place].tolist()
        for place, (name, kind) in enumerate(kinds)
    }
    sample = Sample(
        seen, _scores(scorer, columns), times[-MOST_ROWS:], inside[-MOST_ROWS:], watch.since or 0,
        held_out[-MOST_ROWS:],
    )  # fmt: skip
    rules = Rules(
        every_ms=watch.every_ms, size_ms=watch.size_ms, rows=watch.rows, min_rows=watch.min_rows,
        test=cast("Test", watch.test), score_test=cast("Test", watch.score_test), season=watch.season, seed=spec.seed,
    )  # fmt: skip
    return calibrated(profile, sample, rules)


def _scores(scorer: Scorer, columns: Mapping[str, Sequence[object]]) -> NDArray[np.float64]:
    given = {name: list(values) for name, values in columns.items()}
    if scorer.manifest.task == "regression":
        return scorer.score(given)
    probabilities = scorer.probabilities(given)
    return probabilities[:, 1] if scorer.manifest.task == "binary" else probabilities.max(axis=1)
