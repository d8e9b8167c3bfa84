"""Arrow rows: the same record as in JSON, of whatever types a producer's tool writes, and no bomb goes off."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.codec import ARROW
from everloop.errors import InvalidError
from everloop.events import HeartbeatSent, LabelsLogged, PredictionsLogged
from everloop.rows import Categories, listed, read_event, read_rows, rows_of, write_rows
from tests.builders import NOON
from tests.unit.rows.builders import (
    ARROW_HEADERS,
    AT,
    IDENTITY,
    arrow,
    columns,
    headers,
    some_rows,
    stream,
)

CANARY = "card-4111111111111111"
INF = float("inf")


def refusal(value: bytes) -> InvalidError:
    """Why a stream is refused."""
    with pytest.raises(InvalidError) as caught:
        read_rows(value, ARROW_HEADERS)
    assert CANARY not in str(caught.value)
    return caught.value


def a_feature(array: object) -> Any:  # noqa: ANN401 -- whatever column it becomes
    """What three values become as a feature."""
    return read_rows(stream(arrow(**{"f.x": array})), ARROW_HEADERS).features["x"]


# --------------------------------------------------------------------------------------------- the same record as JSON

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.none()
KINDS = [numbers, texts | st.none(), st.booleans() | st.none(), st.integers(-(2**63), 2**63 - 1) | st.none(), st.none()]


@st.composite
def events(draw: st.DrawFn) -> PredictionsLogged:
    """A good event whose features have one type each."""
    names = draw(st.lists(texts, max_size=6))
    rows = len(names)

    def column(cells: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(cells, min_size=rows, max_size=rows))

    kinds = draw(st.dictionaries(texts, st.sampled_from(KINDS), max_size=4))
    return PredictionsLogged.named(
        "x", NOON, "fraud", prediction_id=names, times=column(st.integers(0, 2**42)),
        version=draw(texts | st.none()), epoch=draw(st.integers(-5, 5) | st.none()),
        source=draw(st.sampled_from(["serving", "producer", "bootstrap"])),
        features={name: column(kind) for name, kind in kinds.items()},
        entity_id=draw(st.sampled_from([None, names])), status=column(st.sampled_from(["ok", "error"])),
        score=draw(st.none() | st.lists(numbers, min_size=rows, max_size=rows)),
        shadow=draw(st.sampled_from([None, {"version": "8", "score": [0.5] * rows}])),
    )  # fmt: skip


@settings(max_examples=150, derandomize=True, deadline=None)
@given(events(), st.sampled_from([None, "lz4", "zstd"]))
def test_a_record_says_the_same_in_both_forms(event: PredictionsLogged, compression: str | None) -> None:
    value, found = write_rows(rows_of(event), source="https://shop.example", now=NOON, compression=compression)
    rows = read_rows(value, found)
    assert (rows.id, rows.model, len(rows)) == (str(event.id), "fraud", len(event.prediction_id))
    assert read_event(value, found) == event


def test_all_that_a_record_can_have_arrives() -> None:
    event = PredictionsLogged.named("x", NOON, "fraud", **columns(features={"amount": [1.5, None]}))
    value, found = write_rows(rows_of(event, IDENTITY), source="s", now=NOON)
    assert read_event(value, found) == event.model_copy(update={"id": read_event(value, found).id})
    assert read_rows(value, found).id == IDENTITY


def test_a_plain_row_keeps_one_identity_when_it_is_written_again() -> None:
    rows = some_rows(id="5/fraud/a")
    assert {dict(write_rows(rows, source="s", now=NOON)[1])["ce_id"] for _ in range(2)} == {
        dict(write_rows(rows, source="s", now=NOON)[1])["ce_id"]
    }


def test_columns_come_as_they_are_counted_fastest() -> None:
    rows = read_rows(*write_rows(some_rows(), source="s", now=NOON))
    amount, country, new = (rows.features[name] for name in ("amount", "country", "new"))
    assert isinstance(amount, np.ndarray)
    assert (amount.dtype.name, listed(amount)) == ("float64", [1.5, None, -0.0])
    assert isinstance(country, Categories)
    assert (country.codes.dtype.name, country.codes.tolist(), country.texts) == ("int32", [0, -1, 0], ["CH"])
    assert (len(country), country[1], country[:2], list(country)) == (3, None, ["CH", None], ["CH", None, "CH"])
    assert country.take([2, 1]).tolist() == ["CH", None]
    assert isinstance(new, np.ndarray)
    assert new.dtype == np.bool_
    assert isinstance(rows.score, np.ndarray)
    assert np.array_equal(rows.score, [0.25, np.nan, 1.0], equal_nan=True)


def test_several_batches_are_one_record_whatever_their_dictionaries() -> None:
    chunks = [pa.array(part).dictionary_encode() for part in (["CH", "DE"], ["DE", None], ["FR", "CH"])]
    named = {
        "prediction_id": list("abcdef"), "time": [AT] * 6, "f.x": pa.chunked_array(chunks), "f.y": list("uvwxyz"),
        "f.z": [1.5, 2.5, None, 3.5, 4.5, 5.5], "f.l": [[1]] * 6,
    }  # fmt: skip
    rows = read_rows(stream(named, batch_rows=2), ARROW_HEADERS)
    assert rows.prediction_id == list("abcdef")
    assert listed(rows.features["x"]) == ["CH", "DE", "DE", None, "FR", "CH"]
    assert listed(rows.features["y"]) == list("uvwxyz")
    assert listed(rows.features["z"]) == [1.5, 2.5, None, 3.5, 4.5, 5.5]
    assert rows.features["l"] == [[]] * 6


@pytest.mark.parametrize("batch_rows", [None, 1])
def test_an_empty_stream_is_a_record_of_no_rows(batch_rows: int | None) -> None:
    nothing = {
        "prediction_id": pa.array([], pa.string()), "time": pa.array([], pa.int64()), "f.x": pa.array([], pa.float64()),
        "f.c": pa.array([], pa.dictionary(pa.int8(), pa.string())), "f.l": pa.array([], pa.list_(pa.int8())),
    }  # fmt: skip
    schema = pa.table(nothing).schema
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, schema) as writer:
        for _ in range(batch_rows or 0):
            writer.write_batch(schema.empty_table().to_batches()[0] if schema.empty_table().to_batches() else
                               pa.RecordBatch.from_pydict(nothing, schema=schema))  # fmt: skip
    rows = read_rows(out.getvalue().to_pybytes(), ARROW_HEADERS)
    assert (len(rows), {name: listed(column) for name, column in rows.features.items()}) == (
        0, {"x": [], "c": [], "l": []},
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- types


@pytest.mark.parametrize(
    ("array", "becomes"),
    [
        (pa.array([1, None, 3], pa.int8()), [1.0, None, 3.0]),
        (pa.array([1, 2, 2**64 - 1], pa.uint64()), [1, 2, 2**64 - 1]),
        (pa.array([2**60 + 1, None, 3]), [2**60 + 1, None, 3]),
        (pa.array([-(2**63), None, 3]), [-(2**63), None, 3]),
        (pa.array([1.5, None, float("nan")]), [1.5, None, None]),
        (pa.array([INF, -INF, -0.0]), [INF, -INF, -0.0]),
        (pa.array(np.array([1.5, np.nan, INF], np.float16)), [1.5, None, INF]),
        (pa.array([1.5, None, 2.5], pa.float32()), [1.5, None, 2.5]),
        (pa.array([Decimal("1.5"), None, Decimal("-2.25")]), [1.5, None, -2.25]),
        (pa.array([Decimal("1.5"), None, Decimal("-2.25")], pa.decimal256(60, 3)), [1.5, None, -2.25]),
        (pa.array([Decimal("1.5"), None, Decimal("-2.25")], pa.decimal32(5, 3)), [1.5, None, -2.25]),
        (pa.array([True, None, False]), [True, None, False]),
        (pa.nulls(3), [None] * 3),
        (pa.array(["a", None, "é"]), ["a", None, "é"]),
        (pa.array(["a", None, "é"], pa.large_string()), ["a", None, "é"]),
        (pa.array(["a", None, "é" * 30], pa.string_view()), ["a", None, "é" * 30]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array([7, None, 7]).dictionary_encode(), [7.0, None, 7.0]),
        (pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["b", "a"], pa.string_view())), ["b", "a", "b"]),
    ],
    ids=lambda one: str(one.type) if isinstance(one, pa.Array) else "",
)  # fmt: skip
def test_numbers_texts_and_truth_values_of_any_width_are_read(array: pa.Array, becomes: list[object]) -> None:
    found = listed(a_feature(array))
    assert found == becomes
    assert [type(one) for one in found] == [type(one) for one in becomes]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[1], None, []]), pa.array([{"a": 1}] * 3), pa.array([b"x", b"y", None]),
        pa.array([1, 2, 3], pa.date32()), pa.array([1, 2, 3], pa.timestamp("ms", "UTC")),
        pa.array([1, 2, 3], pa.duration("s")),
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16] * 3, pa.binary(16))),
        pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"])),
        pa.DictionaryArray.from_arrays(pa.array([0, 0, 0]), pa.array([[1]])),
    ],
    ids=lambda array: str(array.type),
)  # fmt: skip
def test_a_feature_of_any_other_type_is_malformed_in_every_row_and_costs_none(array: pa.Array) -> None:
    assert a_feature(array) == [[], [], []]


def test_texts_of_a_dictionary_are_those_that_occur_each_once() -> None:
    doubled = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["x", "x", None]))
    spare = pa.DictionaryArray.from_arrays(pa.array([3, None, 3], pa.uint8()), pa.array(list("abcd")))
    large = pa.DictionaryArray.from_arrays(pa.array([9, 2, 9]), pa.array([str(one) for one in range(1_000)]))
    for array, found, distinct in (
        (doubled, ["x", "x", None], ["x"]), (spare, ["d", None, "d"], ["d"]), (large, ["9", "2", "9"], ["2", "9"]),
    ):  # fmt: skip
        feature = a_feature(array)
        assert (feature.tolist(), feature.texts) == (found, distinct)


@pytest.mark.parametrize(
    ("array", "milliseconds"),
    [
        (pa.array([1, 2, 3], pa.timestamp("s", "UTC")), [1000, 2000, 3000]),
        (pa.array([1, 2, 3], pa.timestamp("ms", "Europe/Zurich")), [1, 2, 3]),
        (pa.array([1499, 1500, 2499], pa.timestamp("us", "UTC")), [1, 2, 2]),
        (pa.array([1_499_999, 1_500_000, 0], pa.timestamp("ns", "+01:00")), [1, 2, 0]),
        (pa.array([1, 2, 3], pa.uint8()), [1, 2, 3]),
    ],
    ids=lambda one: str(one.type) if isinstance(one, pa.Array) else "",
)
def test_times_are_milliseconds_or_timestamps_of_any_unit(array: pa.Array, milliseconds: list[int]) -> None:
    assert read_rows(stream(arrow(time=array)), ARROW_HEADERS).times == milliseconds


def test_a_column_of_type_null_is_one_that_is_not_there() -> None:
    rows = read_rows(stream(arrow(entity_id=pa.nulls(3), score=pa.nulls(3), status=pa.nulls(3))), ARROW_HEADERS)
    assert (rows.entity_id, rows.score, rows.status, rows.entities) == (None, None, None, ["a", "b", "c"])


# ------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"prediction_id": None}, "missing"),
        ({"time": None}, "missing"),
        ({"prediction_id": pa.nulls(3)}, "missing"),
        ({"prediction_id": [1, 2, 3]}, "prediction_id: a text"),
        ({"prediction_id": ["a", None, "c"]}, "prediction_id: a text"),
        ({"prediction_id": pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["a", None]))}, "a text"),
        ({"time": [1.0, 2.0, 3.0]}, "time: ms"),
        ({"time": [1, None, 3]}, "time: ms"),
        ({"time": [1, -1, 3]}, "outside the years"),
        ({"time": [1, 2, 253_402_300_800_000]}, "outside the years"),
        ({"time": pa.array([1, 2, 2**64 - 1], pa.uint64())}, "outside the years"),
        ({"time": pa.array([1, 2, 2**62], pa.timestamp("s", "UTC"))}, "outside the years"),
        ({"time": pa.array([1, 2, 3], pa.timestamp("ms"))}, "no time zone"),
        ({"time": ["1", "2", "3"]}, "time: ms"),
        ({"entity_id": [CANARY, None, "b"]}, "entity_id: a text"),
        ({"score": [True, False, True]}, "score: numbers"),
        ({"label": [CANARY, "1", "2"]}, "label: numbers"),
        ({"latency_ms": [[1.0]] * 3}, "latency_ms: of a type"),
        ({"status": ["ok", "error", CANARY]}, "status: `ok` or `error`"),
        ({"shadow_score": [0.1, 0.2, 0.3]}, "shadow_score"),
        ({"lable": [1, 2, 3]}, "lable: no column of rows"),
        ({f"f.{number}": [1, 2, 3] for number in range(2_001)}, "features"),
    ],
    ids=lambda one: one if isinstance(one, str) else next(iter(one)),
)
def test_columns_that_no_record_has_are_refused(changed: dict[str, object], rule: str) -> None:
    error = refusal(stream(arrow(**changed)))
    assert error.reason == "shape"
    assert rule in str(error)


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"source": CANARY}, "source: one of"), ({"epoch": CANARY}, "epoch"), ({"epoch": "1.0"}, "epoch"),
        ({"epoch": "9" * 30}, "epoch"), ({"shadow_version": "8"}, "shadow_score"),
    ],
    ids=str,
)  # fmt: skip
def test_metadata_that_no_record_has_is_refused(said: dict[str, str], rule: str) -> None:
    error = refusal(stream(arrow(), said=said))
    assert (error.reason, rule in str(error)) == ("shape", True)


def test_the_metadata_of_others_is_not_ours_to_judge() -> None:
    said = {"version": "7", "epoch": "3", "pandas": "{}", "org.apache.spark.version": "4"}
    rows = read_rows(stream(arrow(), said=said), ARROW_HEADERS)
    assert (rows.version, rows.epoch, rows.source) == ("7", 3, "producer")


def test_two_columns_of_one_name_are_refused() -> None:
    batch = pa.RecordBatch.from_arrays(
        [pa.array(["a"]), pa.array([1]), pa.array([2])], ["prediction_id", "time", "time"]
    )
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    assert "one name" in str(refusal(out.getvalue().to_pybytes()))


@pytest.mark.parametrize("name", ["id", "time", "subject"])
def test_attributes_are_those_of_any_record(name: str) -> None:
    value = stream(arrow())
    with pytest.raises(InvalidError) as caught:
        read_rows(value, headers(ARROW, **{name: None}))
    assert (caught.value.reason, name in str(caught.value) or name == "subject") == ("shape", True)
    assert read_rows(value, headers(ARROW, id=IDENTITY.upper(), sequence="000000000012")).id == IDENTITY


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(None, "unknown_type"), ("x", "unknown_type"), (LabelsLogged.TYPE, "shape"), (HeartbeatSent.TYPE, "shape")],
)
def test_arrow_carries_predictions_alone(kind: str | None, reason: str) -> None:
    with pytest.raises(InvalidError) as caught:
        read_rows(stream(arrow()), headers(ARROW, type=kind))
    assert caught.value.reason == reason


@pytest.mark.parametrize("value", [b"", b"{}", b"ARROW1\x00\x00", b"\xff\xff\xff\xff", b"\xff" * 64, b"\x00" * 64])
def test_what_is_no_stream_is_malformed(value: bytes) -> None:
    assert refusal(value).reason == "malformed"


def test_no_value_is_no_record() -> None:
    with pytest.raises(InvalidError) as caught:
        read_rows(None, ARROW_HEADERS)
    assert caught.value.reason == "null_value"


# --------------------------------------------------------------------------------------------------------------- bombs


def test_what_would_be_too_large_is_refused_before_it_is_decompressed() -> None:
    value = stream(arrow(**{"f.x": ["z" * 30_000_000] * 3}), compression="zstd")
    assert len(value) < 20_000
    before = pa.total_allocated_bytes()
    error = refusal(value)
    assert (error.reason, "decompressed" in str(error)) == ("shape", True)
    assert pa.total_allocated_bytes() == before


def test_rows_without_bytes_are_counted_before_they_are_made() -> None:
    assert "100000 rows" in str(refusal(stream({"prediction_id": pa.nulls(10**7), "time": pa.nulls(10**7)})))
    wide = {f"f.{number}": pa.nulls(90_000) for number in range(200)}
    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(90_000, np.int8)), pa.array(["a"]))
    assert "values" in str(refusal(stream({"prediction_id": ids, "time": np.zeros(90_000, np.int64), **wide})))


def test_many_views_of_one_text_are_added_up() -> None:
    text = pa.array(["x" * 1_000_000], pa.string_view())
    views = pa.StringViewArray.from_buffers(
        pa.string_view(), 100, [None, pa.py_buffer(text.buffers()[1].to_pybytes() * 100), text.buffers()[2]]
    )
    named = {"prediction_id": [str(one) for one in range(100)], "time": [AT] * 100, "f.x": views}
    assert "bytes of text" in str(refusal(stream(named)))


def test_a_stream_of_very_many_batches_is_refused() -> None:
    named = {"prediction_id": ["a"] * 1_000, "time": [AT] * 1_000}
    assert refusal(stream(named, batch_rows=1)).reason == "malformed"
    assert len(read_rows(stream(named, batch_rows=2), ARROW_HEADERS)) == 1_000


# ---------------------------------------------------------------------------------------------------- damaged streams


def test_a_stream_is_whole_and_the_only_one() -> None:
    value = stream(arrow())
    assert len(read_rows(stream(arrow(), end=False), ARROW_HEADERS)) == 3, "an end that is not said is one"
    for damaged in (value + b"x", value + value, value[:-9], value[:100], value[8:]):
        assert refusal(damaged).reason == "malformed"


@pytest.mark.parametrize("compression", [None, "lz4"])
def test_a_damaged_stream_is_refused_or_read_and_never_an_accident(compression: str | None) -> None:
    rng = np.random.default_rng(20260105)
    value = stream(
        arrow(entity_id=[CANARY] * 3, score=[0.5, None, 1.0], status=["ok", "ok", "error"])
        | {"f.a": [1.5, None, 2.5], "f.b": pa.array(["x", "y", None]).dictionary_encode(), "f.c": ["p", None, "q"],
           "f.d": pa.array(["a" * 20, None, "b"], pa.string_view()), "f.e": [[1], [2, 3], None],
           "f.f": [True, None, False]},
        said={"version": "7", "epoch": "3"}, compression=compression,
    )  # fmt: skip
    outcomes = {"read": 0, "malformed": 0, "shape": 0}
    for _ in range(1_500):
        damaged = bytearray(value)
        for place in rng.integers(0, len(value), rng.integers(1, 4)):
            damaged[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(0, 256))]))
        try:
            rows = read_rows(bytes(damaged), ARROW_HEADERS)
        except InvalidError as error:
            outcomes[error.reason] += 1
        else:
            outcomes["read"] += 1
            assert all(len(listed(column)) == len(rows) for column in rows.features.values())
    assert all(outcomes.values()), outcomes


def test_what_would_bring_pyarrow_down_is_kept_from_it() -> None:
    numbers = pa.Array.from_buffers(pa.decimal128(5, 5_000), 3, [None, pa.py_buffer(b"\x01" * 48)])
    assert a_feature(numbers) == [[], [], []], "there is no such power of ten"
    astray = np.array([1, 0x61, 0, 0, 2**30, 0, 2**30, 2**30, 1, 0x62, 0, 0], np.int32)
    views = pa.Array.from_buffers(pa.string_view(), 3, [pa.py_buffer(b"\x05"), pa.py_buffer(astray)])
    assert a_feature(views).tolist() == ["a", None, "b"], "what stands where nothing is leads astray"


# ------------------------------------------------------------------------------------------------------------- the rest


def test_whoever_gets_no_arrow_does_not_load_it() -> None:
    code = (
        "import sys, orjson; from everloop.rows import read_rows;"
        f"read_rows(orjson.dumps({{'model': 'm', 'prediction_id': 'a', 'time': {AT}, 'features': {{}}}}), ());"
        "print('pyarrow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("column", [["a", 1, None], [2**70, 1, 2]])
def test_a_feature_of_mixed_types_is_for_json_alone(column: list[object]) -> None:
    with pytest.raises(InvalidError, match="'x'") as caught:
        write_rows(some_rows(features={"x": column}), source="s", now=NOON)
    assert caught.value.reason == "shape"


def test_json_that_says_it_is_arrow_is_malformed() -> None:
    assert refusal(b" " + orjson.dumps(columns(times=None))).reason == "malformed"
