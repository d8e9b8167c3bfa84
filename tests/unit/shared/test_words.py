"""Texts that are looked up as words where they stand have the cells that each has by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.listed import Quoted
from everloop.profile import build_profile
from everloop.sketch import Inputs, Layout
from everloop.sketch.words import MOST_BYTES, Words, are_quoted, words_of

KNOWN = ["a", "b", "ab", "", "é", "ean-code", "ean-codes", "x" * MOST_BYTES, "1", "true"]
OTHER = [
    "c",
    "A",
    "a ",
    "ean-cod",
    "ean-codé",
    "x" * (MOST_BYTES - 1),
    "x" * (MOST_BYTES + 1),
    "y" * 300,
    "ab,",
    "日本",
]
ROWS = 4


def a_layout(*categories: list[str]) -> Layout:
    """One number, and a column for each list."""
    rng = np.random.default_rng(3)
    columns: dict[str, Any] = {"n": rng.normal(size=400)}
    columns |= {f"w{place}": (one * 400)[:400] for place, one in enumerate(categories)}
    return Layout.of(build_profile(columns, scores=rng.uniform(size=400)))


LAYOUT = a_layout(KNOWN, ["b", "z", "ean-code"])


def quoted(*columns: list[str]) -> list[Quoted]:
    """Texts as they stand in JSON."""
    found = Quoted.of([orjson.dumps(one)[1:-1] for one in columns], len(columns[0]))
    assert found is not None
    return found


def counted(layout: Layout, features: dict[str, Any]) -> bytes:
    made = Inputs(layout)
    made.add(features, [0.5] * ROWS, ROWS)
    return orjson.dumps(made.to_plain(), option=orjson.OPT_SERIALIZE_NUMPY)


some = st.lists(st.sampled_from(KNOWN + OTHER) | st.text("abeé-,: ", max_size=40), min_size=ROWS, max_size=ROWS)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(some, some, st.lists(st.integers(-3, 3) | st.floats(-3, 3), min_size=ROWS, max_size=ROWS))
def test_arrays_are_counted_as_lists_are(one: list[str], two: list[str], numbers: list[float]) -> None:
    w0, w1 = quoted(one, two)
    arrays: dict[str, Any] = {"n": np.array(numbers, np.float64), "w0": w0, "w1": w1}
    assert counted(LAYOUT, arrays) == counted(LAYOUT, {"n": numbers, "w0": one, "w1": two})
    assert LAYOUT.schema(arrays) == LAYOUT.schema({"n": numbers, "w0": one, "w1": two})


def test_numbers_where_texts_are_due_and_texts_where_numbers_are_count_as_lists_do() -> None:
    texts = ["a", "1", "b", ""]
    (found,) = quoted(texts)
    arrays = {"n": found, "w0": np.array([1.0, 2.5, 1, 3]), "w1": np.array([1.0, 2.5, 1, 3])}
    lists: dict[str, Any] = {"n": texts, "w0": [1, 2.5, 1.0, 3], "w1": [1, 2.5, 1, 3.0]}
    assert counted(LAYOUT, arrays) == counted(LAYOUT, lists)
    assert LAYOUT.schema(arrays) == LAYOUT.schema(lists)
    assert LAYOUT.schema(arrays).retyped == ("n", "w1"), "1 is a category of w0"


def test_every_other_number_of_an_array_is_counted_as_a_list_is() -> None:
    texts = ["a"] * ROWS
    strided = np.arange(2.0 * ROWS)[::2]
    assert counted(LAYOUT, {"n": strided, "w0": texts, "w1": texts}) == counted(
        LAYOUT, {"n": strided.tolist(), "w0": texts, "w1": texts}
    )


@pytest.mark.parametrize(
    "categories", [["x" * (MOST_BYTES + 1), "a"], [f"{number}-a" for number in range(400)]], ids=["long", "many"]
)
def test_what_does_not_go_into_a_table_is_counted_all_the_same(categories: list[str]) -> None:
    layout, texts = a_layout(categories, categories), categories[:2] * 2
    one, two = quoted(texts, texts)
    lists = {"n": [0.0] * ROWS, "w0": texts, "w1": texts}
    assert counted(layout, {**lists, "w0": one, "w1": two}) == counted(layout, lists)


def test_a_text_too_long_for_the_table_has_none() -> None:
    assert Words.of([{"x" * MOST_BYTES: 1}]) is not None
    assert Words.of([{"x" * (MOST_BYTES + 1): 1}]) is None
    assert Words.of([{"a": 1, "a\0": 2}]) is None, "words are filled up with zeros"
    assert Words.of([{}]) is None
    assert Words.of([]) is None


def test_a_text_is_known_in_its_own_column_only() -> None:
    words = Words.of([{"a": 1}, {"b": 2}])
    assert words is not None
    cells, known = words.find(quoted(["a", "b", ""], ["a", "b", ""]))
    assert known.tolist() == [[True, False, False], [False, True, False]]
    assert cells[known].tolist() == [1, 2]


def test_a_thousand_texts_that_are_no_category_are_known_as_none() -> None:
    words = words_of(LAYOUT)
    assert words is not None
    texts = [f"{number:x}" for number in range(2_000, 3_000)]
    assert not words.find(quoted(texts, texts))[1].any()


def test_columns_of_two_records_are_no_columns_of_one() -> None:
    one, two = quoted(["a", "b"], ["c", "d"])
    assert are_quoted([one, two], 2)
    assert not are_quoted([one, *quoted(["a", "b"])], 2)
    assert not are_quoted([one, ["c", "d"]], 2)
    assert not are_quoted([one, two], 3)
    assert not are_quoted([], 2)


@pytest.mark.parametrize("column", ['"a",null', '"a",1', "1,2", '"a"', '"a","b","c"'])
def test_what_is_not_all_texts_is_not_quoted(column: str) -> None:
    assert Quoted.of([column.encode()], 2) is None
    assert Quoted.of([b'"a","b"', column.encode()], 2) is None


def test_texts_missing_in_one_column_are_not_made_up_by_another() -> None:
    assert Quoted.of([b'"a",1', b'"a","b","c"'], 2) is None
    assert Quoted.of([b'"a","b","c"', b'1,"b"'], 2) is None


def test_texts_are_read_where_they_stand() -> None:
    (found,) = quoted(["a", "é, :", "", "日本"])
    assert found == ["a", "é, :", "", "日本"]
    assert found.take([3, 0]) == ["日本", "a"]
    assert (len(found), found[1], found[2:]) == (4, "é, :", ["", "日本"])
