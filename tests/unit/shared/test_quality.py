"""Realised quality: its intervals cover what they promise, by simulation; parity is in tests/unit/drift/parity.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from everloop.quality import Estimate, calibration_error, estimates, f1, roc_auc, wilson
from everloop.sketch import Labelled
from everloop.sketch.classified import ScoreCounts

Floats = NDArray[np.float64]
RUNS, ROWS = 400, 600


def binary(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    """Scores that are not calibrated, and labels."""
    truth = rng.beta(2, 5, rows)
    labels = (rng.random(rows) < truth).astype(np.float64)
    return np.clip(truth + rng.normal(0.05, 0.1, rows), 0.02, 0.98), labels


def numbers(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    """Predictions with skewed errors, and labels."""
    labels = rng.normal(50, 10, rows)
    return labels + rng.gamma(2, 2, rows) - 4, labels


def seen(rows: tuple[Floats, Floats], task: str = "binary") -> Labelled:
    nothing = np.zeros(len(rows[0]), dtype=np.int64)
    return Labelled.observe("binary" if task == "binary" else "regression", 10.0, *rows, nothing, nothing)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_intervals_cover_the_truth_about_as_often_as_they_say(task: str) -> None:
    draw = binary if task == "binary" else numbers
    rng = np.random.default_rng(31)
    truth = estimates(seen(draw(rng, 2_000_000), task))
    runs = [estimates(seen(draw(rng, ROWS), task)) for _ in range(RUNS)]
    for name, true in truth.items():
        covered = np.mean([run[name].lower <= true.value <= run[name].upper for run in runs])
        slack = 3 * math.sqrt(0.95 * 0.05 / RUNS)
        assert covered >= 0.95 - slack, name
        assert name == "calibration_error" or covered <= 0.95 + slack, name


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_error_is_the_spread_of_the_estimate(task: str) -> None:
    draw = binary if task == "binary" else numbers
    rng = np.random.default_rng(32)
    runs = [estimates(seen(draw(rng, ROWS), task)) for _ in range(RUNS)]
    for name in runs[0].keys() - {"calibration_error"}:
        errors, values = [run[name].error for run in runs], [run[name].value for run in runs]
        assert np.mean(errors) == pytest.approx(np.std(values), rel=0.12), name


def test_the_interval_of_a_calibrated_model_reaches_down_to_zero() -> None:
    rng = np.random.default_rng(33)
    found = []
    for _ in range(200):
        scores = rng.beta(2, 5, ROWS)
        labels = (rng.random(ROWS) < scores).astype(np.float64)
        found.append(estimates(seen((scores, labels)))["calibration_error"])
    assert np.mean([one.lower == 0 for one in found]) >= 0.95
    assert all(one.value > 0 for one in found)


def test_scores_on_a_grid_lose_at_most_half_the_pairs_in_a_bin() -> None:
    rng = np.random.default_rng(34)
    for rows in (50, 500, 5000):
        scores = rng.beta(0.3, 30, rows)  # rare positives: nearly all scores in few bins
        labels = (rng.random(rows) < np.minimum(1, scores * 10)).astype(np.float64)
        counts = ScoreCounts.observe(scores, labels)
        yes, no = scores[labels == 1], scores[labels == 0]
        exact = np.mean((yes[:, None] > no[None, :]) + 0.5 * (yes[:, None] == no[None, :]))
        found = roc_auc(counts)
        assert found is not None
        together = float(counts.positives @ counts.negatives) / (len(yes) * len(no))
        assert abs(found.value - exact) <= together / 2 + 1e-12


def test_two_classes_that_do_not_overlap_have_an_interval_of_some_width() -> None:
    found = roc_auc(ScoreCounts.observe(np.array([0.1] * 90 + [0.9] * 10), np.array([0.0] * 90 + [1.0] * 10)))
    assert found is not None
    assert (found.value, found.error, found.upper) == (1, 0, 1)
    assert found.lower == pytest.approx(0.722, abs=0.001)
    turned = roc_auc(ScoreCounts.observe(np.array([0.9] * 90 + [0.1] * 10), np.array([0.0] * 90 + [1.0] * 10)))
    assert turned is not None
    assert (turned.value, turned.lower) == (0, 0)
    assert turned.upper == pytest.approx(0.278, abs=0.001)


def test_what_these_rows_cannot_carry_is_left_out() -> None:
    assert estimates(Labelled.empty("binary")) == estimates(Labelled.empty("regression", 1.0)) == {}
    assert estimates(Labelled.empty("multiclass")) == {}
    one_class = estimates(seen((np.array([0.1, 0.2]), np.array([0.0, 0.0]))))
    assert set(one_class) == {"log_loss", "brier", "accuracy", "calibration_error", "label_rate"}
    assert (f1(0, 0, 0), wilson(0, 0), calibration_error(ScoreCounts())) == (None, None, None)


def test_one_row_has_a_value_and_no_spread() -> None:
    (rmse, mae) = estimates(seen((np.array([3.0]), np.array([1.0])), "regression")).values()
    assert (rmse.value, mae.value) == pytest.approx((2, 2))
    assert (rmse.error, mae.error) == (0, 0)


def test_a_certain_score_that_was_wrong_has_a_finite_loss() -> None:
    found = estimates(seen((np.array([0.0, 1.0]), np.array([1.0, 0.0]))))["log_loss"]
    assert found == pytest.approx(Estimate(34.54, 0, 34.54, 34.54, 2), abs=0.02)
