"""How good the model is on windows of the holdout: what a window of production is compared with is its like. Pure.

All rows together are no window's like: where the time of day decides who is easy to tell apart, the area under the
curve of a day is larger than that of any of its hours, and every hour would look like a fall.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from everloop.events import Watch
from everloop.loop import primary
from everloop.profile import Profile, QualityProfile, Task
from everloop.profile.cut import Cuts, cut
from everloop.quality import Estimate, estimates
from everloop.sketch import Labelled

FEWEST: Final = 8
"""Windows that say how they differ; of fewer the holdout as a whole is the reference."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Usual(NamedTuple):
    """What a window shows of a metric: the mean of windows, and how far from it the truth of a new one is."""

    value: float
    error: float


def with_window_quality(
    profile: Profile, task: Task, times: Ints, scores: Floats, labels: Floats, watch: Watch
) -> Profile:
    """Measure the holdout window by window: `times` (ms, ascending), scores and labels of one length.

    A metric that fewer than `FEWEST` windows can carry stays as it is. Segments, which have few rows in a window, move
    with the primary metric of all rows.
    """
    if task == "multiclass":
        return profile
    found = _by_metric(_windows(task, times, scores, labels, watch))
    usual = {name: pooled(seen) for name, seen in found.items() if len(seen) >= FEWEST}
    whole = next((one for one in profile.quality if one.metric == primary(task)), None)
    known = profile.model_copy(
        update={"quality": tuple(_as_window(one, usual.get(one.metric)) for one in profile.quality)}
    )
    if whole is None or whole.metric not in usual:
        return known
    segments = tuple(
        split.model_copy(
            update={"quality": tuple(one and _moved(one, whole, usual[whole.metric]) for one in split.quality)}
        )
        for split in known.segments
    )
    return known.model_copy(update={"segments": segments})


def pooled(seen: Sequence[Estimate]) -> Usual:
    """The mean of windows by their rows, and the error with which it foretells the truth of another window.

    Random effects: what windows differ by beyond their own errors is the variance between them (the moment estimate of
    Hedges and Olkin 1985, chapter 9, with weights of rows), and it is in the error of a new window as a whole.
    """
    weights = np.array([one.rows for one in seen], dtype=np.float64)
    weights /= weights.sum()
    values, noise = np.array([one.value for one in seen]), np.array([one.error**2 for one in seen])
    mean = float(weights @ values)
    freedom = 1 - float(weights @ weights)
    between = max(0.0, float(weights @ (values - mean) ** 2 - (weights * (1 - weights)) @ noise) / freedom)
    return Usual(mean, math.sqrt(between + float(weights**2 @ (noise + between))))


def _windows(task: Task, times: Ints, scores: Floats, labels: Floats, watch: Watch) -> Iterator[dict[str, Estimate]]:
    """What each window can carry; of windows that overlap those that do not."""
    cuts = cut(times, watch.every_ms, watch.size_ms, watch.rows, watch.min_rows)
    unit = float(np.std(scores))
    for rows in _rows_of(cuts):
        nothing = np.zeros(rows.stop - rows.start, dtype=np.int64)
        yield estimates(Labelled.observe(task, unit, scores[rows], labels[rows], nothing, nothing))


def _rows_of(cuts: Cuts) -> Iterator[slice]:
    """The rows, which are in order of time, of each window that begins when the last one has ended."""
    ended = 0
    for begin, end in cuts.ranges.tolist():
        if begin >= ended:
            ended = end
            yield slice(*np.searchsorted(cuts.of, (begin, end)).tolist())


def _by_metric(windows: Iterator[Mapping[str, Estimate]]) -> dict[str, list[Estimate]]:
    found: dict[str, list[Estimate]] = {}
    for window in windows:
        for name, one in window.items():
            found.setdefault(name, []).append(one)
    return found


def _as_window(one: QualityProfile, usual: Usual | None) -> QualityProfile:
    if usual is None:
        return one
    return one.model_copy(update={"value": usual.value, "standard_error": usual.error})


def _moved(one: QualityProfile, whole: QualityProfile, usual: Usual) -> QualityProfile:
    """A segment's: moved as that of all rows moves, with the error by which theirs grows."""
    value = one.value + usual.value - whole.value
    more = max(0.0, usual.error**2 - whole.standard_error**2)
    bounded = min(1.0, max(0.0, value)) if one.metric == "roc_auc" else max(0.0, value)
    return one.model_copy(update={"value": bounded, "standard_error": math.sqrt(one.standard_error**2 + more)})
