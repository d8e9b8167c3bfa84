"""Usual Arrow streams, read without pyarrow: the same rows as pyarrow reads, or left to it."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.errors import InvalidError
from everloop.events import LATEST_MS
from everloop.listed import Texts
from everloop.rows import Categories, Rows, listed, read_rows, write_rows
from everloop.rows import direct as direct_module
from everloop.rows.arrow import read_arrow
from everloop.rows.direct import read_direct
from everloop.rows.stream import messages
from tests.builders import NOON
from tests.unit.rows.builders import ARROW_HEADERS, AT, arrow, some_rows, stream

ROWS = 3
TYPES = [pa.float64(), pa.float32(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64()]
INDICES = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint32()]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
floats = st.floats(width=32) | st.none()


def direct(value: bytes) -> Rows | None:
    """By the reader under test alone."""
    return read_direct(value, "id", "fraud")


def a_stream(**changed: object) -> bytes:
    """Three rows; ids are texts, a feature that is a text is in a dictionary."""
    return stream(arrow(**changed))


def said(rows: Rows) -> dict[str, Any]:
    """All of it, as values and types that can be compared."""
    columns = {name: _said(column) for name, column in rows.features.items()}
    numbers = {
        name: None if (column := getattr(rows, name)) is None else _said(column)
        for name in ("score", "label", "latency_ms", "shadow_score")
    }
    named = ("id", "model", "times", "source", "version", "digest", "arm", "epoch", "status", "shadow_version")
    once = {name: getattr(rows, name) for name in named}
    ids = {"prediction_id": list(rows.prediction_id), "entities": list(rows.entities)}
    return {**once, **ids, **numbers, "features": columns}


def _said(column: Any) -> tuple[str, list[Any]]:  # noqa: ANN401 -- any column
    if isinstance(column, Categories):
        assert sorted(column.texts) == sorted({text for text in column if text is not None})
        return "categories", column.tolist()
    return str(getattr(column, "dtype", "list")), listed(column)


def dictionary(values: list[str | None], index: pa.DataType) -> pa.DictionaryArray:
    """Texts that a dictionary numbers."""
    array = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(array.indices.cast(index), array.dictionary)


@st.composite
def features(draw: st.DrawFn) -> Any:  # noqa: ANN401 -- published without types
    """A column of one of the usual types, with and without what is missing."""
    kind = draw(st.sampled_from([*TYPES, pa.bool_(), "texts"]))
    if kind == "texts":
        values = draw(st.lists(texts | st.none(), min_size=ROWS, max_size=ROWS))
        return dictionary(values, draw(st.sampled_from(INDICES)))
    cells: st.SearchStrategy[Any] = (
        floats if pa.types.is_floating(kind) else st.booleans() | st.none() if kind == pa.bool_()
        else st.integers(0, 127) | st.none()
    )  # fmt: skip
    return pa.array(draw(st.lists(cells, min_size=ROWS, max_size=ROWS)), kind)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(columns=st.dictionaries(st.sampled_from("abcd"), features(), max_size=4), scored=st.booleans())
def test_what_is_read_directly_is_what_pyarrow_reads(columns: dict[str, Any], *, scored: bool) -> None:
    score = {"score": [0.25, None, 1.0]} if scored else {}
    value = a_stream(**{f"f.{name}": column for name, column in columns.items()}, **score)
    found = direct(value)
    whole = all(pa.types.is_floating(one.type) or pa.types.is_dictionary(one.type) or not one.null_count
                for one in columns.values())  # fmt: skip
    assert (found is not None) == whole, "floats and texts may be missing; what else has gaps is left to pyarrow"
    if found is not None:
        assert said(found) == said(read_arrow(value, "id", "fraud"))


def test_all_that_is_usual_is_read_directly() -> None:
    rows = some_rows(
        entity_id=["x", "yy", ""], status=["ok", "error", "ok"], latency_ms=[1.0, None, 2.5], label=[1, None, 0],
        features={"n": [1.5, None, -0.0], "c": ["CH", None, "é"], "t": [True, False, True], "i": [1, 2, 3]},
        epoch=-3, arm="candidate", digest="d", shadow_version="8", shadow_score=[None, 0.5, 1.0],
    )  # fmt: skip
    value, _ = write_rows(rows, source="s", now=NOON)
    found = direct(value)
    assert found is not None
    assert said(found) == said(read_arrow(value, "id", "fraud"))
    assert found.prediction_id == ["a", "b", "c"]
    assert isinstance(found.features["n"], np.ndarray)


UNUSUAL: dict[str, dict[str, object]] = {
    "ids that are not ASCII": {"prediction_id": ["a", "é", "c"]},
    "ids in a dictionary": {"prediction_id": dictionary(["a", "b", "c"], pa.int8())},
    "texts without a dictionary": {"f.x": ["a", "b", "c"]},
    "texts that occur twice in their dictionary": {"f.x": pa.DictionaryArray.from_arrays([0, 1, 0], ["a", "a"])},
    "texts that do not occur": {"f.x": pa.DictionaryArray.from_arrays([0, 1, 0], ["a", "b", "c"])},
    "a dictionary with a gap": {"f.x": pa.DictionaryArray.from_arrays([0, 1, 0], ["a", None])},
    "numbers in a dictionary": {"f.x": pa.DictionaryArray.from_arrays([0, 1, 0], [1.0, 2.0])},
    "decimals": {"f.x": pa.array([1, 2, 3]).cast(pa.decimal128(30, 2))},
    "nothing": {"f.x": pa.nulls(3)},
    "timestamps": {"time": pa.array([AT, AT, AT], pa.timestamp("ms", "UTC"))},
    "times of 32 bits": {"time": pa.array([1, 2, 3], pa.int32())},
    "lists": {"f.x": [[1], [2], []]},
}


@pytest.mark.parametrize("changed", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_not_usual_is_left_to_pyarrow(changed: dict[str, object]) -> None:
    value = a_stream(**changed)
    assert direct(value) is None
    assert len(read_rows(value, ARROW_HEADERS)) == ROWS


@pytest.mark.parametrize("more", [{"compression": "lz4"}, {"batch_rows": 2}], ids=str)
def test_streams_of_several_batches_or_compressed_are_left_to_pyarrow(more: dict[str, Any]) -> None:
    value = stream(arrow(**{"f.x": [1.0, 2.0, 3.0]}), **more)
    assert direct(value) is None
    assert len(read_rows(value, ARROW_HEADERS)) == ROWS


@pytest.mark.parametrize(
    "changed",
    [
        {"prediction_id": None}, {"time": None}, {"time": [1, -1, 2]}, {"time": [1, LATEST_MS + 1, 2]},
        {"time": [1, None, 2]}, {"status": ["ok", "bad", "ok"]}, {"shadow_score": [1.0, 2.0, 3.0]},
        {"score": ["a", "b", "c"]},
        {"entity_id": ["a", None, "c"]},
        {"more": [1.0, 2.0, 3.0]}, {"prediction_id": [], "time": pa.array([], pa.int64())},
    ],
    ids="-".join,
)  # fmt: skip
def test_what_no_record_has_is_left_to_who_can_say_why(changed: dict[str, object]) -> None:
    assert direct(a_stream(**changed)) is None


def test_codes_and_offsets_that_lead_outside_are_not_followed() -> None:
    value = a_stream(**{"f.x": dictionary(["a", "b", "a"], pa.int32())})
    whole = direct(value)
    assert whole is not None
    batch = messages(value)[-1]
    codes, offsets = struct.pack("<3i", 0, 1, 0), struct.pack("<4i", 0, 1, 2, 3)
    for good, bad in (
        (codes, struct.pack("<3i", 0, 2**30, 0)), (codes, struct.pack("<3i", 0, -1, 1)),
        (codes, struct.pack("<3i", 0, 2, 0)), (offsets, struct.pack("<4i", 0, 1, 2, 2**30)),
        (offsets, struct.pack("<4i", 0, 2, 1, 3)), (offsets, struct.pack("<4i", -1, 1, 2, 3)),
    ):  # fmt: skip
        body = value[batch.body :]
        assert body.count(good) == 1
        damaged = value[: batch.body] + body.replace(good, bad)
        assert direct(damaged) is None
        with pytest.raises(InvalidError):
            read_rows(damaged, ARROW_HEADERS)


def test_dictionaries_of_the_same_bytes_are_read_once_and_those_of_others_by_themselves() -> None:
    value = a_stream(**{"f.x": dictionary(["left", "right", "left"], pa.int8())})
    again, other = value[:-1] + value[-1:], value.replace(b"leftright", b"leftrighs")
    assert other != value
    first, second, third = (texts_of(one) for one in (value, again, other))
    assert first == ["left", "right"]
    assert second is first
    assert third == ["left", "righs"]
    assert direct(value.replace(b"leftright", b"leftr\xffght")) is None, "it is no UTF-8"


def texts_of(value: bytes) -> list[str]:
    """Of the one feature that has some."""
    found = direct(value)
    assert found is not None
    column = found.features["x"]
    assert isinstance(column, Categories)
    return column.texts


def test_what_is_remembered_of_dictionaries_is_bounded() -> None:
    known = direct_module.known_texts
    for number in range(600):
        texts_of(a_stream(**{"f.x": dictionary([f"a{number}", "b", "b"], pa.int8())}))
    assert known.cache_info().currsize <= 512
    before = known.cache_info().misses
    long = a_stream(**{"f.x": dictionary(["a" * 4_096, "b", "b"], pa.int8())})
    assert texts_of(long) is not texts_of(long)
    assert known.cache_info().misses == before


@pytest.mark.parametrize("ids", [["", "", ""], ["a", "b", "c"], ["ab", "", "c"], ["abc", "d", "ef"]])
def test_ids_of_one_length_and_of_several_are_those_that_were_written(ids: list[str]) -> None:
    found = direct(a_stream(prediction_id=ids))
    assert found is not None
    texts = found.prediction_id
    assert isinstance(texts, Texts)
    assert texts == ids
    assert texts.length == (len(ids[0]) if len({*map(len, ids)}) == 1 else None)
    assert texts.length == Texts(texts.data, texts.offsets).length, "what is known is what is counted"


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.data())
def test_a_damaged_stream_is_read_within_its_bounds_or_left(data: st.DataObject) -> None:
    value = bytearray(a_stream(**{"f.x": dictionary(["a", None, "é"], pa.int8()), "score": [0.5, None, 1.0]}))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    found = direct(bytes(value))
    if found is not None:
        said(found)
