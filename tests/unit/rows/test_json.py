"""JSON rows: read fast, and exactly as the contract reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.codec import Headers, decode
from everloop.errors import InvalidError
from everloop.events import Event, HeartbeatSent, LabelsLogged, PredictionsLogged
from everloop.rows import Rows, kind_of, read_record, read_rows, reading, rows_of
from tests.builders import NOON
from tests.unit.rows.builders import (
    AT,
    IDENTITY,
    PLAIN,
    STRUCTURED,
    columns,
    headers,
    plain_row,
    structured,
)

CANARY = "card-4111111111111111"
LABELS = {"prediction_id": ["tx-1"], "label": [1], "labelled_at": [AT]}

# ------------------------------------------------------------------------------------------------ what the two must say


def by_contract(value: bytes | None, given_headers: Headers) -> Rows | Event | tuple[str, str]:
    """What the pydantic contract makes of a record."""
    try:
        event = decode(value, given_headers)
    except InvalidError as error:
        return error.reason, str(error)
    if not isinstance(event, PredictionsLogged):
        return event
    plain = not any(name.startswith("ce_") for name, _ in given_headers) and given_headers != STRUCTURED
    return rows_of(event, f"{len(event.model)}/{event.model}/{event.prediction_id[0]}" if plain else None)


def fast(value: bytes | None, given_headers: Headers) -> Rows | Event | tuple[str, str]:
    """What `read_record` makes of it. The contract makes floats of numbers; rows keep the integers of JSON."""
    try:
        found = read_record(value, given_headers)
    except InvalidError as error:
        return error.reason, str(error)
    if not isinstance(found, Rows):
        return found
    numbers = {name: getattr(found, name) for name in ("score", "label", "latency_ms", "shadow_score")}
    floats: dict[str, Any] = {name: column and [_float(one) for one in column] for name, column in numbers.items()}
    return replace(found, **floats)


def _float(value: float | None) -> float | None:
    assert value is None or type(value) in {int, float}
    return value if value is None else float(value)


STRANGE: list[Any] = [
    None, True, False, 0, 1, -1, 5.0, 0.5, 2**53, 2**63, 2**64 - 1, 253_402_300_799_999, 253_402_300_800_000, 1e308,
    -0.0, "", "5", "ok", "x", CANARY, [], ["x"], [1], [None], [True], [AT, AT], ["a", "a"], [0.5, "0.5"], [0.5, True],
    [[], {}], {}, {"a": 1}, {"a": [1, 2]}, {"version": "8"}, {"version": 8, "score": [1, 2]}, {"": [None, None]},
    {"version": "8", "score": [1, 2], "more": 1}, {"version": "8", "score": [1, None]}, "2026-01-05T12:00:00Z",
    "2026-01-05T12:00:00", "20260105T120000Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "serving",
]  # fmt: skip
ids = st.lists(st.text(max_size=3), min_size=0, max_size=4)
cells = st.none() | st.booleans() | st.integers(-5, 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(cells | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2), max_leaves=4)


@st.composite
def records(draw: st.DrawFn) -> dict[str, object]:
    """Columns of one record: good, or with a field or two that are not."""
    found = columns()
    if draw(st.booleans()):
        names = draw(ids)
        rows = len(names)
        same = st.lists(anything, min_size=rows, max_size=rows)
        found = {
            "prediction_id": names,
            "times": draw(st.lists(st.integers(0, 2**42), min_size=rows, max_size=rows)),
            "features": draw(st.dictionaries(st.text(max_size=3), same, max_size=3)),
            "score": draw(st.none() | same),
        }
    for _ in range(draw(st.integers(0, 2))):
        found[draw(st.sampled_from([*columns(), "id", "time", "model", "sequence", "more"]))] = draw(
            st.sampled_from(STRANGE) | anything
        )
    gone = draw(st.sampled_from([*columns(), *([None] * 20)]))
    return {name: one for name, one in found.items() if name != gone}


@st.composite
def plain_rows(draw: st.DrawFn) -> dict[str, object]:
    """A plain row: good, or with a field or two that are not."""
    found = plain_row()
    for _ in range(draw(st.integers(0, 2))):
        name = draw(
            st.sampled_from([*plain_row(), "digest", "epoch", "source", "label", "latency_ms", "shadow", "times"])
        )
        found[name] = draw(st.sampled_from(STRANGE) | anything)
    gone = draw(st.sampled_from([*plain_row(), *([None] * 20)]))
    return {name: one for name, one in found.items() if name != gone}


ATTRIBUTES: dict[str, list[Any]] = {
    "id": [
        None, "", "42", IDENTITY.upper(), IDENTITY.replace("-", ""), f"{{{IDENTITY}}}", f"urn:uuid:{IDENTITY}",
        IDENTITY[:-1], IDENTITY + "\n", CANARY,
    ],
    "time": [
        None, "", "noon", "2026-01-05T12:00:00", "2026-01-05 12:00:00Z", "20260105T120000Z", "1767614400",
        "2026-01-05T24:00:00Z", "2026-01-05T12:00:60Z", "2026-02-30T12:00:00Z", "2026-01-05T12:00:00+24:00",
        "2026-01-05T12:00:00+01:75", "2026-01-05T12:00:00.1234567Z", "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59", "2026-01-05T12:00:00+01", "2026-01-05t12:00:00z", "2026-W01-1T12:00:00Z",
        "2026-01-05T12:00:00-00:00", "2026-01-05T12:00:00+23:59",
    ],
    "subject": [None, "", "*", "é", b"\xff"],
    "type": [None, "", "io.everloop.predictions.logged.v2", LabelsLogged.TYPE, HeartbeatSent.TYPE, b"\xff"],
    "source": [None, b"\xff\xfe", "é"],
    "sequence": ["000000000012", "x", "5.0"],
    "correlationid": [IDENTITY, "-"],
    "causationid": [IDENTITY, CANARY],
}  # fmt: skip


@st.composite
def binary(draw: st.DrawFn) -> Headers:
    """Headers in binary mode: good, or with one attribute that is odd."""
    if draw(st.booleans()):
        return headers()
    name = draw(st.sampled_from([*ATTRIBUTES]))
    changed = headers(**{name: draw(st.sampled_from(ATTRIBUTES[name]))})
    foreign = draw(st.sampled_from([(), (("traceparent", b"\xff"),), (("ce_type", b"last wins"), *changed)]))
    return (*foreign, *changed)


def torn(value: bytes, where: int) -> bytes:
    """A value that lost its end, now and then."""
    return value[: where % len(value)] if where and value else value


cuts = st.sampled_from([0] * 30 + [1, 7, 50, 90])


@settings(max_examples=200, derandomize=True, deadline=None)
@given(records(), binary(), cuts)
def test_a_record_of_columns_is_accepted_or_refused_as_by_the_contract(
    data: dict[str, object], given_headers: Headers, cut: int
) -> None:
    value = torn(orjson.dumps(data), cut)
    assert fast(value, given_headers) == by_contract(value, given_headers)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(plain_rows(), st.sampled_from([(), PLAIN, (("ce_x", b"1"),), (("x", b"\xff"),), STRUCTURED]), cuts)
def test_a_plain_row_is_accepted_or_refused_as_by_the_contract(
    row: dict[str, object], given_headers: Headers, cut: int
) -> None:
    value = torn(orjson.dumps(row), cut)
    assert fast(value, given_headers) == by_contract(value, given_headers)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(records(), st.sampled_from([*ATTRIBUTES]), st.data())
def test_structured_mode_is_accepted_or_refused_as_by_the_contract(
    data: dict[str, object], name: str, draw: st.DataObject
) -> None:
    odd = draw.draw(st.sampled_from([one for one in ATTRIBUTES[name] if not isinstance(one, bytes)]))
    value = structured(data, **{name: odd} if draw.draw(st.booleans()) else {})
    assert fast(value, STRUCTURED) == by_contract(value, STRUCTURED)


MANY = [["a"] * 100_001, {str(number): [1, 2] for number in range(2_001)}]


@pytest.mark.parametrize("name", [*columns(), "id", "time", "model", "sequence", "more"])
def test_one_odd_field_or_one_odd_cell_is_judged_as_by_the_contract(name: str) -> None:
    known = columns().get(name)
    cells = [[known[0], odd] for odd in STRANGE] if isinstance(known, list) else []
    for odd in [*STRANGE, *cells, *MANY]:
        value = orjson.dumps(columns(**{name: odd}))
        assert fast(value, headers()) == by_contract(value, headers()), f"{name}: {str(odd)[:80]}"


@pytest.mark.parametrize("usual", [AT, 1_000, 253_402_300_799_999])
def test_one_odd_time_among_many_is_judged_as_by_the_contract(usual: int) -> None:
    edges = [2**power + more for power in (8, 39, 40, 46, 47, 48, 55, 56, 63) for more in (-1, 0, 1, 2**41)]
    for odd in [*STRANGE, *edges]:
        times = [*[usual] * 20, odd, *[usual] * 20]
        value = orjson.dumps({"prediction_id": ["a"] * len(times), "times": times, "features": {}})
        assert fast(value, headers()) == by_contract(value, headers()), str(odd)


def test_too_many_rows_of_whatever_good_columns_are_refused() -> None:
    rows = 100_001
    value = orjson.dumps({"prediction_id": ["a"] * rows, "times": [1] * rows, "features": {}})
    assert fast(value, headers()) == by_contract(value, headers())
    assert fast(value, headers())[0] == "shape"  # type: ignore[index]  # a refusal


@pytest.mark.parametrize(
    "name", [*plain_row(), "digest", "epoch", "source", "label", "latency_ms", "shadow", "times", "x"]
)
def test_one_odd_field_of_a_plain_row_is_judged_as_by_the_contract(name: str) -> None:
    for odd in [*STRANGE, {"version": "8", "score": 0.5}, {str(number): 1 for number in range(2_001)}]:
        for given_headers in ((), PLAIN, STRUCTURED, (("ce_x", b"1"),)):
            value = orjson.dumps(plain_row(**{name: odd}))
            assert fast(value, given_headers) == by_contract(value, given_headers), f"{name}: {str(odd)[:80]}"


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_one_odd_attribute_is_judged_as_by_the_contract(name: str) -> None:
    value = orjson.dumps(columns())
    for odd in ATTRIBUTES[name]:
        assert fast(value, headers(**{name: odd})) == by_contract(value, headers(**{name: odd})), f"{name}: {odd!r}"
        if not isinstance(odd, bytes):
            whole = structured(columns(), **{name: odd})
            assert fast(whole, STRUCTURED) == by_contract(whole, STRUCTURED), f"{name}: {odd!r}"


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"[]", b"1", b'"x"', b"null", b"\xff\xfe", b"{} {}", b'{"score": [NaN]}', b'{"score": [Infinity]}',
     b'{"prediction_id": ["\\ud800"]}', b"\xef\xbb\xbf{}", b"[" * 2000, None],
)  # fmt: skip
@pytest.mark.parametrize(
    "given_headers", [headers(), PLAIN, STRUCTURED, ()], ids=["binary", "plain", "structured", "none"]
)
def test_what_is_no_record_is_refused_as_by_the_contract(value: bytes | None, given_headers: Headers) -> None:
    found = fast(value, given_headers)
    assert found == by_contract(value, given_headers)
    assert isinstance(found, tuple)


# ---------------------------------------------------------------------------------------------------- what is promised


@pytest.fixture
def contract_is_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks the contract fails."""

    def shut(*_: object) -> Event:
        raise AssertionError("the fast path did not do it")

    monkeypatch.setattr(reading, "decode", shut)


@pytest.mark.usefixtures("contract_is_shut")
def test_good_records_never_go_through_the_contract() -> None:
    rows = read_rows(orjson.dumps(columns()), headers())
    assert (rows.id, rows.model, rows.version, rows.epoch, rows.shadow_version) == (IDENTITY, "fraud", "7", 3, "8")
    assert rows.features["odd"] == [[1, {"a": []}], True]
    assert rows.entities == ["card-1", "card-2"]
    assert read_rows(orjson.dumps(columns(entity_id=None)), headers()).entities == ["tx-1", "tx-2"]
    assert read_rows(orjson.dumps(columns()), (*headers(subject="é"), ("traceparent", b"\xff"))).model == "é"
    assert read_rows(orjson.dumps(plain_row()), ()).features["country"] == ["CH"]
    assert read_rows(orjson.dumps(plain_row(time="2026-01-05T13:00:00+01:00")), PLAIN).times == [AT]


@pytest.mark.usefixtures("contract_is_shut")
def test_an_empty_record_is_a_record_of_no_rows() -> None:
    rows = read_rows(orjson.dumps({"prediction_id": [], "times": [], "features": {"a": []}, "score": []}), headers())
    assert (len(rows), rows.features, rows.score) == (0, {"a": []}, [])


def test_an_id_is_the_same_however_it_is_spelled() -> None:
    value = orjson.dumps(columns())
    spelled = [IDENTITY, IDENTITY.upper(), IDENTITY.replace("-", ""), f"urn:uuid:{IDENTITY}", f"{{{IDENTITY}}}"]
    assert {read_rows(value, headers(id=one)).id for one in spelled} == {IDENTITY}
    assert read_rows(structured(columns()), STRUCTURED).id == IDENTITY


def test_a_plain_row_is_known_again_whichever_way_it_was_read() -> None:
    fastest = read_rows(orjson.dumps(plain_row()), PLAIN)
    by_the_contract = read_rows(orjson.dumps(plain_row(shadow={"version": "8", "score": 0.5})), ())
    assert fastest.id == by_the_contract.id
    assert by_the_contract.shadow_score == [0.5]
    pairs = [("a", "b/c"), ("a/b", "c"), ("1/a", "b"), ("a", "1/a/b")]
    found = {read_rows(orjson.dumps(plain_row(model=model, prediction_id=name)), ()).id for model, name in pairs}
    assert len(found) == len(pairs), "no two pairs of model and prediction id make the same text"


def test_other_events_are_no_rows_but_can_be_had() -> None:
    value, given_headers = orjson.dumps(LABELS), headers(type=LabelsLogged.TYPE)
    assert isinstance(read_record(value, given_headers), LabelsLogged)
    with pytest.raises(InvalidError) as caught:
        read_rows(value, given_headers)
    assert caught.value.reason == "shape"


def test_a_heartbeat_is_told_from_its_headers() -> None:
    assert kind_of(headers(type=HeartbeatSent.TYPE)) == HeartbeatSent.TYPE
    assert kind_of((("ce_type", b"first"), ("ce_type", b"last"))) == "last"
    assert kind_of((("ce_type", b"\xff"),)) == "\ufffd"
    assert kind_of(PLAIN) is None


def test_a_header_without_a_value_says_nothing() -> None:
    """Any producer may send one, whatever our types say."""
    odd: Any = (("content-type", None), ("trace", None))
    assert read_rows(orjson.dumps(plain_row()), odd) == read_rows(orjson.dumps(plain_row()), ())
    assert read_rows(orjson.dumps(columns()), (*headers(), ("trace", None))).id == IDENTITY  # type: ignore[arg-type]
    for name in ("ce_id", "ce_time", "ce_subject", "ce_type"):
        refused = fast(orjson.dumps(columns()), (*headers(), (name, None)))  # type: ignore[arg-type]
        assert refused == by_contract(orjson.dumps(columns()), (*headers(), (name, b"")))


@pytest.mark.parametrize("name", [name for name in columns() if name != "features"])
def test_a_refusal_never_repeats_a_value(name: str) -> None:
    for odd in (CANARY, [CANARY, 7], {"a": CANARY}, {"version": [CANARY], "score": [CANARY]}):
        with pytest.raises(InvalidError) as caught:
            read_rows(orjson.dumps(columns(**{name: odd}) | {"times": [CANARY]}), headers())
        assert CANARY not in str(caught.value)
        assert caught.value.__cause__ is None


def test_rows_show_how_many_they_are_and_no_value() -> None:
    shown = repr(read_rows(orjson.dumps(columns(entity_id=[CANARY, CANARY])), headers()))
    assert shown == "Rows('fraud', version='7', 2 rows)"


def test_the_rows_of_an_event_are_those_that_its_record_has() -> None:
    event = PredictionsLogged.named("x", NOON, "fraud", **columns())
    assert rows_of(event).id == str(event.id)
    assert rows_of(event, IDENTITY) == read_rows(orjson.dumps(columns()), headers())
