"""Labelled rows merge in any order to the same bytes, and bad rows are counted, never raised."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.errors import InvalidError
from everloop.sketch import Labelled
from everloop.sketch.residuals import LARGEST, UNITS, sum_of_squares

Task = Literal["binary", "multiclass", "regression"]
TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
SCALE = 0.37
NUMBERS = st.sampled_from([0.0, 1.0, 0.5, -0.0, math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 2.0]) | st.floats(
    -2, 2
)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(-5, 2**40), st.integers(0, 3)), max_size=12)
Row = tuple[float, float, int, int]


def seen(task: Task, rows: list[Row], scale: float | None = SCALE) -> Labelled:
    scores, labels, ages, points = (
        (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.empty(0)] * 4
    )
    return Labelled.observe(task, scale, scores, labels, ages.astype(np.int64), points.astype(np.int64) * 1000)


@pytest.mark.parametrize("task", TASKS)
@given(a=ROWS, b=ROWS, c=ROWS)
def test_merging_is_associative_commutative_and_has_an_identity(
    task: Task, a: list[Row], b: list[Row], c: list[Row]
) -> None:
    one, two, three = (seen(task, rows) for rows in (a, b, c))
    assert one.merge(two).merge(three).to_json() == three.merge(two.merge(one)).to_json()
    assert one.merge(Labelled.empty(task, SCALE)).to_json() == one.to_json()
    assert one.merge(two).to_json() == seen(task, a + b).to_json()


@pytest.mark.parametrize("task", TASKS)
@given(rows=ROWS)
def test_json_is_exact_and_canonical_and_each_row_is_counted_once(task: Task, rows: list[Row]) -> None:
    found = seen(task, rows)
    assert Labelled.from_json(found.to_json()).to_json() == found.to_json()
    assert found.rows + found.rejected == len(rows)
    if task != "multiclass":
        assert sum(counted for counted, _, _ in found.series.values()) == found.rows


def test_the_series_is_in_intervals_whoever_saw_the_rows() -> None:
    early = seen("binary", [(0.9, 1.0, 0, 5), (0.9, 0.0, 0, 3)])
    late = seen("binary", [(0.5, 0.0, 0, 5), (math.nan, 1.0, 0, 5)])
    assert late.merge(early).series == {3000: (1, 1, 810_000), 5000: (2, 1, 10_000 + 250_000)}


def test_the_loss_of_a_regression_is_within_0_and_1_and_no_row_is_wrong() -> None:
    found = seen("regression", [(1.0, 1.0, 0, 0), (SCALE, 0.0, 0, 1), (1e308, -1e308, 0, 2)], SCALE)
    assert found.series == {0: (1, 0, 0), 1000: (1, 0, 500_000), 2000: (1, 0, 999_024)}
    assert (found.rows, found.residuals.clipped) == (3, 1)


def test_a_label_says_nothing_of_the_class_that_was_predicted() -> None:
    found = seen("multiclass", [(0.9, 2.0, 10, 0), (0.4, 1.0, 10, 0)])
    assert (found.rows, found.series, found.to_plain()["measured"]) == (2, {}, {})


@pytest.mark.parametrize(
    ("age", "bin_", "end"),
    [(-7, 0, 0), (0, 0, 0), (1, 1, 1), (2, 9, 2), (3, 13, 3), (4, 17, 4), (3_600_000, 174, 3_670_015)],
)
def test_ages_are_known_to_an_eighth(age: int, bin_: int, end: int) -> None:
    found = seen("binary", [(0.5, 1.0, age, 0)])
    assert found.to_plain()["delays"] == {str(bin_): 1}
    assert found.age_ms(0.5) == found.age_ms(0.95) == end


def test_quantiles_of_ages() -> None:
    found = seen("binary", [(0.5, 1.0, 1 if row < 94 else 1000, 0) for row in range(100)])
    assert (found.age_ms(0.5), found.age_ms(0.94), found.age_ms(0.95)) == (1, 1, 1023)
    assert Labelled.empty("binary").age_ms(0.5) is None


def test_what_is_no_probability_or_no_label_is_rejected() -> None:
    rows = [(0.5, 1.0), (1.5, 1.0), (-0.1, 0.0), (math.nan, 0.0), (0.5, 2.0), (0.5, math.nan), (-0.0, -0.0)]
    found = seen("binary", [(*pair, 0, 0) for pair in rows])
    assert (found.rows, found.rejected) == (2, 5)


@pytest.mark.parametrize("scale", [None, 0.0, -1.0, math.nan, math.inf])
def test_no_usable_scale_is_one(scale: float | None) -> None:
    assert Labelled.empty("regression", scale) == Labelled.empty("regression", 1.0)
    assert Labelled.empty("binary", scale) == Labelled.empty("binary", 7.0)


def test_two_tasks_or_scales_do_not_merge() -> None:
    with pytest.raises(InvalidError, match="do not add up"):
        Labelled.empty("regression", 1.0).merge(Labelled.empty("regression", 2.0))
    with pytest.raises(InvalidError, match="do not add up"):
        Labelled.empty("binary").merge(Labelled.empty("multiclass"))


@given(st.lists(st.integers(0, 2**60 - 1), max_size=9))
def test_squares_are_summed_exactly_beyond_64_bits(values: list[int]) -> None:
    assert sum_of_squares(np.array(values, dtype=np.int64)) == sum(value * value for value in values)


def test_a_sum_of_many_rows_does_not_overflow() -> None:
    one, rows = 2**20 - 1, 2**23 + 20
    assert sum_of_squares(np.broadcast_to(np.int64(one), rows)) == rows * one * one > 2**63


def test_sums_beyond_64_bits_travel_as_text() -> None:
    found = seen("regression", [(1e308, 0.0, 0, 0)] * 20)
    assert found.residuals.fourths == 20 * LARGEST**4 > 2**64
    assert found.to_plain()["measured"]["fourths"] == str(20 * LARGEST**4)
    assert Labelled.from_json(found.to_json()).residuals == found.residuals
    assert LARGEST == 1024 * UNITS


CORRECTED = st.lists(
    st.tuples(NUMBERS, st.lists(NUMBERS.filter(math.isfinite), min_size=1, max_size=4),
              st.integers(-5, 2**40), st.integers(0, 3)),
    max_size=8,
)  # fmt: skip
"""Rows with all the labels that they had, the last of which counts; JSON has finite ones alone."""


@pytest.mark.parametrize("task", TASKS)
@given(rows=CORRECTED)
def test_a_corrected_row_counts_once_with_its_last_label(
    task: Task, rows: list[tuple[float, list[float], int, int]]
) -> None:
    found = Labelled.empty(task, SCALE)
    for turn in range(4):
        some = [row for row in rows if len(row[1]) > turn]
        columns = [np.array([row[place] for row in some]) for place in (0, 2, 3)]
        labels, before = (
            np.array([row[1][number] if number >= 0 else math.nan for row in some]) for number in (turn, turn - 1)
        )
        score, ages, points = columns[0], columns[1].astype(np.int64), columns[2].astype(np.int64) * 1000
        found = found.merge(Labelled.observe(task, SCALE, score, labels, ages, points, before))
        assert Labelled.from_plain(found.to_plain(), signed=True) == found
    last = seen(task, [(score, labels[-1], age, point) for score, labels, age, point in rows])
    assert {**found.to_plain(), "delays": 0} == {**last.to_plain(), "delays": 0}
    assert found.sound
    assert int(found.ages.sum()) >= found.rows == last.rows


def test_a_correction_alone_may_be_less_than_nothing_and_is_no_window_by_itself() -> None:
    ages, points = np.array([5]), np.array([0])
    found = Labelled.observe("binary", None, np.array([0.9]), np.array([0.0]), ages, points, np.array([1.0]))
    assert (found.rows, found.sound, int(found.ages.sum())) == (0, False, 0)
    assert Labelled.from_plain(found.to_plain(), signed=True) == found
    with pytest.raises(InvalidError):
        Labelled.from_plain(found.to_plain())


def changed(path: tuple[str, ...], value: object, task: Task = "binary") -> dict[str, Any]:
    plain = seen(task, [(0.5, 1.0, 3, 1), (0.2, 0.0, 9, 2)]).to_plain()
    inner = plain
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return plain


@pytest.mark.parametrize(
    "plain",
    [
        {}, {"task": "binary"}, changed(("task",), "other"), changed(("scale",), 2.0), changed(("scale",), 1),
        changed(("rejected",), -1), changed(("rejected",), 0.5), changed(("rejected",), value=True),
        changed(("ages",), {"48": 2}), changed(("delays",), {"1": 1}), changed(("ages",), {"1": "2"}),
        changed(("series",), {}), changed(("series",), {"x": [2, 0, 0]}), changed(("series",), {"1": [2, 0]}),
        changed(("series",), {"1": [2, -1, 0]}), changed(("series",), {"1": [2, 0, 0.5]}),
        changed(("measured",), {}), changed(("measured", "bins"), {"1000": [1, 1]}),
        changed(("measured", "bins"), {"1": [-1, 3]}), changed(("measured", "bins"), []),
        changed(("measured", "log_loss_e6"), None), changed(("measured", "calibration"), {"10": [0, 0]}),
        changed(("measured", "squares"), 5, "regression"), changed(("measured", "squares"), "-5", "regression"),
        changed(("measured", "squares"), "٣", "regression"), changed(("measured", "rows"), 1, "regression"),
        changed(("measured", "absolute"), "1.5", "regression"), changed(("scale",), 0.0, "regression"),
    ],
)  # fmt: skip
def test_what_is_no_count_of_labelled_rows_is_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        Labelled.from_plain(plain)


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b'{"bins":{}}'])
def test_what_is_no_json_of_labelled_rows_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidError):
        Labelled.from_json(data)
