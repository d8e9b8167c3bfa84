"""Feedback at the front door, in each form; what is wrong with it; and the same over Kafka, where nobody answers."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest

from everloop import topics
from everloop.cli.resending import Letter, path_of
from everloop.codec import JSON as JSON_TYPE
from everloop.codec import encode
from everloop.events import DeadLettered, FeedbackLogged, FeedbackRouted, LabelsLogged
from everloop.metrics import Metrics
from everloop.runtime.log import Message, Place, Record
from everloop.runtime.memory import MemoryLog
from everloop.simulation import Simulation
from everloop_ingest.adapters.cloud import BATCH, STRUCTURED
from everloop_ingest.adapters.routes import RouteFold
from tests.unit.ingest.builders import (
    NOON,
    NOON_MS,
    FakeWall,
    Worker,
    a_loop,
    apply_loop,
    said,
    some_feedback,
    write,
)
from tests.unit.ingest.houses import House

ONE: dict[str, object] = {"prediction_id": "a", "name": "revenue", "value": 12.9, "said_at": NOON_MS}
COLUMNS: dict[str, object] = {
    "prediction_id": ["a", "a", "b"], "name": ["revenue", "click", "revenue"], "value": [12.9, 1, 0.5],
    "said_at": [NOON_MS, "2026-01-01T12:00:00Z", NOON_MS],
}  # fmt: skip


def logged(house: House) -> list[tuple[str, str, float, int]]:
    events = said(house.broker, topics.LABELS, FeedbackLogged)
    return sorted(
        row for one in events for row in zip(one.prediction_id, one.name, one.value, one.said_at, strict=True)
    )


def an_event(data: object, **changed: object) -> dict[str, object]:
    named = {"specversion": "1.0", "id": "e1", "source": "/shop", "type": FeedbackLogged.TYPE, "subject": "fraud"}
    return {**named, "data": data, **changed}


def test_each_form_says_the_same(house: House) -> None:
    assert house.feedback({"model": "fraud", **ONE}).json()["items"] == [
        {"status": 202, "prediction_id": "a", "name": "revenue"}
    ]
    assert house.feedback({"model": "fraud", "rows": [{**ONE, "prediction_id": "r"}]}).status_code == 202
    assert house.feedback({"model": "fraud", **COLUMNS}).json()["accepted"] == 3
    event = an_event({**COLUMNS, "prediction_id": ["e", "e", "f"]})
    assert house.post("/v1/events", orjson.dumps(event), {"content-type": STRUCTURED}).json()["accepted"] == 3
    at = NOON_MS
    assert logged(house) == [
        ("a", "click", 1.0, at), ("a", "revenue", 12.9, at), ("a", "revenue", 12.9, at), ("b", "revenue", 0.5, at),
        ("e", "click", 1.0, at), ("e", "revenue", 12.9, at), ("f", "revenue", 0.5, at), ("r", "revenue", 12.9, at),
    ]  # fmt: skip
    assert said(house.broker, topics.LABELS, LabelsLogged) == []


def test_the_same_request_is_the_same_event_and_a_key_names_one_content(house: House) -> None:
    first, second = (house.feedback({"model": "fraud", **ONE}).json()["id"] for _ in range(2))
    assert first == second
    assert house.feedback({"model": "fraud", **ONE}, idempotency_key="k").status_code == 202
    assert house.feedback({"model": "fraud", **ONE, "value": 1}, idempotency_key="k").status_code == 409


BAD: Mapping[str, tuple[dict[str, object], str, str, str]] = {
    "a name that nobody declared": ({"name": "tips"}, "name", "unknown_feedback", "unknown_feedback"),
    "a name with a blank": ({"name": "my click"}, "name", "string_pattern_mismatch", "shape"),
    "an empty name": ({"name": ""}, "name", "string_pattern_mismatch", "shape"),
    "a name that is no text": ({"name": 7}, "name", "string_type", "shape"),
    "below the bound": ({"value": -0.01}, "value", "out_of_bounds", "out_of_bounds"),
    "above the bound": ({"value": 1000.5}, "value", "out_of_bounds", "out_of_bounds"),
    "beyond all bounds": ({"name": "click", "value": 1e13}, "value", "less_than_equal", "shape"),
    "no value": ({"value": None}, "value", "float_type", "shape"),
    "a value as text": ({"value": "12.9"}, "value", "float_type", "shape"),
    "a truth value": ({"value": True}, "value", "float_type", "shape"),
    "a time in seconds": ({"said_at": NOON_MS // 1000}, "said_at", "greater_than_equal", "shape"),
    "a time without a zone": ({"said_at": "2026-01-01T12:00:00"}, "said_at", "time_zone", "shape"),
    "an id that is none": ({"prediction_id": "../etc"}, "prediction_id", "string_pattern_mismatch", "shape"),
    "a label": ({"label": 1}, "label", "extra_forbidden", "shape"),
}


@pytest.mark.parametrize("form", ["rows", "columns", "batch"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_costs_no_good_one_is_kept_and_never_shown(house: House, name: str, form: str) -> None:
    changed, where, rule, reason = BAD[name]
    rows = [{**ONE, "prediction_id": "x"}, {**ONE, **changed}, {**ONE, "prediction_id": "z"}]
    if form == "rows" or "label" in changed:  # another column is wrong of all rows
        form = "rows"
        answer = house.feedback({"model": "fraud", "rows": rows})
    elif form == "columns":
        answer = house.feedback({"model": "fraud", **{key: [row[key] for row in rows] for key in ONE}})
    else:
        events = [an_event({key: [row[key]] for key in ONE}, id=f"{place}/{name}") for place, row in enumerate(rows)]
        answer = house.post("/v1/events", orjson.dumps(events), {"content-type": BATCH})
    assert answer.status_code == 202
    items = answer.json()["items"]
    assert [one["status"] for one in items] == [202, 422, 202]
    first = items[1]["errors"][0]
    place = {"batch": "1.data.rows.0"}.get(form, "rows.1")
    assert (first["where"], first["rule"]) == (f"{place}.{where}", rule)
    assert str(next(iter(changed.values()))) not in first["fix"] or len(str(next(iter(changed.values())))) < 2
    assert [row[0] for row in logged(house)] == ["x", "z"]
    (letter,) = house.letters()
    assert letter.reason == reason
    assert path_of(Letter(letter, Place("everloop.dlq.v1", 0), 0, 0, 1)) == (
        "/v1/events" if form == "batch" else "/v1/feedback"
    )


def test_a_row_may_have_several_names_and_none_of_them_twice(house: House) -> None:
    answer = house.feedback({"model": "fraud", "rows": [ONE, {**ONE, "name": "click"}, {**ONE, "value": 3}]})
    assert [one["status"] for one in answer.json()["items"]] == [202, 202, 422]
    assert answer.json()["items"][2]["errors"][0]["rule"] == "duplicate"


@pytest.mark.parametrize(
    ("body", "status", "rule"),
    [
        ({**COLUMNS, "name": ["click"]}, 422, "unequal_columns"),
        ({**COLUMNS, "prediction_id": []}, 422, "too_short"),
        ({"rows": []}, 422, "too_short"),
        ({"prediction_id": ["a"] * 10_001, "name": [], "value": [], "said_at": []}, 422, "too_long"),
        ({**COLUMNS, "who": 1}, 422, "extra_forbidden"),
        ({**ONE, "model": "evil"}, 404, "unknown_model"),
    ],
)
def test_a_body_that_is_wrong_as_a_whole(house: House, body: dict[str, object], status: int, rule: str) -> None:
    answer = house.feedback({"model": "fraud", **body})
    assert (answer.status_code, answer.json()["errors"][0]["rule"]) == (status, rule)


def test_no_arrow_and_no_rows_in_an_event(house: House) -> None:
    arrow = {"content-type": "application/vnd.apache.arrow.stream"}
    assert house.post("/v1/feedback?model=fraud", b"x", arrow).status_code == 415
    event = orjson.dumps(an_event({"rows": [ONE]}))
    answer = house.post("/v1/events", event, {"content-type": STRUCTURED})
    assert (answer.status_code, answer.json()["errors"][0]["rule"]) == (422, "extra_forbidden")


# ----------------------------------------------------------------------------------------------------------- over Kafka


def test_what_is_not_declared_is_a_dead_letter_and_costs_no_good_value() -> None:
    worker = Worker()
    simulation = Simulation(worker.builds())
    log = simulation.client()
    write(log, topics.LABELS, 0, some_feedback(5.0, "early"))  # no loop is applied: nothing is declared
    simulation.settle()
    apply_loop(log)
    mixed = some_feedback(5.0, "a", "b", "c").model_copy(update={"name": ("revenue", "tips", "revenue")})
    write(log, topics.LABELS, 1, mixed.model_copy(update={"value": (5.0, 5.0, -1.0)}))
    write(log, topics.LABELS, 2, some_feedback(5.0, "d", model="stranger"))
    simulation.settle()
    routed = said(simulation.broker, topics.KEYS, FeedbackRouted)
    assert [(one.name, one.prediction_id, one.value) for one in routed] == [("revenue", ("a",), (5.0,))]
    letters = said(simulation.broker, topics.DLQ, DeadLettered)
    assert sorted((one.topic, one.reason) for one in letters) == [("everloop.labels.v1", "unknown_feedback")] * 3
    assert "5.0" not in "".join(one.error for one in letters)


@pytest.mark.parametrize(("source", "kept"), [("ingest", 1), ("shop", 0)])
def test_what_the_door_has_accepted_is_not_refused_because_loops_were_not_read_yet(source: str, kept: int) -> None:
    route, heard = RouteFold(FakeWall(), Metrics()), Place(topics.LOOPS.name, 0)
    route.restore(MemoryLog({t.name: t.partitions for t in topics.TOPICS.values()}).client(), {})
    route.refresh = lambda: route.learn(Record(heard, 0, b"fraud", b"", ()), a_loop())
    value, headers = encode(some_feedback(5.0, "a"), source=source, recorded=NOON)
    route.take(Record(Place(topics.LABELS.name, 0), 0, None, value, headers))
    said = [one.place.topic for one in route.flush()]
    assert (said.count(topics.KEYS.name), said.count(topics.DLQ.name)) == (kept, 1 - kept)


@pytest.mark.parametrize(
    "value",
    [
        b'{"prediction_id":["a"],"name":["revenue"],"value":[NaN],"said_at":[1]}',
        b'{"prediction_id":["a"],"name":["revenue"],"value":["1"],"said_at":[1]}',
        b'{"prediction_id":["a"],"name":["revenue"],"value":[1e13],"said_at":[1]}',
        b'{"prediction_id":["a","b"],"name":["revenue"],"value":[1],"said_at":[1]}',
        b'{"prediction_id":["a"],"name":["revenue"],"value":[1],"said_at":[-1]}',
        b'{"prediction_id":["a"],"name":["re venue"],"value":[1],"said_at":[1]}',
        b'{"prediction_id":["a"],"name":["revenue"],"value":[1],"value":[2],"said_at":[1]}',
        b'{"prediction_id":["a"],"label":[1],"labelled_at":[1]}',
    ],
)
def test_bad_records_are_quarantined_and_the_next_one_counts(value: bytes) -> None:
    worker = Worker()
    simulation = Simulation(worker.builds())
    log = simulation.client()
    apply_loop(log)
    headers = (
        ("ce_specversion", b"1.0"), ("ce_id", b"649b83b8-93b8-5520-a192-c668df337b9a"), ("ce_source", b"/shop"),
        ("ce_type", FeedbackLogged.TYPE.encode()), ("ce_subject", b"fraud"), ("ce_time", b"2026-01-05T13:00:00Z"),
        ("content-type", JSON_TYPE),
    )  # fmt: skip
    log.publish([Message(Place(topics.LABELS.name, 0), b"fraud", value, headers)])
    write(log, topics.LABELS, 0, some_feedback(5.0, "a"))
    simulation.settle()
    assert len(said(simulation.broker, topics.DLQ, DeadLettered)) == 1
    assert [one.prediction_id for one in said(simulation.broker, topics.KEYS, FeedbackRouted)] == [("a",)]
