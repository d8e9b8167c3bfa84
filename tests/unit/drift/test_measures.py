"""Columns beside their reference: what is measured of them, and which of it is drift."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from everloop import events as e
from everloop.measures import statistics
from everloop.profile import build_profile
from everloop_drift.domain.limits import Rule, Rules, is_drift, share_drifted
from everloop_drift.domain.measures import CATEGORICAL, NUMERIC, POSITIVE, Measured, measure, table
from tests.builders import a_loop
from tests.unit.drift.builders import a_column_window, a_profile, compared, normal

ROWS, COLUMNS = 2000, 20
SCORES = np.random.default_rng(4)


def held(reference: Any, current: Any, rules: Rules | None = None) -> tuple[e.Measure, ...]:  # noqa: ANN401  # raw data
    return (rules or Rules()).hold(measure([compared(reference, current)]))


def figures(reference: Any, current: Any) -> dict[str, float]:  # noqa: ANN401  # raw data
    return dict(measure([compared(reference, current)])[0].by_test)


# -------------------------------------------------------------------------------------------------- what is measured


def test_everything_is_measured_of_every_column_whatever_decides() -> None:
    (number,) = measure([compared(normal(1), normal(2))])
    (words,) = measure([compared(["a", "b"] * 1000, ["a", "b"] * 100)])
    (score,) = measure([a_column_window(a_profile(x=[1.0]).score, SCORES.uniform(size=100))], positive_rate=True)
    assert set(number.by_test) == set(NUMERIC)
    assert set(words.by_test) == set(CATEGORICAL)
    assert set(score.by_test) == {*NUMERIC, *POSITIVE}
    assert [name for name, value in number.by_test.items() if math.isnan(value)] == ["outside_constant"]


def test_columns_are_measured_together_as_they_are_one_by_one() -> None:
    windows = [compared(normal(1), normal(2)), compared(["a", "b", "c"] * 99, ["a"] * 9), compared([1.0] * 9, [2.0])]
    alone = [measure([window])[0] for window in windows]
    for one, other in zip(measure(windows), alone, strict=True):
        assert {**one.by_test} == pytest.approx({**other.by_test}, abs=1e-12, nan_ok=True)
        assert (one.name, one.kind, one.rows, one.seen, one.filled) == (
            other.name, other.kind, other.rows, other.seen, other.filled,
        )  # fmt: skip


def test_a_shift_and_a_spread_are_told_apart() -> None:
    moved, wider = figures(normal(1), normal(2, shift=1.0)), figures(normal(1), 2 * normal(2))
    assert moved["mean_shift"] == pytest.approx(1, abs=0.1)
    assert moved["wasserstein"] == pytest.approx(1, abs=0.1)
    assert abs(moved["variance_shift"]) < 0.1 > abs(wider["mean_shift"])
    assert wider["variance_shift"] == pytest.approx(math.log(2), abs=0.1)


def test_another_unit_is_seen_in_its_size_though_all_bins_are_left() -> None:
    found = figures(normal(1) + 10, 1000 * (normal(2) + 10))
    assert found["out_of_range"] > 0.99
    assert found["wasserstein"] == pytest.approx(found["mean_shift"]) == pytest.approx(9990, rel=0.1)


def test_one_value_where_there_were_several_is_constant() -> None:
    assert figures(normal(1), [0.25] * 100)["constant"] == 1
    assert figures(normal(1), [0.25] * 99 + [0.26])["constant"] == 0
    assert figures(["a", "b"] * 9, ["a"] * 9)["constant"] == 1
    assert figures(["a", "b"] * 9, ["new", "newer"])["constant"] == 0  # both are in `other`
    assert math.isnan(figures(normal(1), [0.25])["constant"])
    assert math.isnan(figures([3.0] * 9, [3.0] * 9)["constant"])


def test_a_missing_rate_has_a_sign() -> None:
    assert figures([None, 1.0], [1.0, 1.0])["missing_rate"] == -0.5
    assert figures([1.0, 2.0], [1.0, None, math.inf, "text"])["missing_rate"] == 0.75


def test_a_positive_rate_is_known_where_a_bin_begins_at_one_half() -> None:
    score = build_profile({}, scores=[0.1, 0.2, 0.5, 0.9]).score
    (found,) = measure([a_column_window(score, [0.4999, 0.5, 0.7, 0.8])], positive_rate=True)
    assert (found.by_test["positive_rate"], found.by_test["positive_rate_change"]) == (0.75, 0.25)
    other = build_profile({}, scores=[10.0, 20.0], task="regression").score
    (unknown,) = measure([a_column_window(other, [10.0])], positive_rate=True)
    assert math.isnan(unknown.by_test["positive_rate"])


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("reference", [[None] * 5, [1.0] * 5, [0.0, 1.0] * 50, normal(1), ["a"] * 5, ["a", "b"] * 5])
def test_a_window_of_no_row_or_of_one_is_measured_without_harm(reference: Any, rows: int) -> None:  # noqa: ANN401
    (found,) = measure([compared(reference, list(reference[:rows]))])
    assert found.rows <= rows
    assert all(isinstance(value, float) for value in found.by_test.values())
    assert not any(math.isinf(value) for name, value in found.by_test.items() if name != "psi_noise")


HOSTILE = [math.nan, math.inf, -math.inf, -0.0, 0.0, 1e308, -1e308, 5e-324, "7", None, 10**400, True, [1], {}]


@pytest.mark.parametrize("side", ["reference", "current"])
def test_hostile_values_blind_no_measure(side: str) -> None:
    plain, odd = normal(1).tolist(), [*normal(2).tolist(), *HOSTILE]
    found = figures(odd, plain) if side == "reference" else figures(plain, odd)
    assert {name for name, value in found.items() if not math.isfinite(value)} <= {
        "outside_constant", "mean_shift", "mean_shift_error", "variance_shift", "wasserstein",
    }  # fmt: skip
    assert found["psi"] < 0.05
    if side == "current":
        assert found["missing_rate"] == pytest.approx(8 / len(odd))
        assert found["out_of_range"] == pytest.approx(2 / len(odd), abs=0.002)  # 1e308 on both sides


def test_no_column_and_no_score_are_an_empty_table() -> None:
    assert measure([]) == ()
    assert table([]) == e.MeasureTable()


def test_the_table_has_five_digits_and_null_for_what_is_none() -> None:
    one = Measured("amount", "numeric", 10, 12, 5, {"psi": 0.123456789, "ks": math.nan, "psi_noise": math.inf})
    score = Measured("amount", "numeric", 3, 3, 5, {"psi": 2.0, "positive_rate": 1 / 3})
    made = table([one], [score])
    assert made.tests == ("psi", "ks", "psi_noise", "positive_rate")
    assert made.columns["amount"] == e.ColumnFigures(rows=10, values=(0.12346, None, None, None))
    assert made.of(made.score) == {"psi": 2.0, "positive_rate": 0.33333}
    assert made.of(made.columns["amount"]) == {"psi": 0.12346}
    assert made.of(made.columns.get("country")) == {}


# ------------------------------------------------------------------------------------------------------ what is drift

RULES = [Rule("psi", 0.2), Rule("ks", 0.01), Rule("chi_square", 0.05), Rule("jensen_shannon"), Rule("wasserstein", 0.1)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.test)
def test_every_test_sees_a_shift_of_one_deviation_and_says_which_it_was(rule: Rule) -> None:
    (same,) = held(normal(1), normal(3), Rules(default=rule))
    (moved,) = held(normal(1), normal(3, shift=1.0), Rules(default=rule))
    assert (same.drifted, moved.drifted) == (False, True)
    assert (moved.test, moved.limit, moved.rows) == (rule.test, rule.limit, ROWS)


@pytest.mark.parametrize(
    ("test", "value", "drift"),
    [
        ("psi", 0.2, True), ("psi", 0.19, False), ("ks", 0.2, False), ("ks", 0.19, True), ("missing_rate", -0.2, True),
        ("outside_constant", 0.2, False), ("outside_constant", 0.21, True), ("psi", math.nan, False),
        ("ks", None, False),
    ],
)  # fmt: skip
def test_a_value_is_compared_in_the_direction_of_its_test(test: str, value: float | None, drift: bool) -> None:  # noqa: FBT001
    assert is_drift(test, value, 0.2) is drift


def test_categories_have_no_order() -> None:
    words, moved = ["a", "b"] * 1000, ["a", "b", "b", "b"] * 500
    found = [held(words, moved, Rules(default=Rule(test, 0.05)))[0] for test in ("ks", "wasserstein")]
    assert [one.test for one in found] == ["chi_square", "jensen_shannon"]
    assert all(one.drifted for one in found)


def test_a_new_category_is_drift() -> None:
    (one,) = held(["a", "b"] * 1000, ["a", "b", "new", "a", "b"] * 200)
    assert one.drifted
    assert one.test == "psi"


def test_leaving_a_constant_is_a_share_and_no_infinite_psi() -> None:
    found = [held([3.0] * ROWS, [3.0] * (1000 - left) + [4.0] * left)[0] for left in (0, 200, 201)]
    assert [(one.test, one.value, one.drifted) for one in found] == [
        ("outside_constant", 0.0, False),
        ("outside_constant", 0.2, False),
        ("outside_constant", 0.201, True),
    ]
    assert math.isnan(figures([3.0] * ROWS, [4.0] * ROWS)["psi"])


def test_values_in_a_column_that_never_had_one_are_drift() -> None:
    found = held([None] * ROWS, [None] * 500 + [1.0] * 500)
    assert [(one.test, one.value, one.drifted, one.rows) for one in found] == [
        ("outside_constant", 0.5, True, 1000),
        ("missing_rate", -0.5, True, 1000),
    ]


def test_a_column_that_vanished_is_drift() -> None:
    distribution, missing = held(normal(1), [None] * 1000)
    assert (distribution.drifted, distribution.value) == (False, None)
    assert (missing.test, missing.value, missing.drifted) == ("missing_rate", 1.0, True)


def test_few_rows_are_no_evidence() -> None:
    assert not held(normal(1), normal(2, 499, shift=3))[0].drifted
    assert held(normal(1), normal(2, 500, shift=3))[0].drifted


def test_a_column_and_the_score_may_have_rules_of_their_own() -> None:
    drift = {"default": {"test": "psi", "limit": 1000}, "columns": {"x": {"test": "ks", "limit": 0.01}},
             "score": {"test": "wasserstein", "limit": 0.1}}  # fmt: skip
    rules = Rules.of(a_loop(drift=drift, windows={"every": "1h", "min_rows": 10}))
    assert rules.min_rows == 10
    (one,) = rules.hold(measure([compared(normal(1), normal(2, shift=1))]))
    assert (one.test, one.drifted) == ("ks", True)
    score = a_profile(x=normal(1)).score
    (low,) = rules.hold_score(measure([a_column_window(score, SCORES.uniform(0, 0.5, ROWS))], positive_rate=True))
    assert (low.name, low.test, low.drifted) == ("score", "wasserstein", True)


def test_the_share_counts_columns_not_measures() -> None:
    one = e.Measure(name="a", test="psi", value=0.3, limit=0.2, drifted=True, rows=1)
    measures = [one, one.model_copy(update={"test": "missing_rate"})]
    measures += [e.Measure(name="b", test="psi", value=0.1, limit=0.2, rows=1)]
    assert share_drifted(measures) == 0.5
    assert share_drifted([]) == 0


# ----------------------------------------------------------------------------------------------------- by simulation


def stationary(rng: np.random.Generator, columns: int, rows: int = 500) -> dict[str, NDArray[np.float64]]:
    """Values of many columns by test, where nothing has changed; skewed ones."""
    windows = [
        compared(rng.lognormal(size=ROWS), rng.lognormal(size=rows)).model_copy(update={"name": f"x{place}"})
        for place in range(columns)
    ]
    found = measure(windows)
    return {test: np.array([one.by_test[test] for one in found]) for test in NUMERIC}


def test_without_drift_p_values_keep_their_level_intervals_cover_and_psi_is_its_noise() -> None:
    found = stationary(np.random.default_rng(11), 600)
    for level in (0.01, 0.05, 0.2):
        slack = 3 * math.sqrt(level * (1 - level) / 600)
        assert np.mean(found["ks"] < level) <= level + slack
        assert np.mean(found["chi_square"] < level) == pytest.approx(level, abs=slack)
    covered = np.abs(found["mean_shift"]) <= 1.96 * found["mean_shift_error"]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)
    assert np.mean(found["psi"]) == pytest.approx(statistics.psi_noise(10, ROWS, 500), rel=0.05)
    assert set(found["psi_noise"]) == {float(statistics.psi_noise(10, ROWS, 500))}


def test_no_false_alarm_in_fifty_stationary_windows_of_twenty_columns() -> None:
    found = stationary(np.random.default_rng(12), 50 * COLUMNS, rows=ROWS)
    assert not np.any(found["psi"] >= 0.2)
    assert not np.any(found["wasserstein"] >= 0.25)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.test)
def test_power_grows_with_the_shift(rule: Rule) -> None:
    shares = [
        np.mean([held(normal(1), normal(seed, 500, shift), Rules(default=rule))[0].drifted for seed in range(100, 120)])
        for shift in (0.0, 0.25, 0.5, 1.0)
    ]
    assert shares == sorted(shares)
    assert shares[0] <= 0.2
    assert shares[-1] == 1
