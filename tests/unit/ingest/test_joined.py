"""Pieces of a column that are put together are the same column, and a file of them has the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.listed import Texts, Whole
from everloop.rows.values import Categories, listed
from everloop_ingest.adapters.parquet import arrays_of
from everloop_ingest.domain.archiving import FEATURE, Piece, Pieces, Same
from everloop_ingest.domain.joined import joined
from everloop_ingest.domain.picking import picked

NUMBERS = st.floats(allow_infinity=True, allow_nan=True)
TEXTS = st.sampled_from(["", "a", "b", "cé"])


def _categories(values: Sequence[str | None]) -> Categories:
    texts = sorted({value for value in values if value is not None}, reverse=True)
    codes = [-1 if value is None else texts.index(value) for value in values]
    return Categories(np.array(codes, np.int32), texts)


def _texts(values: Sequence[str]) -> Texts:
    parts = [value.encode() for value in values]
    return Texts(b"".join(parts), np.cumsum([0, *map(len, parts)], dtype=np.int32))


ARRAYS: st.SearchStrategy[Piece] = st.one_of(
    st.lists(NUMBERS, max_size=5).map(lambda values: np.array(values, np.float64)),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5).map(lambda values: np.array(values, np.int64)),
    st.lists(st.booleans(), max_size=5).map(lambda values: np.array(values, np.bool_)),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5).map(lambda values: Whole(np.array(values, np.int64))),
)
OTHERS: st.SearchStrategy[Piece] = st.one_of(
    st.lists(TEXTS | st.none(), max_size=5).map(_categories),
    st.lists(TEXTS, max_size=5).map(_texts),
    st.lists(st.one_of(TEXTS, st.none(), st.booleans(), st.floats(-9, 9), st.integers(-9, 9)), max_size=5),
    st.integers(0, 5).map(lambda rows: Same(None, rows)),
)
COLUMNS = st.lists(ARRAYS, min_size=1, max_size=6) | st.lists(ARRAYS | OTHERS, min_size=1, max_size=6)


def _cells(piece: Piece) -> list[object]:
    if isinstance(piece, Same):
        return [piece.value] * piece.rows
    return listed(piece) if isinstance(piece, list | np.ndarray | Categories) else list(piece)


def _as_told(pieces: Pieces) -> list[object]:
    """Cell by cell, as the archive says: a text where one is a text, else doubles, and None for what is missing."""
    cells = [cell for piece in pieces for cell in _cells(piece)]
    if any(isinstance(cell, str) for cell in cells):
        return [None if cell is None else str(cell) for cell in cells]
    return [None if cell is None else float(cell) for cell in cells if cell is None or isinstance(cell, int | float)]


@given(COLUMNS)
def test_a_feature_is_that_of_its_cells(pieces: Pieces) -> None:
    array = arrays_of({f"{FEATURE}x": pieces})[f"{FEATURE}x"]
    assert array.type in {pa.float64(), pa.string()}
    assert array.to_pylist() == _as_told(pieces)


@given(COLUMNS, st.booleans())
def test_pieces_keep_their_cells_and_their_order(pieces: Pieces, lists: bool) -> None:  # noqa: FBT001 -- drawn
    found = joined(pieces, lists=lists)
    assert repr([cell for piece in found for cell in _cells(piece)]) == repr(
        [cell for piece in pieces for cell in _cells(piece)]
    )
    assert len(found) <= len(pieces)


def test_pieces_of_one_kind_are_one() -> None:
    texts = [_categories(["a", None, "b"]), _categories(["c", "b"])]
    (found,) = joined(texts)
    assert isinstance(found, Categories)
    assert (found.tolist(), found.texts) == (["a", None, "b", "c", "b"], ["b", "a", "c"])
    assert joined([Same("1", 2), Same("1", 3), Same("2", 1)]) == [Same("1", 5), Same("2", 1)]
    assert joined([["a"], ("b", "c")], lists=True) == [["a", "b", "c"]]
    assert joined([["a"], ["b"]]) == [["a"], ["b"]]
    (ids,) = joined([_texts(["a", "cé"]), _texts([]), _texts(["", "b"])])
    assert isinstance(ids, Texts)
    assert ids.tolist() == ["a", "cé", "", "b"]
    (times,) = joined([Whole(np.array([2**62 + 1])), Whole(np.array([3]))])
    assert isinstance(times, np.ndarray)
    assert times.tolist() == [2**62 + 1, 3]


@given(st.lists(st.lists(TEXTS, max_size=4), min_size=1, max_size=4), st.lists(st.integers(0, 2**62), min_size=1))
def test_a_file_is_the_same_whether_arrow_or_json_brought_its_ids(ids: list[list[str]], times: list[int]) -> None:
    def file(identities: Pieces, moments: Pieces) -> list[object]:
        return [*arrays_of({"prediction_id": identities, "time": moments}).values()]

    arrow = file([_texts(some) for some in ids], [Whole(np.array(times, np.int64))])
    assert arrow == file(ids, [times])


def test_a_whole_number_beyond_a_double_is_rounded_where_doubles_are_due() -> None:
    columns = {"score": [np.array([2**60 + 1])], "time": [np.array([2**60 + 1])]}
    found = arrays_of(columns)
    assert found["score"].to_pylist() == [float(2**60)]
    assert found["time"].to_pylist() == [2**60 + 1]


def test_texts_that_offsets_have_no_room_for_are_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everloop.listed.MOST_OFFSET", 3)
    with pytest.raises(ValueError, match="4"):
        joined([_texts(["ab"]), _texts(["cd"])])


@pytest.mark.parametrize("rows", [[], [2], [0, 2], [1, 1, 0]])
def test_picked_values_are_those_at_the_places(rows: list[int]) -> None:
    assert picked(("a", "b", "c"), np.array(rows, np.int64)) == ["abc"[row] for row in rows]
