"""Rows of many sketches that are counted at once give what each gives by itself, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from everloop.profile import build_profile
from everloop.sketch import Inputs, Layout, Sums
from everloop.sketch.together import FEW, ROWS, Share, Summed, add_together, count_together, in_batches

VALUES = st.floats() | st.sampled_from([None, "x", True, 10**400, 2**63, 1e308, -1e308, -0.0])
Columns = list[tuple[Any, str, Any]]
ROW = st.tuples(VALUES, st.sampled_from(["a", "b", "new", ""]), st.floats(0, 1) | VALUES)


def a_layout(seed: int, numbers: NDArray[Any], categories: int) -> Layout:
    rng = np.random.default_rng(seed)
    words = [chr(97 + place % categories) for place in range(len(numbers))]
    return Layout.of(build_profile({"n": numbers, "w": words}, scores=rng.beta(2, 1 + seed, size=len(numbers))))


RNG = np.random.default_rng(5)
LAYOUTS = (
    a_layout(0, RNG.normal(size=400), 2),
    a_layout(1, RNG.exponential(1e6, size=400), 4),
    a_layout(2, RNG.integers(0, 5, 400) * 1.0, 1),
    a_layout(3, np.full(100, 7.0), 3),
    a_layout(4, np.exp(20 * RNG.normal(size=400)), 2),
)
"""Of the last one's numbers, with their long tail, bins are searched."""
SHARE = st.tuples(st.integers(0, len(LAYOUTS) - 1), st.lists(ROW, max_size=8), st.booleans())


def an_inputs(place: int) -> Inputs:
    return Inputs(LAYOUTS[place])


def prepared(inputs: Inputs, rows: Columns, *, shadow: bool = False) -> Share:
    features = {"n": [row[0] for row in rows], "w": [row[1] for row in rows]}
    return Share(inputs, inputs.prepare(None if shadow else features, [row[2] for row in rows], len(rows)))


def written(one: Inputs | Sums) -> bytes:
    return orjson.dumps(one.to_plain(), option=orjson.OPT_SERIALIZE_NUMPY)


def apart(shares: Sequence[tuple[int, Columns, bool]]) -> list[bytes]:
    found = []
    for place, rows, shadow in shares:
        inputs = an_inputs(place)
        inputs.count(prepared(inputs, rows, shadow=shadow).prepared)
        found.append(written(inputs))
    return found


def together(shares: Sequence[tuple[int, Columns, bool]]) -> list[bytes]:
    made = [prepared(an_inputs(place), rows, shadow=shadow) for place, rows, shadow in shares]
    count_together(made)
    return [written(share.inputs) for share in made]


def test_one_of_the_layouts_is_searched() -> None:
    assert [bool(one.grid.searched) for one in LAYOUTS] == [False, False, False, False, True]


@given(st.lists(SHARE, max_size=6))
def test_inputs_are_those_of_each_by_itself(shares: list[tuple[int, Columns, bool]]) -> None:
    assert together(shares) == apart(shares)


@pytest.mark.parametrize("rows", [1, 100, FEW, FEW + 1])
def test_so_are_many_rows_of_many(rows: int) -> None:
    rng = np.random.default_rng(rows)
    shares: list[tuple[int, Columns, bool]] = [
        (
            number % len(LAYOUTS),
            list(zip((rng.normal(size=rows) * 10.0 ** rng.integers(-3, 9)).tolist(),
                     rng.choice(["a", "b", "c", "z"], rows).tolist(), rng.random(rows).tolist(), strict=True)),
            False,
        )
        for number in range(3 * ROWS // rows if rows > 1 else 50)
    ]  # fmt: skip
    assert together(shares) == apart(shares)


def test_what_is_there_already_stays() -> None:
    inputs, other, rows = an_inputs(0), an_inputs(1), [(1.0, "a", 0.5)] * 3
    inputs.add({"n": [2.0], "w": ["b"]}, [0.1], 1)
    count_together([prepared(inputs, rows), prepared(other, rows), prepared(inputs, rows)])
    whole = an_inputs(0)
    whole.add({"n": [2.0, *[1.0] * 6], "w": ["b", *"aaaaaa"]}, [0.1, *[0.5] * 6], 7)
    assert written(inputs) == written(whole)
    assert other.rows == int(other.counts(0).sum()) == 3


AMOUNT = st.floats(-1e15, 1e15) | st.sampled_from([np.nan, np.inf, -np.inf, 1e308])
SUMMED = st.tuples(st.lists(st.tuples(st.integers(0, 255), AMOUNT, st.booleans(), AMOUNT), max_size=6), st.booleans(),
                   st.booleans())  # fmt: skip


def a_summed(rows: list[tuple[int, float, bool, float]], with_errors: bool, with_latency: bool) -> Summed:  # noqa: FBT001 -- drawn
    buckets, score, errors, latency = zip(*rows, strict=True)
    return Summed(
        Sums(), np.array(buckets, np.uint8), np.array(score, np.float64),
        np.array(errors, np.bool_) if with_errors else None, np.array(latency, np.float64) if with_latency else None,
    )  # fmt: skip


@given(st.lists(SUMMED, max_size=5))
def test_sums_are_those_of_each_by_itself(drawn: list[tuple[list[tuple[int, float, bool, float]], bool, bool]]) -> None:
    shares = [a_summed(*one) for one in drawn if one[0]]
    expected = []
    for one in shares:
        made = Sums()
        made.add(one.buckets, errors=one.errors, latency_ms=one.latency_ms, score=one.score)
        expected.append(written(made))
    add_together(shares)
    assert [written(one.sums) for one in shares] == expected


@given(st.lists(st.integers(0, 2 * ROWS), max_size=20))
def test_batches_have_all_in_order_and_few_rows(sizes: list[int]) -> None:
    batches = list(in_batches(sizes, sizes))
    assert [size for batch in batches for size in batch] == sizes
    assert all(batch and (sum(batch) <= ROWS or len([size for size in batch if size]) == 1) for batch in batches)
    assert all(sum(one) + sum(two[:1]) > ROWS for one, two in pairwise(batches))
