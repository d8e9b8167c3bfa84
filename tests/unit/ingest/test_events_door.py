"""`POST /v1/events`, Arrow bodies, ids that come again, and what is kept of a refusal."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

import orjson
import pyarrow as pa
import pytest
from httpx import Response

from everloop import topics
from everloop.codec import decode
from everloop.events import LabelsLogged, PredictionsLogged, named_id
from everloop.runtime.log import Place
from everloop_ingest.adapters.cloud import ARROW, BATCH, MOST_EVENTS, STRUCTURED
from everloop_ingest.adapters.letters import MOST_A_SECOND
from everloop_ingest.domain.remembering import Known, Seen
from tests.unit.ingest.builders import NOON, NOON_MS, said
from tests.unit.ingest.houses import House, a_house

ID = "0b0e7a54-8f0f-4f6c-9d3a-000000000001"
DATA: dict[str, object] = {
    "version": "v1", "prediction_id": ["a", "b"], "times": [NOON_MS, NOON_MS], "features": {"amount": [1, 2.5]},
    "score": [0.1, 0.2],
}  # fmt: skip
EVENT: dict[str, object] = {
    "specversion": "1.0", "id": ID, "source": "/shop", "type": PredictionsLogged.TYPE, "subject": "fraud",
    "time": "2026-01-01T11:59:00Z", "datacontenttype": "application/json", "data": DATA,
}  # fmt: skip
LABELS: dict[str, object] = {
    **EVENT, "id": "label-1", "type": LabelsLogged.TYPE,
    "data": {"prediction_id": ["a"], "label": [1], "labelled_at": [NOON_MS]},
}  # fmt: skip


@pytest.fixture
def house() -> Iterator[House]:
    with a_house(most_waiting=10_000) as found:
        yield found


def one(house: House, event: object) -> Response:
    return house.post("/v1/events", orjson.dumps(event), {"content-type": f"{STRUCTURED}; charset=utf-8"})


def batch(house: House, *events: object) -> Response:
    return house.post("/v1/events", orjson.dumps(events), {"content-type": BATCH})


def binary(house: House, body: bytes, kind: str = "application/json", **changed: str) -> Response:
    names = ("specversion", "id", "source", "type", "subject", "time")
    told = {f"ce-{name}": str(EVENT[name]) for name in names} | {f"ce-{name}": text for name, text in changed.items()}
    return house.post("/v1/events", body, {"content-type": kind, **told})


def arrow(ids: list[str], scores: list[float], **more: str) -> bytes:
    table = pa.table(
        {"prediction_id": ids, "time": [NOON_MS] * len(ids), "f.amount": [1.0] * len(ids), "score": scores}
    )
    sink = pa.BufferOutputStream()
    table = table.replace_schema_metadata({"version": "v1", **more})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


def first(answer: Response) -> tuple[int, str, str]:
    error = answer.json()["errors"][0]
    return answer.status_code, error["where"], error["rule"]


# --------------------------------------------------------------------------------------------------------------- events


def test_an_event_keeps_its_id_and_its_time(house: House) -> None:
    answer = one(house, EVENT)
    assert (answer.status_code, answer.json()["id"], answer.json()["accepted"]) == (202, ID, 2)
    (event,) = house.written()
    assert (str(event.id), event.time.isoformat(), event.model) == (ID, "2026-01-01T11:59:00+00:00", "fraud")
    assert event.features == {"amount": (1.0, 2.5)}


def test_binary_mode_says_the_same_as_structured_mode(house: House) -> None:
    assert binary(house, orjson.dumps(DATA)).status_code == 202
    (event,) = house.written()
    assert one(house, EVENT).json()["id"] == ID
    assert house.written() == [event], "known by its id and content, so it is not written again"


def test_an_id_that_is_no_uuid_names_the_event_with_its_source(house: House) -> None:
    assert one(house, LABELS).json()["id"] == str(named_id("CloudEvent", "5//shop/label-1"))
    (event,) = said(house.broker, topics.LABELS, LabelsLogged)
    assert (event.label, event.prediction_id) == ((1.0,), ("a",))


def test_the_time_of_an_event_may_be_left_out(house: House) -> None:
    assert one(house, {name: value for name, value in EVENT.items() if name != "time"}).status_code == 202
    assert house.written()[0].time == NOON


def test_attributes_in_headers_are_percent_encoded(house: House) -> None:
    assert binary(house, orjson.dumps(DATA), source="%E2%82%AC%20shop", id="x").status_code == 202
    assert str(house.written()[0].id) == str(named_id("CloudEvent", "6/\u20ac shop/x"))
    assert first(binary(house, orjson.dumps(DATA), source="%ff")) == (400, "headers", "encoding")


def test_one_bad_event_of_a_batch_costs_no_good_one(house: House) -> None:
    torn = {**EVENT, "id": "torn", "data": {**DATA, "times": [NOON_MS, "noon"]}}
    stranger, untold = (
        {**EVENT, "id": "x", "subject": "evil"},
        {**EVENT, "id": "y", "type": "io.everloop.loop.applied.v1"},
    )
    answer = batch(house, EVENT, stranger, LABELS, 7, torn, untold)
    said_ = answer.json()
    assert (answer.status_code, said_["accepted"], said_["refused"]) == (202, 4, 3)
    assert [item["status"] for item in said_["items"]] == [202, 404, 202, 422, 202, 422]
    assert [item["status"] for item in said_["items"][4]["items"]] == [202, 422]
    assert said_["items"][4]["items"][1]["errors"][0]["where"] == "data.times.1"
    assert said_["items"][1]["errors"][0]["where"] == "1.subject"
    assert said_["items"][5]["errors"][0]["where"] == "5.type"
    assert len(house.written()) == 2
    assert [(letter.reason, letter.where) for letter in sorted(house.letters(), key=lambda letter: letter.where)] == [
        ("unknown_model", "1.subject"), ("shape", "3.specversion"), ("unknown_type", "5.type"),
        ("shape", "data.times.1"),
    ]  # fmt: skip


def test_a_batch_without_a_good_event_has_the_status_of_the_first(house: House) -> None:
    answer = batch(house, {**EVENT, "subject": "evil"}, 7)
    assert first(answer) == (404, "0.subject", "unknown_model")
    assert [item["status"] for item in answer.json()["items"]] == [404, 422]
    assert house.written() == []


@pytest.mark.parametrize(
    ("changed", "where", "rule"),
    [
        ({"specversion": "0.3"}, "specversion", "literal_error"),
        ({"id": ""}, "id", "string_pattern_mismatch"),
        ({"id": "x" * 201}, "id", "string_pattern_mismatch"),
        ({"source": ""}, "source", "too_short"),
        ({"subject": 7}, "subject", "string_type"),
        ({"subject": "../etc"}, "subject", "string_pattern_mismatch"),
        ({"time": "2026-01-01T12:00:00"}, "time", "time_zone"),
        ({"type": "io.everloop.window.closed.v1"}, "type", "unknown_type"),
        ({"type": "nobody"}, "type", "unknown_type"),
        ({"datacontenttype": "text/xml"}, "datacontenttype", "literal_error"),
        ({"data": [1]}, "data", "dict_type"),
        ({"data": {**DATA, "model": "fraud"}}, "data", "repeated"),
        ({"data": {**DATA, "score": [1]}}, "data", "unequal_columns"),
        ({"data": {**DATA, "version": 1.5}}, "data.version", "string_type"),
        ({"data": {**DATA, "rows": []}}, "data.rows", "extra_forbidden"),
        ({"data_base64": "!"}, "data", "dict_type"),
    ],
)
def test_a_bad_event_names_attribute_and_rule(house: House, changed: dict[str, object], where: str, rule: str) -> None:
    assert first(one(house, {**EVENT, **changed})) == (422, where, rule)
    assert house.written() == []
    (letter,) = house.letters()
    assert letter.where == where


def test_a_batch_is_a_list_of_some_events(house: House) -> None:
    assert first(house.post("/v1/events", b"{}", {"content-type": BATCH})) == (422, "body", "list_type")
    assert first(batch(house)) == (422, "body", "too_short")
    assert first(batch(house, *[0] * (MOST_EVENTS + 1))) == (422, "body", "too_long")


# ---------------------------------------------------------------------------------------------------------------- Arrow


def test_an_arrow_stream_is_held_to_the_rules_of_json(house: House) -> None:
    headers = {"content-type": ARROW}
    answer = house.post("/v1/predictions?model=fraud", arrow(["a", "b/..", "c"], [0.1, 0.2, float("inf")]), headers)
    assert [item["status"] for item in answer.json()["items"]] == [202, 422, 422]
    (event,) = house.written()
    assert (event.prediction_id, event.version, event.score) == (("a",), "v1", (0.1,))


def test_an_arrow_stream_in_an_event(house: House) -> None:
    assert binary(house, arrow(["a"], [0.1]), ARROW).json()["id"] == ID
    text = base64.b64encode(arrow(["b"], [0.2])).decode()
    inside = {**EVENT, "id": "two", "datacontenttype": ARROW, "data_base64": text}
    assert one(house, {name: value for name, value in inside.items() if name != "data"}).status_code == 202
    assert sorted(event.prediction_id for event in house.written()) == [("a",), ("b",)]
    assert first(binary(house, arrow(["a"], [0.1]), ARROW, type=LabelsLogged.TYPE, id="l")) == (
        422,
        "data",
        "media_type",
    )


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/predictions", arrow(["a"], [0.1]), (422, "query.model", "missing")),
        ("/v1/predictions?model=evil", arrow(["a"], [0.1]), (404, "query.model", "unknown_model")),
        ("/v1/predictions?model=fraud", arrow(["a"], [0.1])[:-100], (400, "body", "malformed")),
        ("/v1/predictions?model=fraud", b"{}", (400, "body", "malformed")),
        ("/v1/predictions?model=fraud", arrow(["a"], [0.1], source="nobody"), (422, "body", "shape")),
        ("/v1/labels", b"", (415, "content-type", "media_type")),
    ],
)
def test_a_bad_arrow_body(house: House, path: str, body: bytes, expected: tuple[int, str, str]) -> None:
    assert first(house.post(path, body, {"content-type": ARROW})) == expected


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/predictions", ("application/json", ARROW)),
        ("/v1/labels", ("application/json",)),
        ("/v1/events", (STRUCTURED, BATCH)),
    ],
)
@pytest.mark.parametrize("kind", ["text/plain", "", "application/json; charset=utf-16", "application/xml"])
def test_another_content_type_is_told_which_are_taken(
    house: House, path: str, named: tuple[str, ...], kind: str
) -> None:
    answer = house.post(path, b"{}", {"content-type": kind})
    assert first(answer) == (415, "content-type", "media_type")
    assert all(name in answer.json()["errors"][0]["fix"] for name in named)
    assert house.letters() == []


# -------------------------------------------------------------------------------------------------- ids that come again


def test_the_same_event_again_has_the_same_receipt_and_another_content_is_a_conflict(house: House) -> None:
    answers = [one(house, EVENT), one(house, EVENT)]
    assert answers[0].json() == answers[1].json()
    assert len(house.written()) == 1
    other = {**EVENT, "data": {**DATA, "score": [0.1, 0.9]}}
    assert first(one(house, other)) == (409, "id", "conflicting_duplicate")
    answer = batch(house, other, {**EVENT, "id": "fine"})
    assert [item["status"] for item in answer.json()["items"]] == [409, 202]
    assert {letter.reason for letter in house.letters()} == {"conflicting_duplicate"}


def test_a_plain_row_is_named_by_its_prediction_id(house: House) -> None:
    row: Mapping[str, object] = {
        "model": "fraud", "version": "v1", "prediction_id": "a", "time": NOON_MS, "features": {}, "score": 0.5,
    }  # fmt: skip
    assert house.predictions(row).json() == house.predictions(row).json()
    assert first(house.predictions({**row, "score": 0.6})) == (409, "id", "conflicting_duplicate")
    assert len(house.written()) == 1


def test_two_events_of_one_batch_with_one_id(house: House) -> None:
    answer = batch(house, EVENT, {**EVENT, "data": {**DATA, "score": [0.3, 0.4]}})
    assert [item["status"] for item in answer.json()["items"]] == [202, 409]


def test_what_was_not_acknowledged_is_written_again_under_the_same_id(house: House) -> None:
    house.fails[0] = True
    assert first(one(house, EVENT)) == (503, "body", "broker")
    house.fails[0] = False
    assert first(one(house, {**EVENT, "data": {**DATA, "score": [0, 0]}}))[0] == 409, "the first may be there"
    assert one(house, EVENT).status_code == 202
    assert {str(event.id) for event in house.written()} == {ID}


def test_what_was_refused_for_the_backlog_is_not_remembered() -> None:
    seen, identity = Seen(), named_id("x", "y")
    assert seen.look(identity, b"1") is Known.NEW
    seen.forget(identity)
    assert seen.look(identity, b"2") is Known.NEW
    assert seen.look(identity, b"2") is Known.UNSURE
    seen.acknowledged(identity, b"2")
    assert (seen.look(identity, b"2"), seen.look(identity, b"1")) == (Known.ACKNOWLEDGED, Known.CONFLICT)


def test_what_is_remembered_is_bounded_and_the_oldest_go_first() -> None:
    seen = Seen(most=3)
    names = [named_id("x", str(number)) for number in range(5)]
    for name in names:
        seen.look(name, b"1")
    assert len(seen.kept) == 3
    assert [seen.look(name, b"2") for name in names[2:]] == [Known.CONFLICT] * 3


# --------------------------------------------------------------------------------------------------------- dead letters


def test_a_refused_request_is_kept_with_reason_place_and_bytes(house: House) -> None:
    body = b'{"model": "fraud", "version": "v1", "rows": [{"prediction_id": "a"}]}'
    assert house.post("/v1/predictions", body, {"content-type": "application/json"}).status_code == 422
    (letter,) = house.letters()
    assert (letter.topic, letter.offset, letter.stage) == (topics.PREDICTIONS.name, -1, "ingest.door")
    assert (letter.reason, letter.where) == ("shape", "rows.0.time")
    assert letter.error.startswith("rows.0.time: missing; rows.0.features: missing")
    assert (base64.b64decode(letter.value or ""), letter.size) == (body, len(body))
    assert dict(letter.headers) == {"content-type": base64.b64encode(b"application/json").decode()}
    assert house.metrics.value("everloop_dead_letters_total", topic=topics.PREDICTIONS.name, reason="shape") == 1


def test_of_a_request_with_good_rows_the_bad_ones_alone_are_kept(house: House) -> None:
    good, bad = {"prediction_id": "a", "label": 1, "labelled_at": NOON_MS}, {"prediction_id": "b", "label": "secret"}
    assert house.labels({"model": "fraud", "rows": [bad, good]}).status_code == 202
    (letter,) = house.letters()
    assert orjson.loads(base64.b64decode(letter.value or "")) == {"model": "fraud", "rows": [bad]}
    assert letter.model == "fraud"
    columns = {"model": "fraud", **DATA, "score": [0.1, "secret"]}
    assert house.predictions(columns).status_code == 202
    (of_columns,) = [found for found in house.letters() if found.where == "score.1"]
    kept = orjson.loads(base64.b64decode(of_columns.value or ""))
    assert (kept["prediction_id"], kept["score"], kept["features"]) == (["b"], ["secret"], {"amount": [2.5]})


def test_a_letter_of_an_event_is_the_record_that_says_the_same(house: House) -> None:
    assert binary(house, orjson.dumps(DATA), subject="evil").status_code == 404
    (letter,) = house.letters()
    headers = [(name, base64.b64decode(text)) for name, text in letter.headers.items()]
    event = decode(base64.b64decode(letter.value or ""), headers)
    assert (str(event.id), event.model, letter.model) == (ID, "evil", "unknown")


@pytest.mark.parametrize("body", [b"{", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xff"])
def test_what_is_no_json_is_kept_as_malformed(house: House, body: bytes) -> None:
    for path, kind in (("/v1/labels", "application/json"), ("/v1/events", STRUCTURED)):
        assert house.post(path, body, {"content-type": kind}).status_code == 400
    assert [letter.reason for letter in house.letters()] == ["malformed", "malformed"]


def test_letters_of_a_second_are_bounded(house: House) -> None:
    for number in range(MOST_A_SECOND + 5):
        assert house.post("/v1/labels", b"%d" % number, {"content-type": "application/json"}).status_code == 422
    assert len(house.letters()) == MOST_A_SECOND
    dropped = {"topic": topics.LABELS.name, "reason": "shape"}
    assert house.metrics.value("everloop_dead_letters_dropped_total", **dropped) == 5
    house.wall.move(1)
    house.post("/v1/labels", b"[]", {"content-type": "application/json"})
    assert len(house.letters()) == MOST_A_SECOND + 1


def test_a_refusal_is_answered_also_while_the_broker_is_gone(house: House) -> None:
    house.fails[0] = True
    assert house.labels({"model": "fraud"}).status_code == 422
    assert house.metrics.value("everloop_dead_letters_dropped_total", topic=topics.DLQ.name, reason="broker") == 1


def test_the_same_refusal_again_is_the_same_letter(house: House) -> None:
    for _ in range(2):
        house.labels({"model": "fraud"})
    stored = [record for number in range(4) for record in house.broker.records[Place(topics.DLQ.name, number)]]
    assert len({letter.id for letter in house.letters()}) == 1
    assert len({record.place for record in stored}) == 1
