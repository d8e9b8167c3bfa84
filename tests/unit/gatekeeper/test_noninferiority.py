"""The gate's statistics against slow references, and their error rates by simulation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, mean_absolute_error, roc_auc_score
from sklearn.metrics import root_mean_squared_error as rmse

from everloop_gatekeeper.domain.noninferiority import (
    HIGHER_IS_BETTER,
    AucEstimate,
    Contrast,
    Metric,
    alpha_for_attempt,
    delong,
    judge,
    noninferiority,
    paired_bootstrap,
)

Floats: TypeAlias = NDArray[np.float64]
PHI = NormalDist()


def two_models(rng: np.random.Generator, positives: int, negatives: int, shift: Floats) -> tuple[Floats, Floats]:
    """Binormal scores, correlation 0.8 between two models; `shift` (standard deviations) separates the classes."""
    labels = np.repeat([1.0, 0.0], [positives, negatives])
    common, own = rng.normal(size=labels.size), rng.normal(size=(2, labels.size))
    return labels, np.sqrt(0.8) * common + np.sqrt(0.2) * own + shift[:, None] * labels


def shift_for(auc: float) -> float:
    return float(np.sqrt(2) * PHI.inv_cdf(auc))


def contrasts(runs: int, positives: int, negatives: int, new: float, champion: float, seed: int) -> list[Contrast]:
    rng = np.random.default_rng(seed)
    shift = np.array([shift_for(new), shift_for(champion)])
    drawn = (delong(*two_models(rng, positives, negatives, shift)) for _ in range(runs))
    return [contrast_of(one) for one in drawn]


def contrast_of(one: AucEstimate) -> Contrast:
    return noninferiority(one.auc[0], one.auc[1], one.covariance, samples=one.samples, degrees=one.degrees)


def binomial_ceiling(rate: float, runs: int) -> float:
    """Above this a true rate of `rate` is seen once in about 1,000 simulations."""
    return float(rate + 3.1 * np.sqrt(rate * (1 - rate) / runs))


def structural_components(labels: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """DeLong's definition, O(n^2)."""
    up, down = scores[:, labels == 1], scores[:, labels == 0]
    wins = (up[:, :, None] > down[:, None, :]) + 0.5 * (up[:, :, None] == down[:, None, :])
    by_up, by_down = wins.mean(axis=2), wins.mean(axis=1)
    return wins.mean(axis=(1, 2)), np.cov(by_up) / up.shape[1] + np.cov(by_down) / down.shape[1]


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_areas_and_covariance_equal_the_definition_also_with_ties(digits: int) -> None:
    labels, scores = two_models(np.random.default_rng(1), 60, 140, np.array([1.0, 0.7]))
    scores = scores.round(digits)
    measured = delong(labels, scores)
    auc, covariance = structural_components(labels, scores)
    assert measured.auc == pytest.approx([roc_auc_score(labels, model) for model in scores], abs=1e-12)
    assert measured.auc == pytest.approx(auc, abs=1e-12)
    np.testing.assert_allclose(measured.covariance, covariance, atol=1e-12)
    assert (measured.positives, measured.negatives) == (60, 140)


def test_delong_agrees_with_the_bootstrap() -> None:
    rng = np.random.default_rng(2)
    labels, scores = two_models(rng, 200, 400, np.array([1.0, 0.8]))
    picks = (np.r_[rng.integers(0, 200, 200), 200 + rng.integers(0, 400, 400)] for _ in range(2000))
    drawn = np.array([delong(labels[pick], scores[:, pick]).auc for pick in picks])
    np.testing.assert_allclose(delong(labels, scores).covariance, np.cov(drawn.T), rtol=0.15)


def test_repeating_every_row_within_its_group_adds_no_evidence() -> None:
    labels, scores = two_models(np.random.default_rng(3), 300, 500, np.array([1.0, 0.8]))
    once = np.array(delong(labels, scores).covariance)
    entity = np.tile(np.arange(800), 4)
    four_times = np.tile(labels, 4), np.tile(scores, 4)
    np.testing.assert_allclose(delong(*four_times, entity).covariance, once, rtol=0.01)
    np.testing.assert_allclose(delong(*four_times).covariance, once / 4, rtol=0.01)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], [0, 0, 1], [0, 2, 1]])
def test_delong_refuses_what_it_cannot_measure(labels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"class|0 and 1"):
        delong(np.array(labels), np.zeros((2, 3)))


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        delong(np.array([0, 1, 0, 1]), np.array([[0.1, np.nan, 0.2, 0.3]]))


REFERENCES: dict[Metric, Callable[..., Any]] = {
    "log_loss": log_loss,
    "brier": brier_score_loss,
    "accuracy": accuracy_score,
    "mae": mean_absolute_error,
    "rmse": rmse,
}


@pytest.mark.parametrize("metric", HIGHER_IS_BETTER)
def test_metrics_equal_the_reference_and_their_draws_the_closed_form(metric: Metric) -> None:
    rng = np.random.default_rng(4)
    truth = rng.uniform(0.05, 0.95, 900)
    labels = (rng.random(900) < truth).astype(np.int64)
    scores = np.array([truth, np.clip(truth + rng.normal(0, 0.1, 900), 0.01, 0.99)])
    scores = scores.round() if metric == "accuracy" else scores
    measured = paired_bootstrap(metric, labels, scores, draws=1500, seed=5)
    assert measured.value == pytest.approx([REFERENCES[metric](labels, model) for model in scores], rel=1e-9)
    assert measured == paired_bootstrap(metric, labels, scores, draws=1500, seed=5)
    if metric == "mae":
        np.testing.assert_allclose(measured.covariance, np.cov(np.abs(scores - labels)) / 900, rtol=0.15)


def test_class_probabilities_are_measured_as_by_the_reference() -> None:
    rng = np.random.default_rng(6)
    scores, labels = rng.dirichlet([1, 2, 3], size=(2, 200)), rng.integers(0, 3, 200)
    measured = paired_bootstrap("log_loss", labels, scores, draws=10)
    assert measured.value == pytest.approx([log_loss(labels, model) for model in scores])
    brier = [np.square(model - np.eye(3)[labels]).sum(axis=1).mean() for model in scores]
    assert paired_bootstrap("brier", labels, scores, draws=10).value == pytest.approx(brier)


def test_drawing_groups_widens_the_spread_that_dependent_rows_understate() -> None:
    rng = np.random.default_rng(7)
    groups = np.repeat(np.arange(100), 20)
    labels = rng.normal(size=2000)
    scores = labels + np.repeat(rng.normal(size=(2, 100)), 20, axis=1)
    rows = np.array(paired_bootstrap("mae", labels, scores).covariance)
    clusters = paired_bootstrap("mae", labels, scores, groups)
    assert clusters.clusters == 100
    assert np.diag(clusters.covariance) / np.diag(rows) == pytest.approx([20, 20], rel=0.25)


def test_one_group_has_no_spread() -> None:
    with pytest.raises(ValueError, match="two independent"):
        paired_bootstrap("mae", np.zeros(5), np.zeros((2, 5)), np.zeros(5))


COVARIANCE = ((4e-6, 1e-6), (1e-6, 4e-6))


def test_the_contrast_is_said_with_its_figures() -> None:
    said = noninferiority(0.9, 0.9, COVARIANCE, samples=500)
    assert said.estimate == pytest.approx(0.009)
    assert said.standard_error == pytest.approx(np.sqrt(4e-6 - 2 * 0.99e-6 + 0.99**2 * 4e-6))
    assert said.lower == pytest.approx(said.estimate - 1.6449 * said.standard_error, rel=1e-4)
    assert said.power_at_equality == pytest.approx(PHI.cdf(said.estimate / said.standard_error - 1.6449), rel=1e-4)
    assert said.p_value == pytest.approx(PHI.cdf(-said.estimate / said.standard_error), rel=1e-4)
    assert orjson.loads(orjson.dumps(asdict(said))) == asdict(said)


def test_lower_is_better_exchanges_the_roles() -> None:
    worse, better = noninferiority(0.2, 0.1, COVARIANCE), noninferiority(0.2, 0.1, COVARIANCE, higher_is_better=False)
    assert (judge(worse), judge(better)) == ("pass", "fail")
    assert better.estimate == pytest.approx(0.1 - 0.99 * 0.2)


def test_at_the_detectable_margin_an_equal_challenger_passes_four_times_of_five() -> None:
    wide = noninferiority(0.9, 0.9, COVARIANCE, ratio=1.0)
    at_margin = noninferiority(0.9, 0.9, COVARIANCE, ratio=1 - wide.detectable_margin)
    assert at_margin.power_at_equality == pytest.approx(0.8, abs=0.01)


def test_few_rows_are_said_and_clearly_worse_fails_all_the_same() -> None:
    spread = ((1e-3, 0.0), (0.0, 1e-3))
    assert judge(noninferiority(0.88, 0.9, spread)) == "too_few"
    assert judge(noninferiority(0.70, 0.9, spread)) == "fail"
    assert judge(noninferiority(0.88, 0.9, ((1e-7, 0.0), (0.0, 1e-7)))) == "fail"


def test_perfect_areas_on_a_handful_of_rows_prove_nothing() -> None:
    zero = ((0.0, 0.0), (0.0, 0.0))
    assert judge(noninferiority(1.0, 1.0, zero, samples=19)) == "too_few"
    assert judge(noninferiority(1.0, 1.0, zero, samples=20)) == "pass"


def test_a_negative_champion_has_no_share() -> None:
    with pytest.raises(ValueError, match="share"):
        noninferiority(0.1, -0.2, COVARIANCE)


def test_a_challenger_at_the_margin_passes_with_probability_alpha_at_most() -> None:
    for champion, positives, negatives in (
        (0.8, 150, 850),
        (0.8, 30, 500),
        (0.9, 30, 600),
        (0.97, 60, 600),
        (0.995, 100, 1000),
    ):
        said = contrasts(1500, positives, negatives, 0.99 * champion, champion, seed=11)
        passes = float(np.mean([judge(one) == "pass" for one in said]))
        covered = float(np.mean([one.lower <= 0 for one in said]))
        sys.stdout.write(f"\nAUC {champion}, {positives}/{negatives}: wrong passes {passes:.4f}, covered {covered:.4f}")
        assert passes <= binomial_ceiling(0.05, 1500)
        assert covered >= 1 - binomial_ceiling(0.05, 1500)


def test_the_stated_power_is_the_rate_at_which_equal_challengers_pass() -> None:
    for positives in (200, 800, 3000):
        said = contrasts(500, positives, 2 * positives, 0.85, 0.85, seed=12)
        passes = float(np.mean([judge(one) == "pass" for one in said]))
        stated = float(np.mean([one.power_at_equality for one in said]))
        sys.stdout.write(f"\n{positives} positives: stated power {stated:.3f}, passes {passes:.3f}")
        assert passes == pytest.approx(stated, abs=0.06)


def test_measuring_again_while_data_grows_needs_the_shared_alpha() -> None:
    rng = np.random.default_rng(13)
    steps = rng.normal(size=(20000, 10)).cumsum(axis=1) / np.sqrt(np.arange(1, 11))
    careless = float(np.mean((steps > PHI.inv_cdf(0.95)).any(axis=1)))
    shared = np.array([PHI.inv_cdf(1 - alpha_for_attempt(0.05, attempt)) for attempt in range(1, 11)])
    careful = float(np.mean((steps > shared).any(axis=1)))
    sys.stdout.write(f"\nten measurements at the margin: passes {careless:.3f} at 5 % each, {careful:.3f} when shared")
    assert careless > 0.1
    assert careful <= 0.05
