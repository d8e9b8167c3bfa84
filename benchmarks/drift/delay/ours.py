"""Ours: the statistic of a budget of false alarms, on windows beside the profile that a version would have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from benchmarks.drift.delay.streams import CATEGORICAL, NUMERIC, ROWS, Stream, Window
from everloop.events import ArmWindow, ColumnSide, ColumnWindow
from everloop.loop import Loop
from everloop.measures import running
from everloop.profile import ColumnProfile, Profile, build_profile, column_groups
from everloop.profile.calibrate import Rules, calibrated
from everloop.profile.cells import FIRST_BIN
from everloop.profile.sample import Sample, cells_of
from everloop.profile.seasons import HOUR_MS
from everloop_drift.domain.arms import seasonal
from everloop_drift.domain.budget import budgeted
from everloop_drift.domain.closing import Bounds, Closing

REFERENCE: Final = 6 * 168
"""Windows of the reference."""
BEGIN: Final = 1_767_571_200_000
LOOP: Final = Loop.model_validate({
    "kind": "Loop", "version": 1, "model": "delay", "task": "binary",
    "columns": {"id": "id", "time": "time", "label": "label"}, "windows": {"every": "1h", "min_rows": ROWS // 2},
    "drift": {"false_alarms": "1 per 30d", "confirm": 1},
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """One window: the columns beside the whole reference, and ours, one number."""

    columns: tuple[ColumnWindow, ...]
    found: float


@cache
def profile(kind_has_season: bool) -> Profile:  # noqa: FBT001 -- a key of the cache
    """The profile of a version that learnt from six weeks in which nothing changed."""
    stream = Stream("seasonal" if kind_has_season else "abrupt")
    windows = [*stream.windows(REFERENCE, np.random.default_rng(20_260_105), 0)]
    columns = {name: np.concatenate([one[name] for one in windows]) for name in (*NUMERIC, *CATEGORICAL)}
    times = np.repeat(BEGIN + np.arange(REFERENCE) * HOUR_MS, ROWS) + np.tile(np.arange(ROWS) * 10_000, REFERENCE)
    whole = np.ones(len(times), dtype=bool)
    scores = np.random.default_rng(1).random(len(times))  # no model is looked at
    made = build_profile(columns, scores=scores)
    return calibrated(made, Sample(columns, scores, times, whole), Rules(HOUR_MS, HOUR_MS, ROWS // 2))


def looked_at(stream: Stream, windows: Iterable[Window], first: int) -> Iterator[Seen]:
    """Each window, in order; `first` is the hour of the first one."""
    known, trail = profile(stream.season), list[Mapping[str, float]]()
    for place, window in enumerate(windows):
        start = BEGIN + (first + place) * HOUR_MS
        closing = Closing("inputs", Bounds(start, start + HOUR_MS, start), 0, start + HOUR_MS)
        whole = tuple(_beside(column, window) for column in known.columns)
        near = tuple(
            seasonal(one, column, known.season, closing) for one, column in zip(whole, known.columns, strict=True)
        )
        arm = ArmWindow.model_construct(
            arm="champion", version="1", rows=ROWS, columns=near, score=None, calibration=known.calibration
        )
        look = budgeted(arm, LOOP, trail, is_open=False)
        if look is None:
            raise ValueError(stream)
        trail = [*trail, look.numbers][-running.MOST :]
        yield Seen(whole, look.found)


def _beside(column: ColumnProfile, window: Window) -> ColumnWindow:
    values = window[column.name]
    cells, deviations = cells_of(column, values)
    counts = np.bincount(cells - FIRST_BIN, minlength=len(column.counts)).tolist()
    mean = deviation = None
    if column.mean is not None and column.deviation is not None:
        mean = column.mean + float(deviations.mean()) * column.deviation
        deviation = float(deviations.std()) * column.deviation
    return ColumnWindow.model_construct(
        name=column.name, kind=column.kind, edges=column.edges, categories=column.categories,
        groups=column_groups(column), overall=None, importance=None,
        current=ColumnSide.model_construct(
            counts=tuple(counts), mean=mean, deviation=deviation, missing=0, nonfinite=0, malformed=0
        ),
        reference=ColumnSide.model_construct(
            counts=column.counts, mean=column.mean, deviation=column.deviation, missing=0, nonfinite=0, malformed=0
        ),
    )  # fmt: skip
