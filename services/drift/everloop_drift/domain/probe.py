"""The probe: a made-up model that drifts on schedule, by which drift proves that it still sees. Pure.

A period has six windows: in the first four nothing happens, in the last two inputs have moved and most labels are other
than predicted. In every window, stable or not, one row in six holds what has blinded detectors: NaN, infinities, a
text, nothing at all. Rows follow from the number of the window in its period alone. So each period is the same, and
what was found in one is found in the next, or something is broken; and two who send the same window send the same
records, of which one is dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from everloop.loop import Detector, Loop
from everloop.names import PROBE
from everloop.profile import Profile, QualityProfile, build_profile
from everloop.quality import estimates
from everloop.sketch import Labelled
from everloop_drift.domain.labels import POINTS

Floats = NDArray[np.float64]
VERSION: Final = "1"
STABLE, WINDOWS = 4, 6
"""Windows in which nothing happens, and windows of a period. Detectors need the errors of two to begin."""
EACH: Final = 6
"""Rows per point of the stream of errors; the last of them is the bad one."""
ROWS: Final = EACH * POINTS
BAD: Final = (math.nan, math.inf, -math.inf, 1e308)
"""What a number may be beside a number; in turn, one in six."""
SHIFT: Final = 3.0
"""Standard deviations by which the input moves: far, and not so far that it looks like broken data."""
SHARES: Final = ((0.4, 0.3, 0.3), (0.05, 0.05, 0.9))
"""Of the categories a, b and c, before the drift and in it."""
WRONG: Final = (0.05, 0.65)
"""Share of labels that are other than predicted, before the drift and in it."""
HEARS: Final[tuple[Detector, ...]] = ("adwin", "page_hinkley", "hddm_a")
"""DDM is not among them: it wants 128 points before it says anything, which is eight windows."""
METRIC: Final = "roc_auc"


@dataclass(frozen=True, slots=True)
class Schedule:
    """`period` is how long a period is, in ms. Periods and windows begin at whole multiples of their length."""

    period: int

    @property
    def every(self) -> int:
        """Length of a window (ms)."""
        return self.period // WINDOWS

    @property
    def grace(self) -> int:
        """How long a window waits for rows and labels (ms); they are sent when it begins."""
        return self.every // 5

    def begin(self, moment: int) -> int:
        """The begin of the period that a moment (ms) lies in."""
        return moment - moment % self.period

    def window(self, moment: int) -> int:
        """The begin of the window that a moment (ms) lies in."""
        return moment - moment % self.every

    def starts(self, begin: int) -> range:
        """The begins of all windows of a period."""
        return range(begin, begin + self.every * WINDOWS, self.every)

    def place(self, start: int) -> int:
        """The number of a window in its period, from 0."""
        return start % self.period // self.every

    def drifts(self, start: int) -> bool:
        """Whether a window is one in which the world has moved."""
        return self.place(start) >= STABLE

    def drift_at(self, begin: int) -> int:
        """When the drift of a period begins (ms)."""
        return begin + STABLE * self.every

    def due(self, begin: int) -> int:
        """When the drift of a period must have been found (ms): its last window has closed, and one more would have."""
        return begin + self.period + self.every + self.grace


@dataclass(frozen=True, slots=True)
class ProbeRows:
    """Rows of one window, shapes (rows,). `bad` marks those that hold what is no number.

    `x` and `score` may be NaN or infinite; so may `label`, which no model says.
    """

    times: tuple[int, ...]
    ids: tuple[str, ...]
    x: Floats
    group: tuple[str, ...]
    score: Floats
    label: Floats
    bad: NDArray[np.bool_]


def probe_loop(schedule: Schedule) -> Loop:
    """The rules of the probe, which stand in no file. With 80 rows a PSI of 0.2 comes by chance, one of 1 does not."""
    return Loop.model_validate({
        "kind": "Loop", "version": 1, "model": PROBE, "task": "binary",
        "columns": {"id": "id", "time": "time", "label": "label"},
        "windows": {"every": f"{schedule.every}ms", "grace": f"{schedule.grace}ms", "min_rows": ROWS // 2},
        "labels": {"horizon": f"{schedule.grace}ms"},
        "drift": {
            "default": {"test": "psi", "limit": 1.0}, "score": {"test": "psi", "limit": 1.0}, "confirm": 1,
            "quality": {"drop": 0.2}, "concept": {"detectors": list(HEARS), "decides": True},
        },
    })  # fmt: skip


def probe_rows(schedule: Schedule, start: int, seed: int = 0) -> ProbeRows:
    """The rows of the window that begins at `start` (ms), evenly over its time; `seed` is 0 but in tests."""
    drifts, place = schedule.drifts(start), schedule.place(start)
    x, group, score, label, bad = _values([seed, place], ROWS, drifts=drifts)
    times = start + np.arange(ROWS) * schedule.every // ROWS
    return ProbeRows(tuple(times.tolist()), tuple(f"{start}-{row}" for row in range(ROWS)), x, group, score, label, bad)


@cache
def probe_profile() -> Profile:
    """The reference: what the probe says while nothing happens, with the same share of what is no number."""
    rows = 20 * ROWS
    x, group, score, label, bad = _values([1], rows, drifts=False)
    nothing = np.zeros(rows, np.int64)
    one = estimates(Labelled.observe("binary", None, score, label, nothing, nothing))[METRIC]
    quality = QualityProfile(
        metric=METRIC, value=one.value, standard_error=one.error, rows=one.rows, positives=int(label[~bad].sum())
    )
    return build_profile({"x": x, "group": list(group)}, scores=score, quality=[quality])


def _values(
    seed: list[int], rows: int, *, drifts: bool
) -> tuple[Floats, tuple[str, ...], Floats, Floats, NDArray[np.bool_]]:
    """One input that moves, one whose shares change, a score, and labels that agree with it or do not."""
    draw = np.random.default_rng(seed)
    bad = np.arange(rows) % EACH == EACH - 1
    odd = np.resize(BAD, int(bad.sum()))
    x = draw.normal(SHIFT if drifts else 0.0, 1.0, rows)
    group = draw.choice(["a", "b", "c"], rows, p=SHARES[drifts])
    says = draw.random(rows) < 0.5  # noqa: PLR2004 -- a fair coin
    score = np.where(says, 0.9, 0.1) + draw.uniform(-0.09, 0.09, rows)
    label = (says ^ (draw.random(rows) < WRONG[drifts])).astype(np.float64)
    x[bad], score[bad], label[bad] = odd, odd[::-1], odd
    return x, tuple(group.tolist()), score, label, bad
