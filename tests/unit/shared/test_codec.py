"""Bytes to event and back: what a stranger may send, what is refused, and that no refusal repeats a value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.codec import Headers, decode, encode
from everloop.errors import InvalidError
from everloop.events import ClockMoved, LabelsLogged, PredictionsLogged, TurnClosed
from tests.builders import NOON, a_training_requested

CANARY = "card-4111111111111111"
STRUCTURED: Headers = (("content-type", b"application/cloudevents+json"),)
LABELS = {"prediction_id": ["tx-1"], "label": [1], "labelled_at": [1_767_614_400_000]}
ATTRIBUTES = {
    "specversion": "1.0",
    "id": "5b0d3e3c-7f7e-4c61-9a2b-0d3b8f6f2f11",
    "source": "https://claims.example/settlement",
    "type": "io.everloop.labels.logged.v1",
    "subject": "fraud",
    "time": "2026-01-05T13:00:00Z",
}


def headers(**changed: str | None) -> Headers:
    """The attributes in binary mode; None leaves one out."""
    named = {**ATTRIBUTES, **changed}
    return tuple((f"ce_{name}", text.encode()) for name, text in named.items() if text is not None)


def refused(value: bytes | None, given_headers: Headers) -> InvalidError:
    """The refusal of a record."""
    with pytest.raises(InvalidError) as caught:
        decode(value, given_headers)
    return caught.value


def structured(**changed: object) -> bytes:
    """A whole event in structured mode."""
    return orjson.dumps({**ATTRIBUTES, "data": LABELS, **changed})


# -------------------------------------------------------------------------------------------------------- what decodes


def test_a_producer_needs_no_extension() -> None:
    event = decode(orjson.dumps(LABELS), headers())
    assert isinstance(event, LabelsLogged)
    assert (event.model, event.label, event.sequence) == ("fraud", (1.0,), None)


def test_headers_of_others_are_ignored() -> None:
    strange = (("Faust-Ag-ReplyTo", b"anywhere"), ("traceparent", b"\xff"), *headers(), ("ce_unheardof", b"1"))
    assert decode(orjson.dumps(LABELS), strange) == decode(orjson.dumps(LABELS), headers())


def test_structured_and_binary_mode_say_the_same() -> None:
    assert decode(structured(), STRUCTURED) == decode(orjson.dumps(LABELS), headers())


def test_structured_mode_may_name_its_charset() -> None:
    kind: Headers = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
    assert decode(structured(), kind) == decode(structured(), STRUCTURED)


def test_a_column_may_miss_values_but_not_rows() -> None:
    rows = {"prediction_id": ["a", "b"], "times": [1, 2], "features": {"x": [None, 2.5]}, "score": [None, 0.5]}
    event = decode(orjson.dumps(rows), headers(type=PredictionsLogged.TYPE))
    assert isinstance(event, PredictionsLogged)
    assert event.features["x"] == (None, 2.5)


# -------------------------------------------------------------------------------------------------------- what encodes


def a_turn_closed(sequence: int | None) -> TurnClosed:
    cause = a_training_requested()
    return TurnClosed.because(cause, NOON, outcome="promoted", version="2", sequence=sequence)


def test_a_sequence_is_padded_so_that_its_text_sorts_as_its_number() -> None:
    texts = [dict(encode(a_turn_closed(n), source="trainer", recorded=NOON)[1])["ce_sequence"] for n in (2, 10, 9, 100)]
    assert texts[0] == b"000000000002"
    assert sorted(texts) == [texts[0], texts[2], texts[1], texts[3]]


def test_a_padded_sequence_is_a_number_again() -> None:
    value, found = encode(a_turn_closed(12), source="trainer", recorded=NOON)
    assert decode(value, found).sequence == 12


def test_what_is_absent_has_no_header() -> None:
    event = LabelsLogged.model_validate({"id": UUID(int=1), "time": NOON, "model": "fraud", **LABELS})
    names = [name for name, _ in encode(event, source="ingest", recorded=NOON)[1]]
    assert not {"ce_correlationid", "ce_causationid", "ce_sequence"} & set(names)


def test_the_envelope_is_in_the_headers_and_not_in_the_value() -> None:
    value, found = encode(a_turn_closed(1), source="trainer", recorded=NOON)
    assert orjson.loads(value) == {"outcome": "promoted", "version": "2"}
    assert dict(found)["ce_subject"] == dict(found)["ce_partitionkey"] == b"fraud"
    assert dict(found)["ce_source"] == b"/everloop/trainer"


def test_times_are_written_in_utc_whatever_their_zone() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=9)))
    moved = ClockMoved(id=UUID(int=1), time=elsewhere, model="fraud", data=elsewhere, control=elsewhere)
    assert dict(encode(moved, source="cli", recorded=elsewhere)[1])["ce_time"] == b"2026-01-05T12:00:00Z"


def test_the_same_event_has_the_same_bytes() -> None:
    event = a_turn_closed(3)
    assert encode(event, source="trainer", recorded=NOON) == encode(event, source="trainer", recorded=NOON)


@settings(max_examples=50, derandomize=True)
@given(
    moment=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 -- hypothesis wants naive bounds
    model=st.text(min_size=1, max_size=20),
    sequence=st.none() | st.integers(1, 10**11),
)
def test_decode_is_the_inverse_of_encode(moment: datetime, model: str, sequence: int | None) -> None:
    aware = moment.replace(tzinfo=UTC)
    event = TurnClosed(
        id=UUID(int=7), time=aware, model=model, sequence=sequence, outcome="refused", version="3",
        correlation_id=UUID(int=8), causation_id=UUID(int=9),
    )  # fmt: skip
    value, found = encode(event, source="trainer", recorded=aware)
    assert decode(value, found) == event


# --------------------------------------------------------------------------------------------------- what is refused


def test_a_tombstone_is_no_event() -> None:
    assert refused(None, headers()).reason == "null_value"


def test_an_event_of_a_newer_release_waits_among_the_dead_letters_for_the_upgrade() -> None:
    refusal = refused(orjson.dumps(LABELS), headers(type="io.everloop.labels.logged.v2"))
    assert refusal.reason == "newer_version"
    assert "up to version 1; upgrade, then replay" in str(refusal)


@pytest.mark.parametrize(
    "name",
    ["labels", "", None, "io.everloop.labels.logged.v0", "io.everloop.labels.logged.vx", "io.everloop.labels.logged",
     "io.everloop.labels.logged.v99999", "io.everloop.nobody.v2", ".v2"],
)  # fmt: skip
def test_a_type_that_is_not_ours_is_unknown(name: str | None) -> None:
    assert refused(orjson.dumps(LABELS), headers(type=name)).reason == "unknown_type"


@pytest.mark.parametrize("value", [b"", b"{", b"\xff\xfe", b'{"label": NaN}', b"{} {}"])
def test_what_is_not_one_json_document_is_malformed(value: bytes) -> None:
    assert refused(value, headers()).reason == "malformed"
    assert refused(value, STRUCTURED).reason == "malformed"


@pytest.mark.parametrize("value", [b"[]", b"1", b"null", b'"text"'])
def test_json_that_is_no_object_has_the_wrong_shape(value: bytes) -> None:
    assert refused(value, headers()).reason == "shape"
    assert refused(value, STRUCTURED).reason == "shape"


@pytest.mark.parametrize("data", [None, [], "e30=", 1])
def test_structured_mode_needs_an_object_as_data(data: object) -> None:
    assert refused(structured(data=data), STRUCTURED).reason == "shape"


def test_a_header_that_is_not_utf_8_is_malformed() -> None:
    bad: Headers = (*headers(subject=None), ("ce_subject", b"\xff\xfe"))
    assert refused(orjson.dumps(LABELS), bad).reason == "malformed"


@pytest.mark.parametrize("attribute", ["id", "time", "subject"])
def test_an_attribute_that_we_need_and_that_is_missing_has_the_wrong_shape(attribute: str) -> None:
    assert refused(orjson.dumps(LABELS), headers(**{attribute: None})).reason == "shape"


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("id", "42"),
        ("time", "2026-01-05T12:00:00"),
        ("time", "yesterday"),
        ("time", "0001-01-01T00:00:00+23:59"),
        ("time", "9999-12-31T23:59:59-00:01"),
        ("sequence", "x"),
        ("causationid", "-"),
    ],
)
def test_an_attribute_of_another_form_has_the_wrong_shape(attribute: str, text: str) -> None:
    assert refused(orjson.dumps(LABELS), headers(**{attribute: text})).reason == "shape"


def test_an_unknown_field_is_refused() -> None:
    assert refused(orjson.dumps({**LABELS, "note": "x"}), headers()).reason == "shape"


@pytest.mark.parametrize("name", ["id", "time", "model", "sequence", "correlation_id", "causation_id"])
def test_what_attributes_say_the_data_does_not_repeat(name: str) -> None:
    error = refused(orjson.dumps({**LABELS, name: None}), headers())
    assert (error.reason, name in str(error)) == ("shape", True)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"times": ["5"]}, "times.0: int_type"),
        ({"times": [5.0]}, "times.0: int_type"),
        ({"times": [True]}, "times.0: int_type"),
        ({"times": [-1]}, "times.0: greater_than_equal"),
        ({"times": [253_402_300_800_000]}, "times.0: less_than_equal"),
        ({"epoch": "5"}, "epoch: int_type"),
        ({"score": ["0.5"]}, "score.0: float_type"),
        ({"label": [True]}, "label.0: float_type"),
        ({"latency_ms": ["3"]}, "latency_ms.0: float_type"),
        ({"shadow": {"version": "2", "score": [False]}}, "shadow.score.0: float_type"),
        ({"features": {str(number): [1] for number in range(2_001)}}, "features: too_long"),
        ({"prediction_id": ["a"] * 100_001}, "prediction_id: too_long"),
    ],
)
def test_the_contract_of_rows_guesses_nothing(changed: dict[str, object], said: str) -> None:
    rows = {"prediction_id": ["a"], "times": [1], "features": {"x": [1]}, **changed}
    error = refused(orjson.dumps(rows), headers(type=PredictionsLogged.TYPE))
    assert error.reason == "shape"
    assert said in str(error)


def test_a_value_of_a_feature_may_be_any_json_and_does_not_cost_its_row() -> None:
    strange = [1, "x", True, None, [1, {"a": []}], {"b": 1}]
    rows = {"prediction_id": list("abcdef"), "times": [1] * 6, "features": {"x": strange}}
    event = decode(orjson.dumps(rows), headers(type=PredictionsLogged.TYPE))
    assert isinstance(event, PredictionsLogged)
    assert event.features["x"] == tuple(strange)


def test_columns_of_unequal_length_are_refused() -> None:
    rows = {"prediction_id": ["a", "b"], "times": [1, 2], "features": {"x": [1.0]}}
    error = refused(orjson.dumps(rows), headers(type=PredictionsLogged.TYPE))
    assert error.reason == "shape"
    assert "unequal_columns" in str(error)


def test_a_refusal_names_the_field_and_the_rule() -> None:
    error = refused(orjson.dumps({**LABELS, "label": ["high"]}), headers())
    assert "label.0: float_parsing" in str(error)


@pytest.mark.parametrize(
    ("value", "given_headers"),
    [
        (CANARY.encode(), headers()),
        (orjson.dumps(CANARY), headers()),
        (orjson.dumps({**LABELS, "label": [CANARY]}), headers()),
        (orjson.dumps({**LABELS, "prediction_id": CANARY}), headers()),
        (orjson.dumps({**LABELS, "labelled_at": [CANARY]}), headers()),
        (orjson.dumps(LABELS), headers(id=CANARY)),
        (orjson.dumps(LABELS), headers(time=CANARY)),
        (orjson.dumps(LABELS), headers(type=CANARY)),
        (orjson.dumps(LABELS), headers(sequence=CANARY)),
        (structured(data=CANARY), STRUCTURED),
        (structured(type=CANARY), STRUCTURED),
    ],
)
def test_a_refusal_never_repeats_a_value(value: bytes, given_headers: Headers) -> None:
    error = refused(value, given_headers)
    assert CANARY not in f"{error} {error!r} {error.reason}"
    assert error.__cause__ is None


# ---------------------------------------------------------------------------------------------------------- a plain row

PLAIN: dict[str, object] = {
    "model": "fraud", "prediction_id": "tx-1", "time": "2026-01-05T13:00:00+01:00", "entity_id": "card-1",
    "features": {"amount": 2.5, "country": "CH", "age": None}, "version": "7", "score": 0.25,
    "shadow": {"version": "8", "score": 0.5}, "label": None,
}  # fmt: skip
PLAIN_JSON: Headers = (("content-type", b"application/json"),)


def plain(**changed: object) -> bytes:
    """A scored row as a producer without CloudEvents sends it."""
    return orjson.dumps({**PLAIN, **changed})


@pytest.mark.parametrize("given_headers", [PLAIN_JSON, (), (("trace", b"\xff"),)], ids=["json", "none", "others"])
def test_a_plain_row_is_a_record_of_one_row(given_headers: Headers) -> None:
    event = decode(plain(), given_headers)
    assert isinstance(event, PredictionsLogged)
    assert (event.model, event.version, event.source) == ("fraud", "7", "producer")
    assert (event.prediction_id, event.times, event.entity_id) == (("tx-1",), (1_767_614_400_000,), ("card-1",))
    assert event.features == {"amount": (2.5,), "country": ("CH",), "age": (None,)}
    assert (event.score, event.label) == ((0.25,), None)
    assert event.shadow is not None
    assert (event.shadow.version, event.shadow.score) == ("8", (0.5,))


def test_a_plain_row_that_comes_again_has_the_same_id() -> None:
    again = decode(plain(time=1_767_614_400_000, latency_ms=3), PLAIN_JSON)
    assert again.id == decode(plain(), PLAIN_JSON).id
    assert again.time == NOON
    assert decode(plain(model="other"), PLAIN_JSON).id != again.id


@pytest.mark.parametrize(
    "changed",
    [
        {"time": None}, {"time": "2026-01-05T13:00:00"}, {"time": "noon"}, {"time": True}, {"time": 10**18},
        {"time": -1}, {"model": None}, {"model": ""}, {"features": [1]}, {"shadow": "8"}, {"score": CANARY},
        {"sequence": 3}, {"id": "x"}, {CANARY[:4]: 1}, {"features": None}, {"times": 5},
        {"time": "0001-01-01T00:00:00+23:59"}, {"label": True}, {"score": "0.5"}, {"latency_ms": "3"},
    ],
    ids=str,
)  # fmt: skip
def test_a_plain_row_that_is_wrong_is_refused_without_its_values(changed: dict[str, object]) -> None:
    error = refused(plain(**changed), PLAIN_JSON)
    assert error.reason == "shape"
    assert CANARY not in str(error)


def test_a_plain_row_inside_structured_mode_is_no_event() -> None:
    assert refused(orjson.dumps({"data": PLAIN}), STRUCTURED).reason == "unknown_type"


def test_a_plain_object_without_a_prediction_is_no_row() -> None:
    assert refused(plain(prediction_id=7), PLAIN_JSON).reason == "unknown_type"
    assert refused(plain(), (*PLAIN_JSON, ("ce_id", b"1"))).reason == "unknown_type", "half a CloudEvent is none"
