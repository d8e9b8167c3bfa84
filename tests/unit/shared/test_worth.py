"""What feedback amounts to: counts that add up in any order, equal to statsmodels', and intervals that cover."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import reduce

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from everloop.errors import InvalidError
from everloop.events import LARGEST_FEEDBACK
from everloop.sketch.feedback import Brought
from everloop.worth import FEWEST, difference, mean_of, per_row, student, worth

Floats = NDArray[np.float64]
VALUES = st.floats(-LARGEST_FEEDBACK, LARGEST_FEEDBACK)
ROWS = st.lists(st.tuples(st.integers(0, 255), VALUES, st.none() | VALUES, st.integers(0, 10**9)), max_size=30)


def brought(rows: list[tuple[int, float, float | None, int]]) -> Brought:
    columns = [np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)] or [np.empty(0)] * 4
    return Brought.observe(columns[0].astype(np.int64), columns[1], columns[2], columns[3].astype(np.int64))


def of_values(groups: NDArray[np.int64], values: Floats) -> Brought:
    return Brought.observe(groups, values, np.full(len(values), np.nan), np.zeros(len(values), np.int64))


@given(ROWS, st.integers(0, 30))
def test_counts_add_up_in_any_order_to_the_byte_and_come_back(
    rows: list[tuple[int, float, float | None, int]], cut: int
) -> None:
    parts = [brought(rows[cut:]), brought(rows[:cut])]
    assert reduce(Brought.merge, parts).to_json() == brought(rows).to_json()
    assert Brought.from_plain(brought(rows).to_plain()) == brought(rows)


@given(VALUES, VALUES, VALUES)
def test_a_corrected_row_counts_once_with_its_last_value(first: float, second: float, last: float) -> None:
    said = brought([(7, first, None, 5)]).merge(brought([(7, second, first, 9)])).merge(brought([(7, last, second, 9)]))
    assert said == brought([(7, last, None, 5)])


def test_sums_are_exact_where_doubles_are_not() -> None:
    values = np.array([LARGEST_FEEDBACK, 0.1, -LARGEST_FEEDBACK, 0.2] * 1000)
    seen = of_values(np.zeros(4000, np.int64), values)
    assert seen.sums[0] == 300 * 10**6
    assert Fraction(worth(seen, None).total).limit_denominator(10) == 300


BAD: Mapping[str, object] = {
    "no buckets": {}, "another bucket": {"buckets": {"256": [1, 0, 0]}, "delays": {}, "late": {}},
    "two numbers": {"buckets": {"1": [1, 0]}, "delays": {}, "late": {}},
    "a fraction": {"buckets": {"1": [1, 0, 0.5]}, "delays": {}, "late": {}},
    "a count below zero": {"buckets": {}, "delays": {"1": -1}, "late": {}},
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(InvalidError):
        Brought.from_plain(BAD[name])  # type: ignore[arg-type]  # wrong on purpose


def test_the_error_of_a_mean_is_the_cluster_robust_one_of_statsmodels() -> None:
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 40, 700)
    values = np.round(rng.normal(groups / 10, 2), 3)
    found = mean_of(of_values(groups, values))
    fitted = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True}, use_t=True
    )
    low, high = fitted.conf_int()[0]
    assert found[:2] == pytest.approx((fitted.params[0], fitted.bse[0]), rel=1e-6)
    assert found[2:4] == pytest.approx((low, high), rel=1e-5)


def test_of_one_row_per_bucket_it_is_the_usual_error_and_a_difference_is_welchs() -> None:
    rng = np.random.default_rng(4)
    one, two = np.round(rng.exponential(10, 200), 2), np.round(rng.exponential(12, 150), 2)
    first, second = (mean_of(of_values(np.arange(len(each)), each)) for each in (one, two))
    assert first.error == pytest.approx(stats.sem(one), rel=1e-9)
    more, welch = difference(second, first), stats.ttest_ind(two, one, equal_var=False)
    assert more.error is not None
    assert more.value / more.error == pytest.approx(welch.statistic)
    assert more.freedom == pytest.approx(welch.df)
    low, high = welch.confidence_interval()
    assert more[2:4] == pytest.approx((low, high), rel=1e-4)


@pytest.mark.parametrize("freedom", [9, 10, 12.5, 20, 60, 255, 1e6])
def test_the_quantile_is_that_of_student(freedom: float) -> None:
    assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-4)


def test_too_few_buckets_give_a_mean_and_no_interval() -> None:
    few = mean_of(of_values(np.arange(FEWEST - 1), np.ones(FEWEST - 1)))
    assert (few.value, few.lower) == (1.0, None)
    assert difference(few, few).lower is None
    assert worth(Brought(), 10) == worth(Brought(), 10)._replace(rows=0, coverage=0.0, mean=None, total=0.0)
    assert worth(Brought(), None).per_row is None


def test_intervals_cover_the_truth_though_rows_of_an_entity_are_alike() -> None:
    """Ten rows of each entity share their level: an interval by rows would cover it three times of four."""
    rng, runs, hits = np.random.default_rng(5), 300, np.zeros(3)
    for _ in range(runs):
        arms = [_arm(rng, 200), _arm(rng, 150)]
        means = [mean_of(one) for one, _ in arms]
        rows = [per_row(one, predicted) for one, predicted in arms]
        truths = ((means[0], 20.0), (rows[0], 5.0), (difference(*means), 0.0))
        hits += [one.lower is not None and one.upper is not None and one.lower <= truth <= one.upper
                 for one, truth in truths]  # fmt: skip
    shares = hits / runs
    assert 0.915 < shares[0] < 0.98
    assert shares[1] > 0.915
    assert 0.915 < shares[2] < 0.98


def _arm(rng: np.random.Generator, entities: int) -> tuple[Brought, int]:
    """Rows of which a quarter brings something, 20 on average; and how many were served."""
    buckets = np.repeat(rng.integers(0, 256, entities), 10)
    levels = np.repeat(rng.gamma(4.0, 5.0, entities), 10)
    bought = rng.random(entities * 10) < 0.25
    values = levels * rng.uniform(0.8, 1.2, entities * 10)
    return of_values(buckets[bought], values[bought]), entities * 10
