"""Two numbers for a change that no single column shows: as their references define them, and right as often as said."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import energy_distance
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from everloop_drift.domain import multivariate
from everloop_drift.domain.multivariate import Columns, area, coded, domain_auc, energy, placed

NAN = float("nan")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the job has it."""
    with threadpool_limits(1):
        yield


def a_world(chance: np.random.Generator, rows: int, correlation: float = 0.0) -> Columns:
    """Three numbers and a category; `a` and `b` hang together, each of them is standard normal whatever happens."""
    a, other = chance.normal(size=(2, rows))
    b = correlation * a + np.sqrt(1 - correlation**2) * other
    return {
        "a": a,
        "b": b,
        "noise": chance.normal(size=rows),
        "text": [str(one) for one in chance.integers(0, 4, rows)],
    }


def two_worlds(seed: int, rows: int, correlation: float = 0.0) -> tuple[Columns, Columns]:
    chance = np.random.default_rng(seed)
    return a_world(chance, rows), a_world(chance, rows, correlation)


def test_the_energy_distance_of_one_column_is_that_of_scipy() -> None:
    chance = np.random.default_rng(1)
    one, two = chance.normal(size=300), chance.normal(0.3, 1.3, size=200)
    lowest, highest = np.sort(np.concatenate([one, two]))[[2, -3]]  # 0.5 % of 500 at either end
    one, two = np.clip(one, lowest, highest), np.clip(two, lowest, highest)
    deviation = np.concatenate([one, two]).std()
    found = energy({"a": one}, {"a": two}, seed=1)
    assert found is not None
    assert found.distance == pytest.approx(energy_distance(one / deviation, two / deviation), rel=1e-9)
    assert found.rows == 500


def test_the_energy_distance_of_several_columns_is_its_definition() -> None:
    sides = placed(*two_worlds(2, 30, 0.9))
    within = [[np.linalg.norm(p - q) for p in side for q in side] for side in sides]
    between = [np.linalg.norm(p - q) for p in sides[0] for q in sides[1]]
    squared = 2 * np.mean(between) - np.mean(within[0]) - np.mean(within[1])
    found = energy(*two_worlds(2, 30, 0.9), seed=1)
    assert found is not None
    assert found.distance**2 == pytest.approx(squared, rel=1e-9)


def test_p_values_of_the_energy_distance_are_uniform_when_nothing_has_changed() -> None:
    found = [energy(*two_worlds(seed, 40), seed + 10_000) for seed in range(300)]
    p_values = np.array([one.p_value for one in found if one])
    assert 0.02 <= np.mean(p_values <= 0.05) <= 0.08  # 0.05 +- 2.4 standard errors
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.055)  # 3.3 standard errors


def test_the_area_is_that_of_sklearn_and_its_variance_the_one_of_delong() -> None:
    chance = np.random.default_rng(3)
    positive, negative = chance.integers(1, 10, 40).astype(np.float64), chance.integers(0, 9, 50).astype(np.float64)
    value, variance = area(positive, negative)
    truth = np.repeat([1, 0], [40, 50])
    assert value == pytest.approx(roc_auc_score(truth, np.concatenate([positive, negative])), abs=1e-12)
    order = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    delong = order.mean(axis=1).var(ddof=1) / 40 + order.mean(axis=0).var(ddof=1) / 50
    assert variance == pytest.approx(delong, rel=1e-12)


def test_the_interval_of_the_area_holds_what_it_says_when_nothing_has_changed() -> None:
    found = [one for seed in range(40) if (one := domain_auc(*two_worlds(seed, 100), seed))]
    assert np.mean([one.lower <= 0.5 <= one.upper for one in found]) >= 0.87  # 0.95 - 2.3 standard errors
    assert np.std([one.value for one in found]) == pytest.approx(np.mean([one.error for one in found]), rel=0.35)


@pytest.mark.soak
def test_the_interval_of_the_area_in_many_worlds() -> None:
    found = [one for seed in range(1000) if (one := domain_auc(*two_worlds(seed, 150), seed))]
    assert 0.012 <= np.mean([one.lower > 0.5 for one in found]) <= 0.04
    assert 0.012 <= np.mean([one.upper < 0.5 for one in found]) <= 0.04


def test_a_correlation_that_came_is_found_though_no_column_shows_it() -> None:
    reference, current = two_worlds(5, 1500, 0.8)
    found, moved = domain_auc(reference, current, seed=1), energy(reference, current, seed=1)
    assert found is not None
    assert moved is not None
    assert found.lower > 0.6
    assert moved.p_value == 0.005  # the smallest that 199 permutations can say
    alone = energy({"b": reference["b"]}, {"b": current["b"]}, seed=1)
    assert alone is not None
    assert alone.p_value > 0.05


def test_the_same_rows_and_seed_give_the_same_numbers() -> None:
    sides = two_worlds(6, 200, 0.5)
    assert domain_auc(*sides, seed=7) == domain_auc(*sides, seed=7)
    assert energy(*sides, seed=7) == energy(*sides, seed=7)


def test_missing_values_and_texts_have_places_of_their_own() -> None:
    one, two = placed({"n": np.array([1.0, NAN]), "t": ["x", None]}, {"n": np.array([3.0, np.inf]), "t": ["y", "x"]})
    assert one.tolist() == [[pytest.approx(-1.0), 0.0, pytest.approx(0.5**0.5), 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 1.0]]
    assert np.linalg.norm(one[0, 2:4] - two[0, 2:4]) == pytest.approx(1.0)  # two different texts are one apart
    assert two[1].tolist() == [0.0, 1.0, pytest.approx(0.5**0.5), 0.0, 0.0]


def test_a_missing_spike_is_found() -> None:
    chance = np.random.default_rng(8)
    whole = chance.normal(size=400)
    holes = np.where(chance.random(400) < 0.3, NAN, chance.normal(size=400))
    found, moved = domain_auc({"a": whole}, {"a": holes}, 1), energy({"a": whole}, {"a": holes}, 1)
    assert found is not None
    assert moved is not None
    assert found.lower > 0.55
    assert moved.p_value == 0.005


def test_rare_categories_share_a_code_and_wild_numbers_are_cut() -> None:
    many = [str(place) for place in range(200)]
    (codes, _) = coded({"t": many}, {"t": many})
    assert codes.max() == multivariate.MOST_CATEGORIES
    normal = np.random.default_rng(9).normal(size=999)
    (axis, _) = placed({"n": np.append(normal, 1e300)}, {"n": np.append(normal, -1e300)})
    assert axis[:-1].std() == pytest.approx(1.0, abs=0.01)
    assert axis.max() < 4
    (axis, _) = placed({"n": normal * 5e307}, {"n": normal * 5e307})
    assert axis.std() == pytest.approx(1.0)


def test_too_few_rows_say_nothing() -> None:
    few = {"a": np.zeros(multivariate.FEWEST_ROWS - 1)}
    assert domain_auc(few, {"a": np.zeros(500)}, 1) is None
    assert energy({"a": np.zeros(1)}, {"a": np.zeros(500)}, 1) is None


def test_a_bounded_sample_is_compared() -> None:
    rows = {"a": np.arange(5000.0)}
    found = energy(rows, rows, 1)
    assert found is not None
    assert found.rows == 2 * multivariate.ENERGY_ROWS
    assert found.distance == pytest.approx(0.0, abs=1e-6)
    assert found.p_value == 1.0
