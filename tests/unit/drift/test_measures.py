"""Measures agree with the libraries that people compare us with, are quiet without drift, and see a planted shift."""

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import distance

from everloop.profile import Profile, build_profile
from everloop.sketch import Sketch, observe
from everloop_drift.domain.measures import (
    ColumnMeasure,
    Rule,
    Rules,
    chi_square,
    jensen_shannon,
    ks,
    measure,
    measure_score,
    missing_rate_change,
    psi,
    psi_noise,
    share_drifted,
    unseen_rate,
    wasserstein,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Evidently 0.7 touches numpy's old names while it is imported
    from evidently.legacy.calculations.stattests import psi_stat_test
    from evidently.legacy.core import ColumnType

HISTOGRAMS = st.integers(2, 12).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 50), min_size=bins, max_size=bins).filter(any)] * 2)
)
ROWS, COLUMNS = 2000, 20


def a_profile(**columns: Any) -> Profile:  # noqa: ANN401  # raw data
    return build_profile(columns, scores=np.random.default_rng(0).uniform(size=ROWS))


def a_window(profile: Profile, **columns: Any) -> Sketch:  # noqa: ANN401  # raw data
    return observe(profile, columns, np.random.default_rng(1).uniform(size=len(next(iter(columns.values())))))


def measured(reference: Any, current: Any, rules: Rules | None = None) -> tuple[ColumnMeasure, ...]:  # noqa: ANN401  # raw data
    profile = a_profile(x=reference)
    return measure(profile, a_window(profile, x=current), rules or Rules())


def normal(seed: int, rows: int = ROWS, shift: float = 0.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(shift, size=rows)


def evidently_psi(reference: list[int], current: list[int]) -> float:
    codes = pd.Series(as_rows(reference)), pd.Series(as_rows(current))
    return float(psi_stat_test.func(*codes, ColumnType.Categorical, 0.1)[0])


def as_rows(counts: list[int]) -> list[int]:
    return [place for place, count in enumerate(counts) for _ in range(count)]


# ------------------------------------------------------------------------------------------- parity with libraries


@given(HISTOGRAMS)
def test_psi_is_evidentlys_on_categorical_codes(pair: tuple[list[int], list[int]]) -> None:
    reference, current = pair
    theirs = evidently_psi(reference, current)
    used = [(r, c) for r, c in zip(reference, current, strict=True) if r or c]  # Evidently knows no other codes
    ours = psi([r for r, _ in used], [c for _, c in used])
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)


def test_psi_fills_a_zero_beside_a_tiny_share_by_a_millionth_as_evidently_does() -> None:
    reference, current = [20_000, 1, 0], [10_000, 10_000, 10_000]
    theirs = evidently_psi(reference, current)
    assert psi(reference, current) == pytest.approx(theirs, rel=1e-12)


@given(HISTOGRAMS)
def test_ks_is_scipys_on_binned_data(pair: tuple[list[int], list[int]]) -> None:
    theirs = stats.ks_2samp(as_rows(pair[0]), as_rows(pair[1]), method="asymp")
    ours = ks(*pair)
    assert ours.statistic == pytest.approx(theirs.statistic, abs=1e-12)
    if min(sum(pair[0]), sum(pair[1])) > 1:  # with one row scipy's rounding of the effective size gives zero rows
        assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-12)


@given(HISTOGRAMS)
def test_chi_square_is_scipys(pair: tuple[list[int], list[int]]) -> None:
    table = np.array(pair)
    theirs = stats.chi2_contingency(table[:, table.any(axis=0)], correction=False)
    assert chi_square(*pair) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9, abs=1e-12)


@given(HISTOGRAMS, st.sampled_from([2.0, math.e]))
def test_jensen_shannon_is_scipys(pair: tuple[list[int], list[int]], base: float) -> None:
    theirs = distance.jensenshannon(pair[0], pair[1], base)
    assert jensen_shannon(*pair, base=base) == pytest.approx(theirs, abs=1e-7)


def test_wasserstein_is_near_scipys_on_rows() -> None:
    reference, current = normal(1, 20_000), normal(2, 20_000, shift=0.5)
    column = a_profile(x=reference).columns[0]
    seen = observe(a_profile(x=reference), {"x": current}).columns["x"]
    theirs = stats.wasserstein_distance(reference, current) / reference.std()
    assert wasserstein(column.edges, column.counts, seen.counts) == pytest.approx(theirs, rel=0.05)


def test_a_missing_rate_is_compared_by_two_proportions() -> None:
    change = missing_rate_change(10, 1000, 30, 1000)
    theirs = chi_square([10, 990], [30, 970])  # z squared is chi-square with one degree of freedom
    assert change.difference == pytest.approx(0.02)
    assert (change.z**2, change.p_value) == pytest.approx(theirs)


def test_an_empty_side_is_not_measurable() -> None:
    empty, some = [0, 0], [1, 2]
    values = [
        psi(empty, some), psi(some, empty), *ks(some, empty), *chi_square(empty, some), jensen_shannon(some, empty),
        wasserstein([1.0], empty, some), unseen_rate(some, empty), *missing_rate_change(0, 0, 1, 1),
    ]  # fmt: skip
    assert all(math.isnan(value) for value in values)
    assert psi_noise(10, 0, 5) == math.inf


@given(HISTOGRAMS)
def test_a_distribution_does_not_differ_from_itself(pair: tuple[list[int], list[int]]) -> None:
    same = pair[0]
    assert psi(same, same) == 0
    assert ks(same, same) == (0, 1)
    assert chi_square(same, same).p_value == pytest.approx(1)
    assert jensen_shannon(same, same) == pytest.approx(0, abs=1e-7)
    assert unseen_rate(same, same) == 0


# ------------------------------------------------------------------------------------------------------- the decision


def test_no_false_alarm_in_fifty_stationary_windows() -> None:
    rng = np.random.default_rng(11)
    profile = a_profile(**{f"x{place}": rng.normal(size=ROWS) for place in range(COLUMNS)})
    values: list[float] = []
    for _ in range(50):
        found = measure(profile, a_window(profile, **{c.name: rng.normal(size=ROWS) for c in profile.columns}), Rules())
        assert not any(one.drifted for one in found)
        values += [one.value for one in found]
    assert np.mean(values) == pytest.approx(psi_noise(10, ROWS, ROWS), rel=0.1)  # the formula of the noise holds


def test_ks_keeps_its_level_without_drift() -> None:
    rng = np.random.default_rng(12)
    rules = Rules(default=Rule("ks", 0.05))
    profile = a_profile(**{f"x{place}": rng.normal(size=ROWS) for place in range(COLUMNS)})
    alarms = [
        one.drifted
        for _ in range(20)
        for one in measure(
            profile, a_window(profile, **{c.name: rng.normal(size=ROWS) for c in profile.columns}), rules
        )
    ]
    assert 0 < np.mean(alarms) < 0.1


RULES = [Rule("psi", 0.2), Rule("ks", 0.01), Rule("chi_square", 0.05), Rule("jensen_shannon"), Rule("wasserstein", 0.1)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.test)
def test_every_test_sees_a_shift_of_one_deviation_and_says_which_it_was(rule: Rule) -> None:
    (same,) = measured(normal(1), normal(3), Rules(default=rule))
    (moved,) = measured(normal(1), normal(3, shift=1.0), Rules(default=rule))
    assert (same.drifted, moved.drifted) == (False, True)
    assert (moved.test, moved.limit, moved.rows) == (rule.test, rule.limit, ROWS)


def test_power_against_half_a_deviation() -> None:
    found = [measured(normal(1), normal(seed, shift=0.6))[0].drifted for seed in range(100, 130)]
    assert np.mean(found) > 0.9


def test_categories_have_no_order() -> None:
    words, moved = ["a", "b"] * 1000, ["a", "b", "b", "b"] * 500
    found = [measured(words, moved, Rules(default=Rule(test, 0.05)))[0] for test in ("ks", "wasserstein")]
    assert [one.test for one in found] == ["chi_square", "jensen_shannon"]
    assert all(one.drifted for one in found)


def test_a_new_category_is_drift() -> None:
    (one,) = measured(["a", "b"] * 1000, ["a", "b", "new", "a", "b"] * 200)
    assert one.drifted
    assert one.test == "psi"


def test_leaving_a_constant_is_a_share_and_no_infinite_psi() -> None:
    found = [measured([3.0] * ROWS, [3.0] * (1000 - left) + [4.0] * left)[0] for left in (0, 200, 201)]
    assert [(one.test, one.value, one.drifted) for one in found] == [
        ("outside_constant", 0.0, False),
        ("outside_constant", 0.2, False),
        ("outside_constant", 0.201, True),
    ]


def test_values_in_a_column_that_never_had_one_are_drift() -> None:
    found = measured([None] * ROWS, [None] * 500 + [1.0] * 500)
    assert [(one.test, one.value, one.drifted) for one in found] == [
        ("outside_constant", 0.5, True),
        ("missing_rate", 0.5, True),
    ]


def test_a_column_that_vanished_is_drift() -> None:
    distribution, missing = measured(normal(1), [None] * 1000)
    assert (distribution.drifted, math.isnan(distribution.value)) == (False, True)
    assert (missing.test, missing.value, missing.drifted) == ("missing_rate", 1.0, True)


def test_few_rows_are_no_evidence() -> None:
    assert not measured(normal(1), normal(2, 499, shift=3))[0].drifted
    assert measured(normal(1), normal(2, 500, shift=3))[0].drifted


def test_the_noise_stands_beside_the_psi() -> None:
    (one,) = measured(normal(1), normal(2, 500))
    assert one.noise == pytest.approx(9 * (1 / 2000 + 1 / 500))


def test_the_score_has_its_own_rule() -> None:
    profile = a_profile(x=normal(1))
    low = observe(profile, {"x": normal(2)}, np.random.default_rng(4).uniform(0, 0.5, ROWS))
    assert measure_score(profile, low, Rules())[0].drifted
    assert not measure_score(profile, low, Rules(score=Rule("psi", 1000)))[0].drifted
    assert measure_score(profile, Sketch.empty(), Rules()) == ()


def test_the_share_counts_columns_not_measures() -> None:
    one = ColumnMeasure("a", "psi", 0.3, 0.2, drifted=True, rows=1)
    measures = [one, ColumnMeasure("a", "missing_rate", 0.3, 0.2, drifted=True, rows=1)]
    measures += [ColumnMeasure("b", "psi", 0.1, 0.2, drifted=False, rows=1)]
    assert share_drifted(measures) == 0.5
    assert share_drifted([]) == 0
