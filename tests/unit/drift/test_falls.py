"""Lower limits of a fall: what they are made of, and what they promise where each side has few rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from everloop_drift.domain.falls import Side, fall_of_area, rise_of_error

CHANCE = 0.05 / 20


def test_with_many_rows_and_small_errors_it_is_the_difference_less_its_error() -> None:
    then, now = Side(0.8, 1e-4, 10**6), Side(0.7, 2e-4, 10**6)
    expected = 0.1 - stats.norm.ppf(1 - CHANCE) * math.hypot(1e-4, 2e-4)
    assert fall_of_area(then, now, CHANCE) == pytest.approx(expected, rel=1e-3)
    assert rise_of_error(now, then, CHANCE) == pytest.approx(expected, rel=1e-3)


def test_an_area_near_its_end_has_the_limit_on_log_odds_and_one_amid_that_of_its_scale() -> None:
    sure = Side(0.5, 0.0, 10**6)
    quantile = stats.t.ppf(1 - CHANCE, 29)
    odds = math.log(0.95 / 0.05) - quantile * 0.02 / (0.95 * 0.05)
    assert fall_of_area(Side(0.95, 0.02, 30), sure, CHANCE) == pytest.approx(1 / (1 + math.exp(-odds)) - 0.5)
    assert fall_of_area(sure, Side(0.2, 0.02, 30), CHANCE) < 0.3 - quantile * 0.02
    assert fall_of_area(Side(0.4, 0.02, 30), sure, CHANCE) == pytest.approx(-0.1 - quantile * 0.02)


def test_classes_that_do_not_overlap_are_no_certainty() -> None:
    square = stats.norm.ppf(1 - CHANCE) ** 2
    assert fall_of_area(Side(1.0, 0.0, 30), Side(0.5, 0.0, 30), CHANCE) == pytest.approx(30 / (30 + square) - 0.5)
    assert fall_of_area(Side(0.5, 0.0, 30), Side(0.0, 0.0, 30), CHANCE) == pytest.approx(30 / (30 + square) - 0.5)


def test_an_error_of_nothing_has_no_limit_on_a_logarithm() -> None:
    assert rise_of_error(Side(0.0, 0.0, 30), Side(1.0, 0.1, 10**6), CHANCE) < 1.0
    assert rise_of_error(Side(1.0, 0.1, 500), Side(1.0, 0.1, 500), CHANCE) < 0


@pytest.mark.parametrize("rows", [500, 1000])
def test_an_error_that_did_not_rise_is_seldom_said_to_have(rows: int) -> None:
    """As seldom in each of twenty segments as they share; the residuals are no heavier than Laplace's."""
    rng = np.random.default_rng(rows)
    squares = rng.laplace(size=(2, 2000, rows)) ** 2
    roots = np.sqrt(squares.mean(axis=2))
    errors = squares.std(axis=2, ddof=1) / math.sqrt(rows) / (2 * roots)
    found = sum(
        rise_of_error(Side(then, then_error, rows), Side(now, now_error, rows), CHANCE) > 0
        for then, now, then_error, now_error in zip(*roots, *errors, strict=True)
    )
    assert found <= stats.binom.ppf(0.999, 2000, CHANCE)
