"""Counts of inputs merge in any order to the same bytes, and bad data is counted, never raised."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.errors import InvalidError
from everloop.listed import Named
from everloop.profile import Profile, build_profile
from everloop.profile.cells import ABSENT, MALFORMED, MISSING
from everloop.sketch import Inputs, Layout
from everloop.sketch.inputs import MOST_ROWS
from everloop.sketch.layout import MAX_NAME, MAX_NAMES, STEPS, Schema

BAD: list[Any] = [
    None, math.nan, math.inf, -math.inf, "4", "", "\ud800", b"4", True, False, -0.0, 1e308, -1e308, 5e-324, 10**400,
    -(10**400), Decimal("1.5"), Decimal("sNaN"), 1j, [], [1], {}, {"a": 1}, (), object(), np.float32(1), np.int8(3),
    np.datetime64("2026-01-01"), np.float64("nan"), np.bool_(True), 2**63, 2**1023,  # noqa: FBT003  # a value, no flag
]  # fmt: skip
ANY = st.sampled_from(BAD) | st.floats() | st.integers() | st.text(max_size=3)
ROW = st.tuples(ANY, ANY, st.floats(0, 1) | st.sampled_from(BAD))
N, SCORE, W = 0, 1, 2
"""Places of the columns of the profile below: numeric, score, categorical."""


def a_profile() -> Profile:
    rng = np.random.default_rng(3)
    columns: dict[str, Any] = {"n": rng.normal(size=500), "w": ["a"] * 300 + ["b"] * 150 + ["1"] * 50}
    profile = build_profile(columns, scores=rng.uniform(size=500))
    n = profile.columns[0].model_copy(update={"mean": 0.1, "deviation": 1.0})
    score = profile.score.model_copy(update={"mean": None, "deviation": None})
    return profile.model_copy(update={"columns": (n, profile.columns[1]), "score": score})


LAYOUT = Layout.of(a_profile())


def counted(features: dict[str, Any] | None, scores: Any = None, rows: int | None = None) -> Inputs:  # noqa: ANN401  # raw data
    made = Inputs(LAYOUT)
    size = rows if rows is not None else len(scores)
    made.add(features, scores, size)
    return made


def of_rows(rows: list[tuple[Any, Any, Any]]) -> Inputs:
    return counted({"n": [r[0] for r in rows], "w": [r[1] for r in rows]}, [r[2] for r in rows])


def merged(*parts: Inputs) -> bytes:
    whole = Inputs(LAYOUT)
    for part in parts:
        whole.merge(part)
    return written(whole)


def written(inputs: Inputs) -> bytes:
    return orjson.dumps(inputs.to_plain(), option=orjson.OPT_SERIALIZE_NUMPY)


def lost(inputs: Inputs, place: int) -> list[int]:
    return [int(count) for count in inputs.lost[:, place]]


INPUTS = st.builds(of_rows, st.lists(ROW, max_size=5))


@given(INPUTS, INPUTS, INPUTS)
def test_merging_is_associative_commutative_and_has_an_identity(a: Inputs, b: Inputs, c: Inputs) -> None:
    assert merged(a, b, c) == merged(c, b, a) == merged(b, c, a)
    assert merged(a, Inputs(LAYOUT)) == written(a)


@given(st.lists(st.lists(ROW, max_size=6), max_size=4))
def test_batches_add_up_to_the_whole(batches: list[list[tuple[Any, Any, Any]]]) -> None:
    assert merged(*map(of_rows, batches)) == written(of_rows([row for batch in batches for row in batch]))


def test_more_rows_than_are_counted_at_a_time_add_up_as_well() -> None:
    rng = np.random.default_rng(4)
    values, scores = (rng.normal(size=3 * MOST_ROWS + 5) * 1e6).tolist(), rng.random(3 * MOST_ROWS + 5).tolist()
    parts = [counted({"n": values[at : at + 999], "w": ["a"] * len(values[at : at + 999])}, scores[at : at + 999])
             for at in range(0, len(values), 999)]  # fmt: skip
    assert merged(*parts) == written(counted({"n": values, "w": ["a"] * len(values)}, scores))


@given(INPUTS)
def test_json_is_exact_and_canonical(inputs: Inputs) -> None:
    assert written(Inputs.from_plain(LAYOUT, orjson.loads(written(inputs)))) == written(inputs)


@given(st.lists(ANY, max_size=20))
def test_each_row_is_in_exactly_one_cell(values: list[Any]) -> None:
    inputs = counted({"n": values, "w": values}, values)
    for place in (N, SCORE, W):
        in_bins = int(inputs.counts(place).sum())
        assert in_bins + sum(lost(inputs, place)[:ABSENT]) == inputs.rows == len(values)


def test_each_bad_value_has_its_count() -> None:
    inputs = counted({"n": BAD, "w": ["a"] * len(BAD)}, [0.5] * len(BAD))
    # None, NaN twice, Decimal's NaN; infinities, integers beyond float64; texts, bytes, complex, containers, a date
    assert lost(inputs, N) == [4, 4, 12, 0]
    assert int(inputs.counts(N).sum()) == len(BAD) - 20


def test_text_of_a_number_is_no_number() -> None:
    inputs = counted({"n": ["1", "2.5"], "w": ["a", "a"]}, [0.1, 0.2])
    assert lost(inputs, N)[MALFORMED] == 2
    assert written(counted({"n": np.array(["1", "2.5"]), "w": ["a", "a"]}, [0.1, 0.2])) == written(inputs)


def test_one_and_one_point_zero_are_one_category() -> None:
    seen = [
        counted({"n": [0.0], "w": [one]}, [0.5]).counts(W).tolist() for one in (1, 1.0, "1", np.int64(1), Decimal(1))
    ]
    assert seen == [[0, 0, 1, 0]] * 5
    assert counted({"n": [0.0], "w": [True]}, [0.5]).counts(W).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("mixed", [[True, 1, 1.0], [1, True, 1.0]])
def test_values_that_hash_alike_stay_apart(mixed: list[object]) -> None:
    assert counted({"n": [0.0] * 3, "w": mixed}, [0.5] * 3).counts(W).tolist() == [0, 0, 2, 1]


@pytest.mark.parametrize("convert", [list, tuple, np.asarray, lambda values: np.asarray(values, dtype=object)])
def test_every_container_counts_alike(convert: Callable[[list[float]], Any]) -> None:
    values = [0.5, math.nan, -2.0, math.inf]
    assert written(counted({"n": convert(values)}, [0.5] * 4)) == written(counted({"n": values}, [0.5] * 4))


class Coded:
    """Texts as Arrow's dictionaries come."""

    def __init__(self, texts: list[str], codes: list[int]) -> None:
        self.texts, self.codes = texts, np.array(codes, dtype=np.int32)


def test_coded_texts_count_as_texts_do() -> None:
    coded = Coded(["b", "a", "new", "unused"], [0, 1, 1, -1, 2])
    plain: list[str | None] = ["b", "a", "a", None, "new"]
    assert written(counted({"n": [0.0] * 5, "w": coded}, [0.5] * 5)) == written(
        counted({"n": [0.0] * 5, "w": plain}, [0.5] * 5)
    )


def test_a_million_categories_are_one_bin_and_every_row_is_counted() -> None:
    values = [f"c{number}" for number in range(1_000_000)]
    inputs = counted({"n": [0.0] * len(values), "w": values}, [0.5] * len(values))
    assert inputs.counts(W).tolist() == [0, 0, 0, 1_000_000]
    assert len(written(inputs)) < 10_000


def test_a_column_that_is_not_there_is_missing_and_absent() -> None:
    inputs = counted({"n": [1.0, 2.0]}, [0.5, 0.5])
    assert lost(inputs, W) == [2, 0, 0, 2]
    assert lost(counted({"w": ["a"]}, [0.5]), N) == [1, 0, 0, 1]


def test_rows_without_scores_leave_the_score_absent() -> None:
    inputs = counted({"n": [1.0, 2.0], "w": ["a"]}, None, rows=2)
    assert lost(inputs, SCORE) == [2, 0, 0, 2]
    assert lost(inputs, W) == [1, 0, 0, 0]


def test_of_a_shadow_only_the_scores_are_counted() -> None:
    inputs = counted(None, [0.5, math.nan])
    assert inputs.rows == 2
    assert (int(inputs.counts(SCORE).sum()), lost(inputs, SCORE)) == (1, [1, 0, 0, 0])
    assert not inputs.counts(N).any()
    assert lost(inputs, N) == lost(inputs, W) == [0, 0, 0, 0]


def test_a_column_of_another_length_is_cut_or_filled() -> None:
    inputs = counted({"n": [1.0] * 5, "w": ["a"]}, [0.5] * 3)
    assert int(inputs.counts(N).sum()) == 3
    assert (int(inputs.counts(W).sum()), lost(inputs, W)[MISSING]) == (1, 2)


@pytest.mark.parametrize("value", ["text", b"bytes", 5, {"a": 1}, np.array(1.0), object()])
def test_what_is_no_column_is_malformed(value: object) -> None:
    inputs = counted({"n": value, "w": value}, [0.5, 0.5])
    assert lost(inputs, N) == lost(inputs, W) == [0, 0, 2, 0]


def test_a_nested_column_is_malformed() -> None:
    inputs = counted({"n": np.ones((2, 3)), "w": [[1], [2]]}, [0.5, 0.5])
    assert lost(inputs, N)[MALFORMED] == lost(inputs, W)[MALFORMED] == 2


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=200))
def test_moments_are_those_of_the_values_to_a_step(values: list[float]) -> None:
    """The bound that `Inputs.moments` states: half a step for the mean, a step for the deviation."""
    found = counted({"n": values, "w": ["a"] * len(values)}, [0.5] * len(values)).moments(N)
    assert found is not None
    step = 1.0 / STEPS
    assert abs(found[0] - np.mean(values)) <= step / 2 + 1e-9
    assert abs(found[1] - np.std(values)) <= step + 1e-9


def test_moments_of_nothing_or_without_a_reference_are_none() -> None:
    assert counted({"n": [None, math.inf], "w": ["a", "a"]}, [0.5, 0.5]).moments(N) is None
    assert counted({"n": [1.0], "w": ["a"]}, [0.5]).moments(SCORE) is None, "this profile says no moments of the score"


def test_an_extreme_value_is_cut_off_in_moments_and_counted_in_bins() -> None:
    inputs = counted({"n": [1.7e308, -1.7e308, 0.1], "w": ["a"] * 3}, [0.5] * 3)
    assert inputs.counts(N)[[0, -1]].tolist() == [1, 1]
    mean, deviation = inputs.moments(N) or (0.0, 0.0)
    assert mean == pytest.approx(0.1)
    assert deviation == pytest.approx(math.sqrt(2 / 3) * 1024)


@pytest.mark.parametrize("values", [[1000.0] * 3, [1024.0, 1025.0, 0.0], [-2000.0, 1e308, 0.5], [math.nan, 1e6, 3.0]])
def test_moments_are_whole_steps_cut_off_however_large_their_squares_are(values: list[float]) -> None:
    inputs = counted({"n": values, "w": ["a"] * 3}, [0.5] * 3)
    most = float(1 << 20)
    steps = [round(min(max((one - 0.1) * STEPS, -most), most)) for one in values if not math.isnan(one)]
    assert int(inputs.first[N]) == sum(steps)
    assert int(inputs.second[0, N]) + (int(inputs.second[1, N]) << 32) == sum(step * step for step in steps)


def test_arrays_of_any_numbers_count_as_lists_do() -> None:
    ints, floats = np.array([0, 1, -3], np.int8), np.array([0.5, math.nan, 0.25], np.float32)
    strided = np.arange(6.0)[::2]
    for numbers, scores in ((ints, floats), (strided, floats), (ints.astype(np.uint64), strided)):
        assert written(counted({"n": numbers}, scores)) == written(counted({"n": numbers.tolist()}, scores.tolist()))


def test_texts_of_a_shared_dictionary_are_looked_up_for_each_profile() -> None:
    profile = a_profile()
    w = profile.columns[1].model_copy(update={"categories": ("b", "a")})
    other = Layout.of(profile.model_copy(update={"columns": (profile.columns[0], w)}))
    coded = Coded(Named(["b", "a", "new"]), [0, 1, 1, -1, 2])
    plain = ["b", "a", "a", None, "new"]
    for layout in (LAYOUT, other, other, LAYOUT):
        first, second = Inputs(layout), Inputs(layout)
        first.add({"n": [0.0] * 5, "w": coded}, [0.5] * 5, 5)
        second.add({"n": [0.0] * 5, "w": plain}, [0.5] * 5, 5)
        assert written(first) == written(second)


def test_counts_beyond_32_bits_do_not_wrap_round() -> None:
    half = counted({"n": [0.0], "w": ["a"]}, [0.5])
    half.rows, half.cells, half.lost = 2**30, half.cells * 2**30, half.lost * 2**30
    whole = Inputs(LAYOUT)
    for _ in range(4):
        whole.merge(half)
    assert (whole.rows, int(whole.counts(W)[0])) == (2**32, 2**32)
    assert Inputs.from_plain(LAYOUT, orjson.loads(written(whole))).counts(W)[0] == 2**32


def test_sketches_of_two_profiles_do_not_merge() -> None:
    other = Layout.of(build_profile({"n": [1.0]}, scores=[0.5]))
    with pytest.raises(InvalidError, match="different bins"):
        counted({}, [0.5]).merge(Inputs(other))
    with pytest.raises(InvalidError):
        Inputs.from_plain(other, orjson.loads(written(counted({}, [0.5]))))


@pytest.mark.parametrize(
    "change",
    [
        {"rows": -1}, {"rows": "1"}, {"rows": True}, {"cells": [1]}, {"cells": [0.5] * LAYOUT.cells}, {"lost": {}},
        {"first": None}, {"second": ["a"]},
    ],
)  # fmt: skip
def test_what_is_no_sketch_is_refused(change: dict[str, object]) -> None:
    plain = orjson.loads(written(counted({"n": [1.0], "w": ["a"]}, [0.5])))
    with pytest.raises(InvalidError):
        Inputs.from_plain(LAYOUT, {**plain, **change})
    for name in plain:
        with pytest.raises(InvalidError):
            Inputs.from_plain(LAYOUT, {key: value for key, value in plain.items() if key != name})


def test_counts_are_those_of_pandas() -> None:
    """Another way to the same numbers: cut and value_counts."""
    rng = np.random.default_rng(8)
    profile = a_profile()
    values = pd.Series(np.where(rng.random(4000) < 0.1, np.nan, rng.normal(0.3, 1.4, 4000)))
    words = pd.Series(rng.choice(["a", "b", "c", "1"], 4000))
    inputs = counted({"n": values.tolist(), "w": words.tolist()}, [0.5] * 4000)
    edges = [-math.inf, *profile.columns[0].edges, math.inf]
    expected = pd.cut(values, edges, right=False).value_counts(sort=False)
    assert inputs.counts(N).tolist() == expected.tolist()
    assert lost(inputs, N)[MISSING] == values.isna().sum()
    kept = words.where(words.isin(profile.columns[1].categories), "other").value_counts()
    assert dict(zip([*profile.columns[1].categories, "other"], inputs.counts(W).tolist(), strict=True)) == dict(kept)


# ------------------------------------------------------------------------------------------------------------ schemas


@pytest.mark.parametrize(
    ("features", "schema"),
    [
        ({"n": [1.0], "w": ["a"]}, Schema()),
        ({"n": [1], "w": [None]}, Schema()),
        ({"n": [None, None], "w": [None, "a"]}, Schema()),
        ({"n": [True], "w": ["a"]}, Schema()),
        ({"n": [1.0, "broken"], "w": ["a", 3]}, Schema()),
        ({"n": ["broken", 1.0], "w": ["a", "b"]}, Schema()),
        ({"n": [[1]], "w": ["a"]}, Schema()),
        ({"n": "text", "w": 7}, Schema()),
        ({"n": ["1", None, "2"], "w": ["a", "b", "c"]}, Schema(retyped=("n",))),
        ({"n": [1.0], "w": ["a"], "z": [1], "x": [2]}, Schema(added=("x", "z"))),
        ({"w": ["a"]}, Schema(removed=("n",))),
        ({"x": [1.0], "w": ["a"]}, Schema(added=("x",), removed=("n",))),
        ({"n": Coded(["1"], [0]), "w": Coded(["a"], [0])}, Schema(retyped=("n",))),
    ],
)
def test_the_schema_of_a_record_is_how_it_differs(features: dict[str, Any], schema: Schema) -> None:
    assert LAYOUT.schema(features) == schema


def test_numbers_where_text_was_are_retyped_unless_the_categories_are_numbers() -> None:
    words = Layout.of(build_profile({"w": ["a", "b"]}, scores=[0.5]))
    codes = Layout.of(build_profile({"w": ["1", "2"]}, scores=[0.5]))
    for column in ([1, 2], np.array([1.0, 2.0])):
        assert words.schema({"w": column}) == Schema(retyped=("w",))
        assert codes.schema({"w": column}) == Schema()
    assert words.schema({"w": np.array([math.nan])}) == Schema()


def test_columns_that_the_model_ignores_are_no_news() -> None:
    profile = build_profile({"n": [1.0, 2.0]}, scores=[0.5]).model_copy(update={"ignored": ("extra",)})
    layout = Layout.of(profile)
    assert layout.schema({"n": [1.0], "extra": ["x"]}) == Schema()
    assert layout.schema({"n": [1.0], "extra": ["x"], "new": [1]}) == Schema(added=("new",))


def test_names_of_a_schema_are_capped_in_number_and_length() -> None:
    added = LAYOUT.schema({"n": [1.0], "w": ["a"], **{f"u{n:02}\ud800" + "x" * 100: [1] for n in range(30)}}).added
    assert len(added) == MAX_NAMES
    assert all(len(name) == MAX_NAME for name in added)
    assert orjson.dumps(added)
