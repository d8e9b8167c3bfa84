"""Usual JSON records, parsed by simdjson: what orjson gives, to the bit, or left to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.errors import InvalidError
from everloop.events import LATEST_MS
from everloop.keys import has_twice
from everloop.listed import Quoted, Whole
from everloop.rows import Rows, listed, read_record, simd
from tests.unit.rows.builders import AT, columns, headers

ROWS = 3
texts = st.text("abé日:, ", max_size=4) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
small = st.integers(-(2**53) + 1, 2**53 - 1)
numbers = (
    st.floats(-(2.0**52), 2.0**52) | small | st.sampled_from([0, -0.0, 5e-324, 2.2250738585072014e-308, 0.1 + 0.2])
)
large = st.integers(-(2**70), 2**70) | st.sampled_from(
    [1e308, -1e16, 2.0**53, 2**53, 2**53 + 1, 2**63, 2**64 - 1, 2**64]
)
odd = st.none() | st.booleans() | numbers | large | texts | st.lists(st.integers(0, 1) | texts, max_size=2)
odd_cells = odd | st.dictionaries(texts, st.integers(0, 1), max_size=1)
USUAL_KINDS = st.sampled_from([numbers, st.text("abé日:, ", max_size=4), numbers | st.none()])
KINDS = st.sampled_from([numbers, texts, texts | st.none(), numbers | large, odd_cells])


def padded(value: bytes) -> bytes:
    """As long as it has to be for simdjson to be asked: white space says nothing."""
    return value + b" " * simd.LEAST_BYTES


def good(**changed: object) -> dict[str, object]:
    """A usual record of three rows; None leaves a field out."""
    known = {
        "source": "serving", "version": "7", "arm": "champion", "epoch": 3, "prediction_id": ["a", "é", ""],
        "times": [AT, AT + 1, LATEST_MS], "features": {"amount": [1.5, 2, -0.0], "country": ["CH", "é, :", ""]},
        "score": [0.25, 1, 0.1], "shadow": {"version": "8", "score": [1, 0.5, 0.25]}, **changed,
    }  # fmt: skip
    return {name: one for name, one in known.items() if one is not None}


def plain(data: dict[str, Any]) -> dict[str, Any]:
    """Columns as lists again; what became an array is proved to have had nothing but small numbers, or texts."""
    return {name: plain(one) if type(one) is dict else _plain(one) for name, one in data.items()}


def _plain(one: Any) -> Any:  # noqa: ANN401 -- whatever JSON has
    assert not hasattr(one, "as_list"), "a proxy keeps the parser from parsing"
    return one.tolist() if isinstance(one, np.ndarray | Quoted | Whole) else one


def same(found: Any, expected: Any) -> bool:  # noqa: ANN401 -- as above
    """Equal in names, their order, types and bits; a float64 may stand for a small integer."""
    if type(expected) is dict:
        names = [*found] == [*expected]
        return names and all(same(one, two) for one, two in zip(found.values(), expected.values(), strict=True))
    if isinstance(found, np.ndarray):
        exact = {type(one) for one in expected} <= {int, float} and bool((np.abs(found) < 2.0**53).all())
        return exact and found.tobytes() == np.array(expected, np.float64).tobytes()
    return repr(_plain(found)) == repr(expected)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Records: usual, and with whatever JSON can hold, spelled in several ways."""
    rows = draw(st.integers(1, ROWS) | st.integers(0, ROWS))
    kinds = draw(st.sampled_from([USUAL_KINDS, USUAL_KINDS, KINDS]))

    def column(kind: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(kind, min_size=rows, max_size=rows))

    found: dict[str, Any] = {
        "prediction_id": column(texts), "times": column(st.integers(0, LATEST_MS)),
        "features": {name: column(draw(kinds)) for name in draw(st.lists(texts, max_size=4))},
    }  # fmt: skip
    for name in draw(st.lists(st.sampled_from(["score", "label", "latency_ms", "entity_id"]))):
        found[name] = column(draw(kinds))
    if draw(st.booleans()):
        found["shadow"] = {"version": "8", "score": column(draw(kinds))}
    if kinds is KINDS and draw(st.booleans()):
        found[draw(st.sampled_from([*found, "status", "x"]))] = draw(odd_cells)
    if draw(st.booleans()):
        return padded(_spelled(found, draw(st.sampled_from([", ", " ,\n", ","])), draw(st.booleans())))
    return padded(_spelled(found, ",", ascii_only=False))


def _spelled(data: dict[str, Any], between: str, ascii_only: bool) -> bytes:  # noqa: FBT001 -- of json
    import json  # noqa: PLC0415 -- orjson spells one way, and no integers beyond 64 bits

    return json.dumps(data, ensure_ascii=ascii_only, separators=(between, ":")).encode()


@settings(max_examples=500, derandomize=True, deadline=None)
@given(documents())
def test_what_is_parsed_is_what_orjson_gives(value: bytes) -> None:
    found = simd.parsed(value)
    assert found is None or (same(found, orjson.loads(value)) and not has_twice(value))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(documents())
def test_who_counts_reads_the_same_rows_and_the_same_refusals(value: bytes) -> None:
    assert said(value, counting=True) == said(value, counting=False)


def said(value: bytes, *, counting: bool) -> object:
    """Rows as values that compare, or the refusal. Numbers compare as numbers."""
    try:
        rows = read_record(value, headers(), counting=counting)
    except InvalidError as error:
        return error.reason, str(error)
    assert isinstance(rows, Rows)
    columns = [rows.score, rows.label, rows.latency_ms, rows.shadow_score, *rows.features.values()]
    once = (rows.id, rows.version, rows.arm, rows.epoch, rows.status, rows.shadow_version, [*rows.features])
    ids = (list(rows.prediction_id), list(rows.times), list(rows.entities))
    return once, ids, [None if column is None else listed(column) for column in columns]


@pytest.mark.parametrize("spelled", [orjson.dumps(good()), _spelled(good(), ", ", ascii_only=False)])
def test_a_usual_record_becomes_arrays(spelled: bytes) -> None:
    found = simd.parsed(padded(spelled))
    assert found is not None
    assert plain(found) == good()
    kinds = [type(one) for one in (found["times"], found["score"], *found["features"].values())]
    assert kinds == [Whole, np.ndarray, np.ndarray, Quoted]


def test_a_column_with_gaps_is_a_list_and_the_others_are_arrays() -> None:
    features = {"a": [1, None, 2], "b": [True, False, True], "c": ["x", None, "y"], "d": [0.5, 1, 2]}
    found = simd.parsed(padded(orjson.dumps(good(features=features))))
    assert found is not None
    assert plain(found)["features"] == features
    assert [type(one) for one in found["features"].values()] == [list, list, list, np.ndarray]


@pytest.mark.parametrize(
    "digits",
    ["0.1", "1e-400", "4.9e-324", "2.4703282292062327e-324", "2.2250738585072011e-308", "9007199254740991", "-0",
     "-0.0", "0.30000000000000004440892098500626161694526672363281250000001", "1E+2", "12345678.901234567890"],
)  # fmt: skip
def test_numbers_are_rounded_as_orjson_rounds_them(digits: str) -> None:
    value = orjson.dumps(good(score=[7, 7, 7])).replace(b"[7,7,7]", f"[{digits},1,2.5]".encode())
    found = simd.parsed(padded(value))
    assert found is not None
    assert same(found, orjson.loads(value))


USUAL = orjson.dumps(good())
UNUSUAL: dict[str, bytes] = {
    "BOM": b"\xef\xbb\xbf" + USUAL,
    "white space before": b" " + USUAL,
    "bytes behind": USUAL + b"{}",
    "NUL behind": USUAL + b"\0",
    "cut off": USUAL[:-1],
    "no UTF-8": USUAL.replace(b"champion", b"champ\xff"),
    "a surrogate in UTF-8": USUAL.replace(b"champion", b"champ\xed\xa0\x80"),
    "a control character": USUAL.replace(b"champion", b"champ\x01"),
    "an escape": USUAL.replace(b"champion", b"champ\\u0069on"),
    "a lone surrogate": USUAL.replace(b"champion", b"champ\\ud800"),
    "NaN": USUAL.replace(b"[0.25", b"[NaN"),
    "Infinity": USUAL.replace(b"[0.25", b"[-Infinity"),
    "beyond float64": USUAL.replace(b"[0.25", b"[1e400"),
    "not every integer is exact": USUAL.replace(b"[0.25", b"[9007199254740992"),
    "beyond 64 bits": USUAL.replace(b"[0.25", b"[18446744073709551616"),
    "no number of JSON": USUAL.replace(b"[0.25", b"[01"),
    "a key twice": USUAL.replace(b'"epoch"', b'"arm"'),
    "a feature twice": USUAL.replace(b'"country"', b'"amount"'),
    "a key of the shadow twice": USUAL.replace(b'"shadow":{', b'"shadow":{"version":"9",'),
    "nested as often as flat": USUAL.replace(b"[1.5,2,", b"[1.5,[2],"),
    "an object": USUAL.replace(b"[1.5,2,", b'[1.5,{"a":2},'),
    "deep": USUAL.replace(b"[1.5,2,", b"[1.5," + b"[" * 1100 + b"]" * 1100 + b","),
    "a bracket in a text": USUAL.replace(b"CH", b"C["),
    "a closing bracket in a text": USUAL.replace(b"CH", b"C]"),
    "a brace in a text": USUAL.replace(b"CH", b"C{"),
    "columns of two lengths": USUAL.replace(b"[1.5,2,", b"[1.5,"),
    "texts of two lengths": USUAL.replace(b'"features":{', b'"features":{"x":["a"],'),
    "no rows": orjson.dumps(good(features={"a": []})),
    "no features": orjson.dumps(good(features=None)),
    "features that are none": orjson.dumps(good(features=[1, 2, 3])),
    "a time that is a float": orjson.dumps(good(times=[AT, AT + 0.5, AT])),
    "a time that is a truth value": orjson.dumps(good(times=[AT, True, AT])),
    "more features than pay": orjson.dumps(good(features={str(name): [1, 2, 3] for name in range(300)})),
    "no object": b"[1,2]",
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_not_usual_is_left_to_orjson(name: str) -> None:
    value = padded(UNUSUAL[name])
    assert simd.parsed(value) is None
    assert said(value, counting=True) == said(value, counting=False)


def test_a_record_of_which_most_columns_have_gaps_is_left_to_orjson() -> None:
    rows, gaps = 3_000, [1.5, None, 2.25] * 1_000
    few = good(prediction_id=["a"] * rows, times=[AT] * rows, score=[0.25] * rows, shadow=None)
    some: dict[str, list[float | None]] = {f"x{place}": [0.125] * rows for place in range(6)}
    assert simd.parsed(orjson.dumps({**few, "features": some | {"x1": gaps}})) is not None
    assert simd.parsed(orjson.dumps({**few, "features": dict.fromkeys(some, gaps)})) is None


def test_small_and_very_large_records_are_left_to_orjson() -> None:
    assert simd.parsed(USUAL) is None
    assert simd.parsed(USUAL + b" " * simd.MOST_BYTES) is None
    assert simd.parsed(padded(USUAL)) is not None


def test_a_refusal_leaves_the_parser_free() -> None:
    for unusual in UNUSUAL.values():
        simd.parsed(padded(unusual))
        assert simd.parsed(padded(USUAL)) is not None


def test_a_parser_in_use_is_left_alone() -> None:
    parse = simd._parser()  # noqa: SLF001 -- somebody else in the middle of a record
    assert parse is not None
    held = parse(USUAL)
    assert simd.parsed(padded(USUAL)) is None
    assert held["arm"] == "champion"


def test_only_who_counts_gets_arrays() -> None:
    value = padded(USUAL)
    assert type(read(value).features["amount"]) is list
    assert read(value).features["amount"] == [1.5, 2, -0.0]


def read(value: bytes) -> Rows:
    """For who does not count."""
    found = read_record(value, headers())
    assert isinstance(found, Rows)
    return found


@pytest.fixture
def without_simdjson(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a platform for which it is not built."""
    monkeypatch.setitem(sys.modules, "simdjson", None)
    simd._parser.cache_clear()  # noqa: SLF001 -- it is looked for once
    yield
    simd._parser.cache_clear()  # noqa: SLF001 -- as above


@pytest.mark.usefixtures("without_simdjson")
def test_without_simdjson_the_same_rows_are_read() -> None:
    value = padded(orjson.dumps(columns()))
    assert simd.parsed(padded(USUAL)) is None
    assert said(value, counting=True) == said(value, counting=False)
