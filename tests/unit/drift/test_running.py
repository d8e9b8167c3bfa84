"""What adds up over windows and columns: against scipy, against the plain sums, and what it promises, by simulation."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from everloop.measures import components, running

Floats = NDArray[np.float64]
BINS = 48
EDGES = np.linspace(-2.6, 2.6, BINS - 1)
NORMAL = tuple((1_000_000 * np.diff([0.0, *stats.norm.cdf(EDGES), 1.0])).astype(int).tolist())
MIX = (5000, 3000, 1500, 500, 0)
GROUPS = (0, 1, 2, 2, 3)


def counts(values: Floats) -> list[int]:
    found: list[int] = np.bincount(np.searchsorted(EDGES, values), minlength=BINS).tolist()
    return found


def weighted(scores: Floats, reference: tuple[int, ...]) -> list[list[float]]:
    """The scores' second moments under the reference, the constant 1 among them."""
    share = np.array(reference) / sum(reference)
    whole = np.concatenate([np.ones((len(scores), 1)), scores], axis=1)
    found: list[list[float]] = (whole.T @ (whole * share[:, None])).round(6).tolist()
    return found


def test_scores_of_numbers_are_orthonormal_and_see_location_and_spread() -> None:
    scores = components.of_numbers(NORMAL)
    assert scores.shape == (BINS, 2)
    assert weighted(scores, NORMAL) == np.eye(3).tolist()
    assert all(low < high for low, high in pairwise(scores[:, 0]))
    assert scores[0, 1] > 0 > scores[BINS // 2, 1]


def test_squares_of_categories_add_up_to_chi_square() -> None:
    scores, seen = components.of_categories(MIX[:4], (0, 1, 2, 3)), (430, 350, 180, 40)
    moved = components.moved(scores, MIX[:4], seen)
    numbers = components.standardised(moved, components.noise(scores, MIX[:4], np.array(1 / sum(seen))))
    expected = np.array(MIX[:4]) / sum(MIX) * sum(seen)
    assert float((numbers**2).sum()) == pytest.approx(float(stats.chisquare(seen, expected).statistic))


def test_a_category_that_the_reference_never_had_has_no_part() -> None:
    """It is news for the divergence; there is no chance that its share could be held against."""
    scores = components.of_categories(MIX, GROUPS)
    assert scores.shape == (5, 2)
    assert scores[4].tolist() == [0.0, 0.0]
    assert components.of_categories((0, 0), (0, 1)).shape == (2, 0)


def test_an_hour_that_stood_still_is_no_proof() -> None:
    scores, still = components.of_numbers(NORMAL), [0] * BINS
    still[BINS // 2] = 500
    assert components.noise(scores, still, np.array(0.01)).tolist() == [0.0005, 0.0005]


@pytest.mark.parametrize("reference", [(0, 100, 0), (0, 0, 0), (100,)])
def test_a_column_that_cannot_vary_has_no_components(reference: tuple[int, ...]) -> None:
    assert components.of_numbers(reference).shape == (len(reference), 0)


def test_two_values_have_a_location_and_no_spread() -> None:
    assert components.of_numbers((0, 60, 40, 0)).shape == (4, 1)


def test_a_side_without_rows_counts_as_nothing() -> None:
    scores = components.of_numbers(NORMAL)
    moved = components.moved(scores, NORMAL, [0] * BINS)
    assert components.standardised(moved, np.ones(2)).tolist() == [0.0, 0.0]


def test_a_column_that_is_normal_loses_next_to_nothing_to_the_tests_of_the_normal_distribution() -> None:
    """A shift of the mean by its t test, a wider spread by its likelihood: the mean of each number over 400 samples."""
    scores, draw, rows = components.of_numbers(NORMAL), np.random.default_rng(7), 200
    noise = components.noise(scores, NORMAL, np.array(1 / rows))

    def numbers(mean: float, spread: float) -> Floats:
        seen = counts(mean + spread * draw.normal(size=rows))
        return components.standardised(components.moved(scores, NORMAL, seen), noise)

    shifted = np.mean([numbers(0.2, 1.0) for _ in range(400)], axis=0)
    wider = np.mean([numbers(0.0, 1.2) for _ in range(400)], axis=0)
    assert shifted[0] == pytest.approx(0.2 * rows**0.5, rel=0.05)
    assert wider[1] > 0.85 * np.log(1.2) * (2 * rows) ** 0.5
    assert abs(shifted[1]) < 0.5 > abs(wider[0])


def test_by_chance_numbers_are_standard_normal_and_independent() -> None:
    draw, rows = np.random.default_rng(3), 100
    scores = components.of_numbers(NORMAL)
    noise = components.noise(scores, NORMAL, np.array(1 / rows))
    found = np.array([
        components.standardised(components.moved(scores, NORMAL, counts(draw.normal(size=rows))), noise)
        for _ in range(4000)
    ])  # fmt: skip
    assert np.abs(found.mean(axis=0)).max() < 0.06
    assert np.cov(found.T).ravel() == pytest.approx([1, 0, 0, 1], abs=0.08)
    assert float(np.mean(np.abs(found[:, 0]) > 2.58)) == pytest.approx(0.01, abs=0.006)


def test_the_running_statistics_are_the_largest_of_all_sums() -> None:
    numbers, owner = np.random.default_rng(0).normal(size=(70, 5)), running.owners([2, 0, 3])
    found = running.sums(numbers, owner)
    assert found.own.shape == (70, 3)
    for last in (0, 1, 5, 31, 69):
        squares = [
            some.sum(axis=0) ** 2 / len(some)
            for span in running.SPANS
            for some in [numbers[max(0, last + 1 - span) : last + 1]]
        ]
        for column, freedom in ((0, 2), (2, 3)):
            own = [float(running.normal(one[owner == column].sum(), freedom)) for one in squares]
            assert found.own[last, column] == pytest.approx(max(0.0, *own))
        assert found.joint[last] == pytest.approx(max(0.0, *(float(running.normal(one.sum(), 5)) for one in squares)))
    assert found.own[:, 1].tolist() == [0.0] * 70, "a column without components"


@pytest.mark.parametrize("freedom", [1, 2, 12, 80])
def test_a_chi_square_becomes_as_rare_a_normal_number(freedom: int) -> None:
    for tail in (0.05, 0.01, 0.001):
        found = float(running.normal(stats.chi2.isf(tail, freedom), freedom))
        assert found == pytest.approx(stats.norm.isf(tail), abs=0.06)


def test_at_most_so_many_windows_are_added_up() -> None:
    numbers, owner = np.array([[3.0]] * 20 + [[0.0]] * 2), running.owners([1])
    assert running.sums(numbers, owner, most=2).own[-1, 0] == 0.0
    assert running.sums(numbers, owner).own[-1, 0] > 9


def test_what_moves_many_columns_a_little_is_seen_together() -> None:
    """Twelve columns, each by a deviation of its window's number: in none of them by itself beyond chance."""
    draw, owner = np.random.default_rng(11), running.owners([1] * 12)
    moved = running.sums(draw.normal(1.0, 1.0, size=(4, 12)), owner)
    assert moved.joint[-1] > 4 > moved.own[0].max()


def test_the_columns_that_stand_out_are_those_that_moved() -> None:
    numbers, owner = np.zeros((4, 6)), running.owners([1] * 6)
    numbers[:, 2], numbers[:, 4] = 3.0, 2.5
    assert running.outstanding(numbers, owner, usual=2.0) == [2, 4]
    assert running.outstanding(np.zeros((4, 6)), owner, usual=2.0) == []
