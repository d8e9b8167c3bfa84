"""The reference profile: bins, kinds, and an exact round trip."""

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from everloop.profile import (
    MAX_BINS,
    ColumnProfile,
    Profile,
    QualityProfile,
    build_profile,
    column_groups,
    merge_groups,
    psi_groups,
)

COUNTS = st.lists(st.integers(0, 10**6), min_size=1, max_size=101)


def some_rows(rows: int = 2000) -> NDArray[np.float64]:
    return np.random.default_rng(7).normal(size=rows)


def a_column(values: list[object] | NDArray[np.generic]) -> ColumnProfile:
    return build_profile({"x": values}, scores=[0.5]).columns[0]


def test_a_number_has_64_bins_of_equal_mass_and_two_for_what_was_never_seen() -> None:
    column = a_column(some_rows())
    assert column.kind == "numeric"
    assert len(column.counts) == MAX_BINS
    assert (column.counts[0], column.counts[-1]) == (0, 0)
    assert set(column.counts[1:-1]) <= {32, 33}
    assert sum(column.counts) == 2000


def test_few_values_have_a_bin_each() -> None:
    column = a_column([0, 1, 1, 2, 2, 2])
    assert column.counts == (0, 1, 2, 3, 0)


def test_a_constant_has_an_edge_on_each_side() -> None:
    column = a_column([3.0] * 5)
    assert column.edges == (3.0, math.nextafter(3.0, math.inf))
    assert column.counts == (0, 5, 0)


@pytest.mark.parametrize("extreme", [1.7976931348623157e308, -1.7976931348623157e308, -0.0, 5e-324])
def test_an_extreme_constant_has_finite_edges(extreme: float) -> None:
    column = a_column([extreme] * 3)
    assert all(math.isfinite(edge) for edge in column.edges)
    assert column.present == max(column.counts) == 3


def test_a_column_without_values_is_numeric_and_missing() -> None:
    column = a_column([None, math.nan, None])
    assert (column.kind, column.edges, column.counts, column.missing) == ("numeric", (), (0,), 3)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"], "categorical"),
        ([True, False, None], "categorical"),
        ([1, 2, "N/A"], "numeric"),
        (["a", "b", 3], "categorical"),
        ([Decimal("1.5"), None], "numeric"),
        (np.array([1, 2]), "numeric"),
        (np.array([True, False]), "categorical"),
        (np.array(["a", "b"]), "categorical"),
        (np.array([1.5, None], dtype=object), "numeric"),
    ],
)
def test_the_kind_is_that_of_most_values(values: list[object], kind: str) -> None:
    assert a_column(values).kind == kind


def test_what_is_no_number_is_counted_apart() -> None:
    column = a_column([1.0, 2.0, 3.0, 4.0, None, math.nan, math.inf, "4", 10**400])
    assert (column.present, column.missing, column.nonfinite, column.malformed) == (4, 2, 2, 1)


def test_categories_beyond_the_hundred_most_frequent_are_other() -> None:
    column = a_column([f"c{place:03}" for place in range(120) for _ in range(1 + (place >= 20))])
    assert len(column.categories) == 100
    assert column.categories[0] == "c020"
    assert column.counts[-1] == 20


def test_ties_of_categories_do_not_depend_on_the_order_of_rows() -> None:
    assert a_column(["b", "a", "c"]) == a_column(["c", "b", "a"])


def test_moments_are_of_the_finite_values() -> None:
    column = a_column([1.0, 2.0, 3.0, 6.0, None, math.nan, math.inf, "4"])
    assert (column.mean, column.deviation) == pytest.approx((3.0, math.sqrt(3.5)))
    assert [(one.mean, one.deviation) for one in (a_column([None]), a_column(["a", "b"]))] == [(None, None)] * 2


def test_a_constant_has_no_deviation_at_all() -> None:
    assert (a_column([0.1] * 7).mean, a_column([0.1] * 7).deviation) == (0.1, 0.0)


def test_moments_of_the_largest_numbers_are_finite() -> None:
    column = a_column([1.7e308, 1.7e308, -1.7e308, -1.7e308])
    assert (column.mean, column.deviation) == pytest.approx((0.0, 1.7e308))
    assert a_column([5e-324, 0.0]).deviation is not None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=90))
def test_moments_are_those_of_numpy(values: list[float]) -> None:
    column = a_column(list(values))
    assert column.mean == pytest.approx(float(np.mean(values)), rel=1e-9, abs=1e-9)
    assert column.deviation == pytest.approx(float(np.std(values)), rel=1e-9, abs=1e-9)


def test_blocks_split_the_counts_in_order_of_time() -> None:
    column = build_profile({"x": [0, 0, 0, 1, 1, 1, 1]}, scores=[0.5], blocks=2).columns[0]
    assert column.blocks == ((0, 3, 0, 0), (0, 0, 4, 0))


def test_probabilities_share_one_grid_and_values_do_not() -> None:
    binary = build_profile({}, scores=[0.0, 0.005, 0.5, 1.0])
    assert len(binary.score.counts) == 100
    assert (binary.score.counts[0], binary.score.counts[50], binary.score.counts[-1]) == (2, 1, 1)
    assert build_profile({}, scores=[10.0, 20.0], task="regression").score.counts == (0, 1, 1, 0)


@given(
    numbers=st.lists(
        st.floats(allow_nan=True, allow_infinity=True) | st.none() | st.integers() | st.text(), max_size=90
    ),
    words=st.lists(st.text() | st.booleans() | st.none(), max_size=90),
    rate=st.floats(0, 1),
)
def test_json_is_exact(numbers: list[object], words: list[object], rate: float) -> None:
    quality = [QualityProfile(metric="roc_auc", value=rate, standard_error=0.01, rows=9, positives=3)]
    profile = build_profile({"n": numbers, "w": words}, scores=[rate], quality=quality, positive_rate=rate, blocks=3)
    again = Profile.model_validate_json(profile.model_dump_json())
    assert again == profile
    assert again.model_dump_json() == profile.model_dump_json()


def test_surrogates_and_long_names_do_not_break_json() -> None:
    column = a_column(["\ud800", "x" * 10_000])
    assert column.categories == ("?", "x" * 256)
    assert ColumnProfile.model_validate_json(column.model_dump_json()) == column


@pytest.mark.parametrize(
    "wrong",
    [
        {"edges": (1.0, 1.0), "counts": (1, 1, 1)},
        {"edges": (math.nan,), "counts": (1, 1)},
        {"edges": (1.0,), "counts": (1,)},
        {"edges": (1.0,), "counts": (1, -1)},
        {"edges": (1.0,), "counts": (1, 1), "blocks": ((1,),)},
        {"categories": ("a",), "counts": (1,)},
        {"edges": (1.0,), "counts": (1, 1), "surprise": 1},
    ],
)
def test_a_column_that_does_not_fit_its_bins_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ColumnProfile.model_validate({"name": "x", "kind": "numeric", **wrong})


def test_two_columns_of_one_name_are_refused() -> None:
    column = a_column([1.0])
    with pytest.raises(ValidationError, match="same name"):
        Profile(rows=1, columns=(column, column), score=column)


@given(counts=COUNTS, groups=st.integers(1, 20))
def test_groups_ascend_without_gaps_and_each_has_mass(counts: list[int], groups: int) -> None:
    chosen = psi_groups(counts, groups)
    assert list(chosen) == sorted(chosen)
    assert set(chosen) == set(range(chosen[-1] + 1))
    assert chosen[-1] < groups
    assert all(merge_groups(counts, chosen)) or not any(counts)


def test_64_bins_become_ten_groups_of_near_equal_mass() -> None:
    column = a_column(some_rows(6200))
    merged = merge_groups(column.counts, column_groups(column))
    assert len(merged) == 10
    assert max(merged) - min(merged) <= max(column.counts)


def test_a_constant_is_one_group_and_few_categories_stay_apart() -> None:
    assert psi_groups((0, 50, 0)) == (0, 0, 0)
    assert psi_groups((990, 5, 5)) == (0, 1, 2)


def test_a_new_category_is_a_group_of_its_own() -> None:
    assert column_groups(a_column(["a", "b"])) == (0, 1, 2)
    assert len(set(column_groups(a_column([str(place) for place in range(120)])))) == 10
