"""One number per column: each divergence beside scipy, its noise and its tail beside simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from everloop.loop import Test
from everloop.measures import statistics
from everloop.measures.divergence import (
    Shape,
    divergence,
    in_unit_of_the_test,
    inverse_rows,
    noise_per_row,
    ratio_of,
    standardised,
)

TESTS: tuple[Test, ...] = ("psi", "chi_square", "jensen_shannon", "ks", "wasserstein")
BINS = 20
PLACES = np.arange(BINS, dtype=np.float64)
GROUPS = np.arange(BINS) // 2


def a_shape(test: Test) -> Shape:
    return Shape.of(test, GROUPS, PLACES, 4.0)


def counts(seed: int, rows: int, size: tuple[int, ...] = ()) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    weights = stats.norm.pdf(np.linspace(-2.5, 2.5, BINS))
    return np.random.default_rng(seed).multinomial(rows, weights / weights.sum(), size=size or None)


def test_each_divergence_is_that_of_scipy() -> None:
    one, two = counts(1, 3000), counts(2, 400)
    grouped = [np.bincount(GROUPS, weights=side) for side in (one, two)]
    values = [np.repeat(PLACES, side) for side in (one, two)]
    expected = {
        "psi": float(statistics.psi(*grouped)),
        "chi_square": stats.chi2_contingency(np.array(grouped), correction=False).statistic * (1 / 3000 + 1 / 400),
        "jensen_shannon": jensenshannon(*grouped, base=2) ** 2,
        "ks": stats.ks_2samp(*values).statistic ** 2,
        "wasserstein": (stats.wasserstein_distance(*values) / 4.0) ** 2,
    }
    for test in TESTS:
        assert float(divergence(a_shape(test), one, two)) == pytest.approx(expected[test], abs=1e-9), test


@pytest.mark.parametrize("test", TESTS)
def test_the_noise_is_what_chance_makes(test: Test) -> None:
    """Over 1,500 pairs of which neither has changed; the distances that are bounded by bins are a little less."""
    reference, current = counts(3, 4000, (1500,)), counts(4, 400, (1500,))
    shape = a_shape(test)
    found = divergence(shape, reference, current).mean()
    expected = noise_per_row(shape, reference.sum(axis=0)) * float(inverse_rows(4000, 400))
    assert found == pytest.approx(expected, rel=0.1 if test in {"psi", "chi_square", "jensen_shannon"} else 0.35)


@pytest.mark.parametrize("groups", [4, 10])
def test_few_groups_and_many_have_the_same_tail(groups: int) -> None:
    """As a normal number: one in a hundred above 2.33. The ratio itself is 3.8 and 2.4 there."""
    shape = Shape.of("chi_square", np.arange(groups))
    draw = np.random.default_rng(groups)
    reference, current = (draw.multinomial(rows, [1 / groups] * groups, size=20_000) for rows in (20_000, 500))
    ratio = divergence(shape, reference, current) / (groups - 1) / float(inverse_rows(20_000, 500))
    numbers = standardised(ratio, float(np.cbrt(ratio).mean()), float(np.cbrt(ratio).std()))
    assert float(np.quantile(numbers, 0.99)) == pytest.approx(stats.norm.ppf(0.99), abs=0.1)


def test_a_ratio_comes_back() -> None:
    assert ratio_of(float(standardised(1.7, 0.95, 0.2)), 0.95, 0.2) == pytest.approx(1.7)
    assert ratio_of(-100.0, 0.95, 0.2) == 0.0
    assert float(standardised(1.7, 0.95, 0.0)) == 0.0


def test_a_divergence_as_the_tests_own_statistic() -> None:
    assert in_unit_of_the_test("psi", 0.3, 0.01) == 0.3
    assert in_unit_of_the_test("ks", 0.09, 0.01) == pytest.approx(0.3)
    assert in_unit_of_the_test("chi_square", 0.3, 0.01) == pytest.approx(30.0)


def test_a_side_without_rows_has_no_divergence() -> None:
    for test in TESTS:
        assert np.isnan(divergence(a_shape(test), counts(1, 100), np.zeros(BINS))), test
