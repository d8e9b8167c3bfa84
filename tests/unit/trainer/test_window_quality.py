"""What windows of production are compared with: the quality of windows like them, and how those differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from everloop.events import QualityMeasure, Watch
from everloop.profile import Profile, QualityProfile, build_profile
from everloop.profile.values import Segmentation
from everloop.quality import Estimate, estimates
from everloop.sketch import Labelled
from everloop_drift.domain.realised import fall
from everloop_trainer.adapters.measures import of_binary, of_numbers
from everloop_trainer.adapters.window_quality import FEWEST, pooled, with_window_quality

HOUR = 3_600_000
ROWS = 60
WATCH = Watch(every_ms=HOUR, size_ms=HOUR, min_rows=40, test="psi", score_test="psi")
Floats = NDArray[np.float64]


def day(hours: int, seed: int, swing: float = 2.0) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Times, probabilities that are true ones, and labels: who comes depends on the hour, by deviations of `swing`."""
    random = np.random.default_rng(seed)
    hour = np.repeat(np.arange(hours), ROWS)
    scores = 1 / (1 + np.exp(-1.5 * (random.normal(size=len(hour)) + swing * np.sin(hour * np.pi / 12))))
    times = hour * HOUR + np.tile(np.arange(ROWS), hours) * 1_000
    return times.astype(np.int64), scores, (random.random(len(hour)) < scores).astype(np.float64)


def profile_of(scores: Floats, labels: Floats) -> Profile:
    quality = of_binary(labels.astype(np.int64), scores)[1]
    return build_profile({"a": scores}, scores=scores, quality=quality, positive_rate=0.5, task="binary")


def by_windows(hours: int, seed: int, watch: Watch = WATCH) -> tuple[Profile, Profile]:
    times, scores, labels = day(hours, seed)
    known = profile_of(scores, labels)
    return known, with_window_quality(known, "binary", times, scores, labels, watch)


def of(profile: Profile, metric: str) -> QualityProfile:
    return next(one for one in profile.quality if one.metric == metric)


def bound(reference: QualityProfile, scores: Floats, labels: Floats) -> float | None:
    """The lower 95 % bound of the fall, as the judge of windows has it."""
    nothing = np.zeros(len(scores), dtype=np.int64)
    now = {
        name: QualityMeasure(value=one.value, error=one.error, lower=one.lower, upper=one.upper, rows=one.rows)
        for name, one in estimates(Labelled.observe("binary", 1.0, scores, labels, nothing, nothing)).items()
    }
    return fall("roc_auc", now, {"roc_auc": reference.value, "roc_auc_se": reference.standard_error})


def alarms(reference: QualityProfile) -> float:
    """Share of unchanged windows whose bound is above nothing."""
    found = []
    for seed in range(20):
        _, scores, labels = day(48, 1_000 + seed)
        hours = zip(scores.reshape(-1, ROWS), labels.reshape(-1, ROWS), strict=True)
        found += [one > 0 for some in hours if (one := bound(reference, *some)) is not None]
    return float(np.mean(found))


def test_an_hour_is_no_fall_from_the_day() -> None:
    whole, windows = by_windows(72, seed=3)

    assert of(whole, "roc_auc").value > of(windows, "roc_auc").value + 0.03, "hours are told apart, too"
    assert alarms(of(whole, "roc_auc")) > 0.2
    assert alarms(of(windows, "roc_auc")) <= 0.08


def test_a_model_that_guesses_has_fallen_all_the_same() -> None:
    _, windows = by_windows(72, seed=4)
    random = np.random.default_rng(5)
    fell = bound(of(windows, "roc_auc"), random.random(300), random.integers(0, 2, 300).astype(np.float64))
    assert fell is not None
    assert fell > 0.05


def test_windows_of_one_size_differ_as_their_variance_says() -> None:
    random = np.random.default_rng(1)
    values = 0.8 + 0.1 * random.normal(size=400)
    seen = [Estimate(float(one), 0.06, 0.0, 1.0, 50) for one in values]

    found = pooled(seen)

    between = values.var(ddof=1) - 0.06**2
    assert found.value == pytest.approx(values.mean(), rel=1e-12)
    assert found.error == pytest.approx(math.sqrt(between + (0.06**2 + between) / 400), rel=1e-9)


def test_what_is_foretold_of_a_new_window_is_kept() -> None:
    """The truth of a new window lies within 1.96 errors in 95 % of trials; windows are of unequal size."""
    random, kept, trials = np.random.default_rng(2), 0, 600
    for _ in range(trials):
        rows = random.integers(40, 200, size=60)
        truth = 0.8 + 0.05 * random.normal(size=60)
        errors = 0.4 / np.sqrt(rows)
        seen = [
            Estimate(float(mean + error * random.normal()), float(error), 0.0, 1.0, int(count))
            for mean, error, count in zip(truth, errors, rows, strict=True)
        ]
        found = pooled(seen)
        kept += abs(0.8 + 0.05 * random.normal() - found.value) <= 1.96 * found.error
    assert 0.92 <= kept / trials <= 0.98


def test_windows_that_do_not_differ_have_their_common_error() -> None:
    seen = [Estimate(0.8, 0.05, 0.0, 1.0, 50)] * 16
    assert pooled(seen).error == pytest.approx(0.05 / 4)


def test_few_windows_leave_the_holdout_as_the_reference() -> None:
    whole, windows = by_windows(FEWEST - 1, seed=1)
    assert windows.quality == whole.quality


def test_windows_with_too_few_rows_say_nothing() -> None:
    whole, windows = by_windows(72, seed=1, watch=WATCH.model_copy(update={"min_rows": ROWS + 1}))
    assert windows.quality == whole.quality


def test_windows_that_overlap_count_once() -> None:
    _, three = by_windows(72, seed=1, watch=WATCH.model_copy(update={"size_ms": 3 * HOUR}))
    _, one = by_windows(72, seed=1)
    assert of(three, "roc_auc").value > of(one, "roc_auc").value, "in three hours there is more to tell apart"
    _, apart = by_windows(72, seed=1, watch=WATCH.model_copy(update={"every_ms": 3 * HOUR, "size_ms": 3 * HOUR}))
    assert three.quality == apart.quality


def test_windows_by_rows_are_cut_by_rows() -> None:
    _, by_rows = by_windows(72, seed=1, watch=WATCH.model_copy(update={"rows": ROWS}))
    _, by_time = by_windows(72, seed=1)
    assert by_rows.quality == by_time.quality


def test_a_regression_has_the_error_of_windows() -> None:
    random = np.random.default_rng(3)
    times, scores, _ = day(72, seed=1)
    labels = scores + random.normal(size=len(scores)) * np.where(times // HOUR % 2, 0.1, 0.3)
    quality = of_numbers(labels, scores)[1]
    known = build_profile({"a": scores}, scores=scores, quality=quality, task="regression")

    found = of(with_window_quality(known, "regression", times, scores, labels, WATCH), "rmse")

    assert found.value == pytest.approx(0.2, abs=0.01), "the mean of hours"
    assert found.standard_error == pytest.approx(0.1, abs=0.01), "and how far they are from it"


def test_segments_move_with_the_whole() -> None:
    times, scores, labels = day(72, seed=1)
    known = profile_of(scores, labels)
    part = QualityProfile(metric="roc_auc", value=0.9, standard_error=0.01, rows=900, positives=400)
    split = Segmentation(
        column="shop", kind="categorical", values=("s",), rows=(900, 1), counts="", lost="", moments="",
        quality=(part, None),
    )  # fmt: skip
    segmented = known.model_copy(update={"segments": (split,)})

    found = with_window_quality(segmented, "binary", times, scores, labels, WATCH)

    moved, none = found.segments[0].quality
    assert none is None
    assert moved is not None
    fell = of(known, "roc_auc").value - of(found, "roc_auc").value
    assert moved.value == pytest.approx(0.9 - fell)
    assert moved.standard_error > part.standard_error
