"""Sketches merge in any order to the same bytes, and bad data is counted, never raised."""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from everloop.errors import InvalidError
from everloop.profile import Profile, build_profile
from everloop.sketch import ArmSums, ColumnSketch, LabelledScores, Sketch, merge, observe

BAD: list[Any] = [
    None, math.nan, math.inf, -math.inf, "4", "", "\ud800", b"4", True, False, -0.0, 1e308, -1e308, 5e-324, 10**400,
    -(10**400), Decimal("1.5"), Decimal("sNaN"), 1j, [], [1], {}, {"a": 1}, (), object(), np.float32(1), np.int8(3),
    np.datetime64("2026-01-01"), np.float64("nan"), np.bool_(True), 2**63, 2**1023,  # noqa: FBT003  # a value, no flag
]  # fmt: skip
ANY = st.sampled_from(BAD) | st.floats() | st.integers() | st.text(max_size=3)
ROW = st.tuples(ANY, ANY, st.floats(0, 1) | st.sampled_from(BAD))
UNKNOWN = st.dictionaries(st.text(max_size=2).map("u".__add__), st.just([1]), max_size=30)


def a_profile() -> Profile:
    rng = np.random.default_rng(3)
    columns: dict[str, Any] = {"n": rng.normal(size=500), "w": ["a"] * 300 + ["b"] * 150 + ["1"] * 50}
    return build_profile(columns, scores=rng.uniform(size=500))


PROFILE = a_profile()


def a_sketch(rows: list[tuple[Any, Any, Any]], more: dict[str, list[int]] | None = None) -> Sketch:
    return observe(
        PROFILE, {"n": [r[0] for r in rows], "w": [r[1] for r in rows], **(more or {})}, [r[2] for r in rows]
    )


SKETCHES = st.builds(a_sketch, st.lists(ROW, max_size=5), UNKNOWN)


@given(SKETCHES, SKETCHES, SKETCHES)
def test_merging_is_associative_commutative_and_has_an_identity(a: Sketch, b: Sketch, c: Sketch) -> None:
    assert merge(merge(a, b), c).to_json() == merge(a, merge(b, c)).to_json()
    assert merge(a, b).to_json() == merge(b, a).to_json()
    assert merge(a, Sketch.empty()) == a == Sketch.empty().merge(a)


@given(st.lists(st.lists(ROW, max_size=6), max_size=4))
def test_batches_add_up_to_the_whole(batches: list[list[tuple[Any, Any, Any]]]) -> None:
    whole = a_sketch([row for batch in batches for row in batch])
    parts = a_sketch([])
    for batch in batches:
        parts = merge(parts, a_sketch(batch))
    assert parts == whole


@given(SKETCHES)
def test_json_is_exact_and_canonical(sketch: Sketch) -> None:
    assert Sketch.from_json(sketch.to_json()) == sketch
    assert Sketch.from_json(sketch.to_json()).to_json() == sketch.to_json()


@given(st.lists(ANY, max_size=20))
def test_each_row_is_in_exactly_one_cell(values: list[Any]) -> None:
    sketch = observe(PROFILE, {"n": values, "w": values}, values)
    for column in (*sketch.columns.values(), sketch.score):
        assert isinstance(column, ColumnSketch)
        assert column.present + column.missing + column.nonfinite + column.malformed == sketch.rows == len(values)


def test_each_bad_value_has_its_count() -> None:
    column = observe(PROFILE, {"n": BAD}, [0.5] * len(BAD)).columns["n"]
    assert column.missing == 4  # None, NaN twice, Decimal's NaN
    assert column.nonfinite == 4  # infinities, integers beyond float64
    assert column.malformed == 12  # texts, bytes, complex, containers, an object, a date
    assert column.present == len(BAD) - 20


def test_text_of_a_number_is_no_number() -> None:
    column = observe(PROFILE, {"n": ["1", "2.5"]}, [0.1, 0.2]).columns["n"]
    assert (column.malformed, column.present) == (2, 0)
    assert observe(PROFILE, {"n": np.array(["1", "2.5"])}, [0.1, 0.2]).columns["n"] == column


def test_one_and_one_point_zero_are_one_category() -> None:
    seen = [observe(PROFILE, {"w": [one]}, [0.5]).columns["w"] for one in (1, 1.0, "1", np.int64(1), Decimal(1))]
    assert all(column == seen[0] for column in seen)
    assert seen[0].counts.tolist() == [0, 0, 1, 0]
    assert observe(PROFILE, {"w": [True]}, [0.5]).columns["w"].counts.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("mixed", [[True, 1, 1.0], [1, True, 1.0]])
def test_values_that_hash_alike_stay_apart(mixed: list[object]) -> None:
    assert observe(PROFILE, {"w": mixed}, [0.5] * 3).columns["w"].counts.tolist() == [0, 0, 2, 1]


@pytest.mark.parametrize("convert", [list, tuple, np.asarray, lambda values: np.asarray(values, dtype=object)])
def test_every_container_counts_alike(convert: Callable[[list[float]], Any]) -> None:
    values = [0.5, math.nan, -2.0, math.inf]
    assert observe(PROFILE, {"n": convert(values)}, [0.5] * 4) == observe(PROFILE, {"n": values}, [0.5] * 4)


def test_a_column_that_is_not_there_is_missing_and_absent() -> None:
    column = observe(PROFILE, {"n": [1.0, 2.0]}, [0.5, 0.5]).columns["w"]
    assert (column.missing, column.absent, column.present) == (2, 2, 0)


def test_rows_without_scores_leave_the_score_absent() -> None:
    sketch = observe(PROFILE, {"n": [1.0, 2.0], "w": ["a"]})
    assert sketch.rows == 2
    assert sketch.score is not None
    assert (sketch.score.absent, sketch.columns["w"].missing, sketch.columns["w"].absent) == (2, 1, 0)


def test_a_column_of_another_length_is_cut_or_filled() -> None:
    sketch = observe(PROFILE, {"n": [1.0] * 5, "w": ["a"]}, [0.5] * 3)
    assert sketch.columns["n"].present == 3
    assert (sketch.columns["w"].present, sketch.columns["w"].missing) == (1, 2)


@pytest.mark.parametrize("value", ["text", b"bytes", 5, {"a": 1}, np.array(1.0), object()])
def test_what_is_no_column_is_malformed(value: object) -> None:
    sketch = observe(PROFILE, {"n": value, "w": value}, [0.5, 0.5])
    assert [sketch.columns[name].malformed for name in ("n", "w")] == [2, 2]


def test_a_nested_column_is_malformed() -> None:
    assert observe(PROFILE, {"n": np.ones((2, 3)), "w": [[1], [2]]}, [0.5, 0.5]).columns["n"].malformed == 2


def test_unknown_columns_are_counted_with_capped_names() -> None:
    more = {f"u{place:02}" + "x" * 100: [1] for place in range(30)}
    unknown = a_sketch([(1.0, "a", 0.5)], more).unknown_columns
    assert len(unknown) == 20
    assert all(len(name) == 64 and rows == 1 for name, rows in unknown.items())


def test_sketches_of_two_profiles_do_not_merge() -> None:
    other = build_profile({"n": [1.0]}, scores=[0.5])
    with pytest.raises(InvalidError, match="different bins"):
        merge(a_sketch([]), observe(other, {"n": [1.0]}, [0.5]))


@pytest.mark.parametrize("read", [Sketch.from_json, ArmSums.from_json, LabelledScores.from_json])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"1",
        b'{"rows":1}',
        b'{"bins":{"1000":[1,1]}}',
        b'{"256":[1]}',
        b'{"1":[0,0,0,0,0,0,0.5]}',
        b'{"-1":1}',
    ],
)
def test_what_is_no_sketch_is_refused(read: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(InvalidError):
        read(data)


def test_cells_that_are_no_integers_are_refused() -> None:
    plain = {**a_sketch([]).to_plain(), "score": [0.5, 1, 2, 3, 4]}
    with pytest.raises(InvalidError):
        Sketch.from_plain(plain)


# ------------------------------------------------------------------------------------------------------ sums per arm

ARM_ROW = st.tuples(st.integers(0, 255), st.booleans(), *[st.floats(-1e9, 1e9) | st.just(math.nan)] * 3)


def some_sums(rows: list[tuple[int, bool, float, float, float]]) -> ArmSums:
    buckets, errors, latency, loss, score = map(list, zip(*rows, strict=True)) if rows else ([], [], [], [], [])
    return ArmSums.observe(buckets, errors=errors, latency_ms=latency, loss=loss, score=score)


SUMS = st.builds(some_sums, st.lists(ARM_ROW, max_size=6))


@given(SUMS, SUMS, SUMS)
def test_sums_merge_in_any_order(a: ArmSums, b: ArmSums, c: ArmSums) -> None:
    assert a.merge(b).merge(c).to_json() == c.merge(b.merge(a)).to_json()
    assert a.merge(ArmSums.empty()) == a == ArmSums.from_json(a.to_json())


@given(st.lists(ARM_ROW, max_size=6), st.lists(ARM_ROW, max_size=6))
def test_sums_of_batches_are_sums_of_the_whole(
    first: list[tuple[int, bool, float, float, float]], second: list[tuple[int, bool, float, float, float]]
) -> None:
    assert some_sums(first).merge(some_sums(second)) == some_sums(first + second)


def test_sums_are_in_integer_units_and_sparse() -> None:
    sums = ArmSums.observe(
        [7, 7, 9], errors=[True, False, False], latency_ms=[1.5, 2.0, 0.0], loss=[0.25, math.nan, 1.0],
        score=[-0.1, 0.2, math.nan],
    )  # fmt: skip
    assert sums.to_plain() == {"7": [2, 1, 3500, 1, 250_000, 2, 100_000], "9": [1, 0, 0, 1, 1_000_000, 0, 0]}
    assert (sums.rows.sum(), sums.errors.sum(), sums.latency_us.sum(), sums.labelled.sum()) == (3, 1, 3500, 2)
    assert (sums.loss_e6.sum(), sums.scored.sum(), sums.score_e6.sum()) == (1_250_000, 2, 100_000)


def test_a_row_of_nonsense_cannot_overflow_a_sum() -> None:
    assert ArmSums.observe([0, 0], loss=[1.7e308, 1.7e308]).loss_e6[0] == 2 * 10**12


# -------------------------------------------------------------------------------------------------- scores by outcome

LABELLED = st.lists(st.tuples(st.floats(-0.1, 1.1), st.sampled_from([0.0, 1.0, math.nan])), max_size=20).map(
    lambda rows: LabelledScores.observe([row[0] for row in rows], [row[1] for row in rows])
)


@given(LABELLED, LABELLED, LABELLED)
def test_outcomes_merge_in_any_order(a: LabelledScores, b: LabelledScores, c: LabelledScores) -> None:
    assert a.merge(b).merge(c).to_json() == c.merge(b.merge(a)).to_json()
    assert a.merge(LabelledScores.empty()) == a == LabelledScores.from_json(a.to_json())


def test_quality_is_that_of_the_rows() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 4000)
    scores = np.round(np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1), 2)  # on the grid, with many ties
    seen = LabelledScores.observe(scores, labels)
    auc = seen.auc()
    assert auc is not None
    assert auc.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert seen.log_loss() == pytest.approx(log_loss(labels, np.clip(scores, 1e-15, 1 - 1e-15)), abs=2e-6)
    assert seen.brier() == pytest.approx(brier_score_loss(labels, scores), abs=2e-6)
    accuracy = seen.accuracy()
    assert accuracy is not None
    assert accuracy.value == np.mean((scores >= 0.5) == labels)
    assert seen.positive_rate() == labels.mean()


def test_delong_is_the_variance_of_the_placements() -> None:
    rng = np.random.default_rng(6)
    yes, no = np.round(rng.beta(3, 2, 60), 3), np.round(rng.beta(2, 3, 90), 3)
    kernel = (yes[:, None] > no[None, :]) + 0.5 * (yes[:, None] == no[None, :])
    expected = math.sqrt(kernel.mean(axis=1).var(ddof=1) / 60 + kernel.mean(axis=0).var(ddof=1) / 90)
    auc = LabelledScores.observe(np.concatenate([yes, no]) + 1e-9, [1] * 60 + [0] * 90).auc()
    assert auc is not None
    assert auc == pytest.approx((kernel.mean(), expected), abs=1e-12)


def test_a_class_without_rows_has_no_auc() -> None:
    assert LabelledScores.observe([0.1, 0.2, 0.9], [0, 0, 1]).auc() is None
    empty = LabelledScores.empty()
    assert (empty.accuracy(), empty.log_loss(), empty.brier(), empty.positive_rate()) == (None,) * 4


def test_what_is_no_probability_or_no_label_is_rejected() -> None:
    seen = LabelledScores.observe([0.5, 1.5, -0.1, math.nan, 0.5, 0.5], [1, 1, 0, 0, 2, math.nan])
    assert (seen.rows, seen.rejected, seen.correct) == (1, 5, 1)


def test_certain_scores_have_a_finite_loss() -> None:
    seen = LabelledScores.observe([0.0, 1.0], [1, 0])
    assert seen.log_loss() == pytest.approx(34.54, abs=0.01)
