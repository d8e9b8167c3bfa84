"""Statistics of counts: the bounds that their docstrings promise, and what they do without rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from everloop.measures import statistics as s
from everloop.profile import MAX_BINS, merge_groups
from everloop.sketch.inputs import Inputs
from everloop.sketch.layout import Layout
from everloop_drift.domain.measures import measure
from tests.unit.drift.builders import a_profile, compared
from tests.unit.drift.parity import PSI, as_rows, evidently

HISTOGRAMS = st.integers(2, 12).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 50), min_size=bins, max_size=bins).filter(any)] * 2)
)
Pair = tuple[list[int], list[int]]


@st.composite
def columns(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of both sides, of any scale and shape, more than there are bins, or with a bin each."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.tuples(st.integers(2, 300), st.integers(1, 300)))
    shift, width = draw(st.floats(-2, 2)), draw(st.sampled_from([0.1, 1.0, 30.0]))
    digits = draw(st.sampled_from([0, 1, 9]))
    first, second = rng.normal(size=rows[0]), rng.normal(shift, width, size=rows[1])
    return np.round(first, digits), np.round(second, digits)


def zeros_change_nothing(pair: Pair) -> tuple[list[int], list[int]]:
    return [*pair[0], 0, 0], [*pair[1], 0, 0]


@given(HISTOGRAMS)
def test_bins_that_are_empty_on_both_sides_change_nothing(pair: Pair) -> None:
    longer = zeros_change_nothing(pair)
    for test in (s.psi, s.jensen_shannon, s.unseen_rate):
        assert test(*longer) == pytest.approx(float(test(*pair)), abs=1e-12)
    for tested in (s.ks, s.chi_square):
        assert np.stack(tested(*longer)) == pytest.approx(np.stack(tested(*pair)), abs=1e-12)


def test_bins_that_are_empty_on_both_sides_are_not_filled_by_two_rules() -> None:
    pair = [20_000, 1], [10_000, 10_000]  # a zero of the reference would be filled with less than one of the window
    assert float(s.psi([*pair[0], 0], [*pair[1], 0])) == pytest.approx(float(s.psi(*pair)), rel=1e-12)


@given(st.lists(HISTOGRAMS, min_size=1, max_size=5))
def test_a_batch_is_its_columns_one_by_one(batch: list[Pair]) -> None:
    width = max(len(pair[0]) for pair in batch)
    filled = [[[*side, *[0] * (width - len(side))] for side in pair] for pair in batch]
    reference, current = np.array(filled).transpose(1, 0, 2)
    for test in (s.psi, s.jensen_shannon, s.unseen_rate):
        assert test(reference, current) == pytest.approx([float(test(*pair)) for pair in batch], abs=1e-12)
    for tested in (s.ks, s.chi_square):
        together = tested(reference, current)
        alone = [tested(*pair) for pair in batch]
        assert together.statistic == pytest.approx([float(one.statistic) for one in alone], abs=1e-9)
        assert together.p_value == pytest.approx([float(one.p_value) for one in alone], abs=1e-9)


def test_psi_fills_a_zero_beside_a_tiny_share_by_a_millionth_as_evidently_does() -> None:
    reference, current = [20_000, 1, 0], [10_000, 10_000, 10_000]
    theirs = evidently(PSI)(reference, current)
    assert float(s.psi(reference, current)) == pytest.approx(theirs, rel=1e-12)
    assert theirs > 10  # with 0.0001 it would be 3


@given(HISTOGRAMS)
def test_a_distribution_does_not_differ_from_itself(pair: Pair) -> None:
    same = pair[0]
    assert s.psi(same, same) == 0
    assert np.stack(s.ks(same, same)).tolist() == [0, 1]
    assert s.chi_square(same, same).p_value == pytest.approx(1)
    assert s.jensen_shannon(same, same) == 0
    assert s.wasserstein(range(len(same)), same, same) == 0
    assert s.unseen_rate(same, same) == 0


def test_an_empty_side_is_not_measurable() -> None:
    empty, some = [0, 0], [1, 2]
    nothing = s.Moments(np.array(0.0), np.array(math.nan), np.array(math.nan))
    values = [
        s.psi(empty, some), s.psi(some, empty), s.psi(empty, empty), *s.ks(some, empty), *s.chi_square(empty, some),
        *s.chi_square(empty, empty), s.jensen_shannon(some, empty), s.wasserstein([0, 1], empty, some),
        s.unseen_rate(some, empty), *s.rate_change(0, 0, 1, 1), *s.mean_shift(nothing, nothing),
        s.deviation_ratio(nothing, nothing),
    ]  # fmt: skip
    assert all(math.isnan(value) for value in values)
    assert s.psi_noise(10, 0, 5) == math.inf


# ----------------------------------------------------------------------------- how far from the values themselves


@given(columns())
def test_ks_of_bins_is_below_that_of_the_values_by_at_most_the_largest_share_of_a_bin(
    sides: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    window = compared(*sides)
    exact = stats.ks_2samp(*sides, method="asymp").statistic
    shares = [np.array(side.counts) / sum(side.counts) for side in (window.reference, window.current)]
    assert -1e-12 <= exact - measure([window])[0].by_test["ks_statistic"] <= np.max(shares) + 1e-12


@given(HISTOGRAMS.filter(lambda pair: min(map(sum, pair)) >= 20))
def test_our_p_value_of_ks_is_near_that_of_scipy(pair: Pair) -> None:
    n, m = map(sum, pair)
    theirs = stats.ks_2samp(as_rows(pair[0]), as_rows(pair[1]), method="asymp").pvalue
    assert abs(float(s.ks(*pair).p_value) - theirs) <= 0.33 / math.sqrt(n * m / (n + m))


@pytest.mark.parametrize("rows", [40, 400, 4000])
def test_the_limit_of_ks_errs_towards_no_drift(rows: int) -> None:
    for statistic in np.array([0.5, 0.8, 1.2, 1.6, 2.0]) / math.sqrt(rows / 2):
        left = round(float(statistic) * rows)
        pair = [rows - left, left, 0], [rows - left, 0, left]
        found = s.ks(*pair)
        assert float(found.p_value) >= stats.kstwo.sf(float(found.statistic), rows // 2)


@given(columns())
def test_wasserstein_of_bins_is_near_that_of_the_values_as_promised(
    sides: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    reference, current = sides
    window, deviation = compared(reference, current), float(reference.std())
    if deviation == 0:
        assert math.isnan(measure([window])[0].by_test["wasserstein"])
        return
    exact = stats.wasserstein_distance(reference, current) / deviation
    shares = sum(np.array(side.counts) / sum(side.counts) for side in (window.reference, window.current))
    reach = 1.0 if len(window.edges) < MAX_BINS - 1 else 0.5  # few values stand at the lower edge of their bin
    inside = float((shares * np.array([0, *np.diff(window.edges), 0])).sum()) * reach
    beyond = np.maximum(np.maximum(window.edges[0] - current, current - window.edges[-1]), 0).mean()
    found = measure([window])[0].by_test["wasserstein"]
    assert abs(found - exact) <= (inside + beyond) / deviation + 1e-9
    assert found >= abs(current.mean() - reference.mean()) / deviation - 1e-9


@given(
    st.lists(st.sampled_from([0.0, 1.0, 5.0]), min_size=2, max_size=90),
    st.lists(st.sampled_from([0.0, 1.0, 5.0]), min_size=1),
)
def test_wasserstein_of_few_values_is_exact(reference: list[float], current: list[float]) -> None:
    deviation = np.std(reference)
    inside = [value for value in current if min(reference) <= value <= max(reference) and value in reference]
    if deviation > 0 and inside:
        exact = stats.wasserstein_distance(reference, inside) / deviation
        assert measure([compared(reference, inside)])[0].by_test["wasserstein"] == pytest.approx(exact, abs=1e-9)


@given(HISTOGRAMS, st.data())
def test_merging_bins_can_only_lower_jensen_shannon_and_psi(pair: Pair, data: st.DataObject) -> None:
    groups = sorted(data.draw(st.lists(st.integers(0, 3), min_size=len(pair[0]), max_size=len(pair[0]))))
    numbers = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    chosen = [numbers[group] for group in groups]
    one, two = pair
    assert s.jensen_shannon(merge_groups(one, chosen), merge_groups(two, chosen)) <= s.jensen_shannon(one, two) + 1e-9
    one, two = [count + 1 for count in one], [count + 1 for count in two]  # a bin filled by rule is no share of rows
    assert s.psi(merge_groups(one, chosen), merge_groups(two, chosen)) <= s.psi(one, two) + 1e-9


@given(columns())
def test_moments_of_a_window_are_near_those_of_the_values_as_promised(
    sides: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    reference, current = sides
    profile = a_profile(x=reference)
    counted = Inputs(Layout.of(profile))
    counted.add({"x": current}, None, current.size)
    deviation = float(reference.std())
    found = counted.moments(0)
    if deviation == 0 or np.abs(current - reference.mean()).max() > 1024 * deviation:  # not measured; cut off
        return
    assert found is not None
    assert abs(found[0] - current.mean()) <= deviation / 2048 * (1 + 1e-6)
    assert abs(found[1] - current.std()) <= deviation / 1024 * (1 + 1e-6)
