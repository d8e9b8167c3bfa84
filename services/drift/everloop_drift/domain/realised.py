"""Realised quality of a window of outcomes: every metric with its interval, and whether the primary one has fallen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from everloop.events import ArmWindow, LabelAges, Measure, QualityMeasure
from everloop.loop import HIGHER_IS_BETTER, Metric
from everloop.quality import ONE_SIDED, estimates
from everloop.sketch import Labelled

ERROR: Final = "_se"
"""Behind a metric's name: its standard error in the reference."""


def measure_quality(seen: Labelled, reference: Mapping[str, float]) -> dict[str, QualityMeasure]:
    """Every metric that these rows can carry, beside the reference's value where it has one."""
    return {
        name: QualityMeasure(
            value=one.value, error=one.error, lower=one.lower, upper=one.upper, rows=one.rows,
            reference=reference.get(name),
        )
        for name, one in estimates(seen).items()
    }  # fmt: skip


def fall(metric: Metric, quality: Mapping[str, QualityMeasure], reference: Mapping[str, float]) -> float | None:
    """Lower 95 % bound of how much worse the metric is than in the reference, in its own unit: a loss may rise.

    The difference of two independent estimates less 1.645 of its standard error. None where either side has none.
    """
    now, then = quality.get(metric), reference.get(metric)
    if now is None or then is None:
        return None
    worse = then - now.value if metric in HIGHER_IS_BETTER else now.value - then
    return worse - ONE_SIDED * math.hypot(now.error, reference.get(metric + ERROR, 0.0))


def hold_quality(metric: Metric, found: float, limit: float, rows: int) -> Measure:
    """Hold the bound to `drift.quality.drop`."""
    return Measure(name=metric, test="quality_drop", value=found, limit=limit, drifted=found > limit, rows=rows)


def coverage(arm: ArmWindow, seen: Labelled) -> float | None:
    """Labelled rows of the rows that were predicted; None where those are not known."""
    return seen.rows / arm.predicted if arm.predicted else None


def label_ages(seen: Labelled) -> LabelAges | None:
    """Ages of labels at half and 95 % of the rows; None without rows."""
    half, most = seen.age_ms(0.5), seen.age_ms(0.95)
    return None if half is None or most is None else LabelAges(p50=half, p95=most)
