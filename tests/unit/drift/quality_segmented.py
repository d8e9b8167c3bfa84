"""Windows of outcomes with segments, counted and measured as the worker and the trainer's job do."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from everloop import events as e
from everloop.profile import Profile, Task, build_profile
from everloop.profile.segments import Given, with_segments
from everloop.sketch import Labelled, Layout, SegmentLabels
from everloop_drift.domain.segmented import segment_outcomes
from everloop_trainer.adapters.segment_quality import with_segment_quality
from tests.builders import HOUR_MS
from tests.unit.drift.builders import START, an_outcomes_arm

Floats = NDArray[np.float64]


class Rows(NamedTuple):
    """Labelled rows: shop, score and label of each."""

    shops: list[str]
    scores: Floats
    labels: Floats


def names(many: int) -> list[str]:
    """Of so many shops."""
    return [f"s{number:02}" for number in range(many)]


def some_rows(
    rng: np.random.Generator, many: int, each: int, *, share: float = 0.5, flipped: tuple[str, ...] = (),
    apart: float = 1.5,
) -> Rows:  # fmt: skip
    """So many shops with so many rows each; `share` of the labels are 1, their scores lie so many deviations higher.

    In shops that are `flipped` the labels are those of the other class.
    """
    labels = (rng.random(many * each) < share).astype(np.float64)
    scores = 1 / (1 + np.exp(-(rng.normal(size=many * each) + apart * labels - apart / 2)))
    shops = names(many) * each
    wrong = np.isin(shops, flipped)
    return Rows(shops, scores, np.where(wrong, 1 - labels, labels))


@cache
def a_bare_profile(many: int) -> Profile:
    """Which shops have a segment, and the bins of scores; the quality of each is yet to be measured."""
    seen = some_rows(np.random.default_rng(8), many, 200)
    columns = {"x": np.random.default_rng(9).normal(size=many * 200)}
    profile = build_profile(columns, scores=seen.scores)
    by = {"shop": seen.shops}
    return with_segments(profile, many, Given(by, columns), Given(by, {"score": seen.scores}))


def a_profile_of(holdout: Rows, many: int, task: Task = "binary") -> Profile:
    """With the quality of this holdout by shop."""
    return with_segment_quality(a_bare_profile(many), task, {"shop": holdout.shops}, holdout.scores, holdout.labels)


def an_arm(
    profile: Profile, seen: Rows, *, task: Task = "binary", coverage: float = 1.0, window: int = 0, version: str = "1",
    **more: object,
) -> e.ArmWindow:  # fmt: skip
    """The champion's labelled rows; so many were predicted that `coverage` is this, in each segment."""
    outcomes, ages = outcomes_of(profile, seen, task, coverage), np.full(len(seen.shops), 1000)
    points = np.full(len(seen.shops), START + window * HOUR_MS)
    whole = Labelled.observe(task, Layout.of(profile).scale, seen.scores, seen.labels, ages, points)
    predicted = sum(one.predicted or 0 for one in outcomes)
    return an_outcomes_arm(whole, version=version, outcomes=outcomes, predicted=predicted, **more)


def outcomes_of(
    profile: Profile, seen: Rows, task: Task = "binary", coverage: float = 1.0
) -> tuple[e.SegmentOutcomes, ...]:  # fmt: skip
    """The same rows by segment alone."""
    counted = SegmentLabels(Layout.of(profile), task)
    counted.add({"shop": seen.shops}, seen.scores, seen.labels)
    predicted = [round(rows / coverage) for rows in counted.rows.tolist()]
    return segment_outcomes(profile, counted, len(seen.shops), predicted)
