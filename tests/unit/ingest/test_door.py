"""The front door: what is accepted, what is refused and how it says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson
import pytest
from fastapi.testclient import TestClient
from httpx import Response

from everloop import topics
from everloop.events import LabelsLogged
from everloop.http import service_app
from everloop.metrics import Metrics
from everloop.runtime.log import Message
from everloop.runtime.memory import MemoryLog
from everloop_ingest.adapters.beats import Beater
from everloop_ingest.adapters.door import Door, add_routes
from everloop_ingest.adapters.publisher import BacklogError, Limits, Publisher
from everloop_ingest.adapters.writers import LogWriter
from tests.unit.ingest.builders import NOON_MS, FakeWall, places, said
from tests.unit.ingest.houses import House, a_house

COLUMNS: dict[str, object] = {
    "model": "fraud",
    "version": "v1",
    "prediction_id": ["a", "b"],
    "times": [NOON_MS, "2026-01-01T13:00:00+01:00"],
    "features": {"amount": [1, 2.5], "shop": ["x", None]},
    "score": [0.1, 0.2],
}
ROW: dict[str, object] = {"prediction_id": "a", "time": NOON_MS, "features": {"amount": 1.0}, "score": 0.5}
ROWS: dict[str, object] = {"model": "fraud", "version": "v1", "rows": [ROW]}
LABELS: dict[str, object] = {"model": "fraud", "prediction_id": ["a"], "label": [1], "labelled_at": [NOON_MS]}


@pytest.fixture
def house() -> Iterator[House]:
    with a_house() as found:
        yield found


def _first(answer: Response) -> tuple[int, str, str]:
    error = answer.json()["errors"][0]
    return answer.status_code, error["where"], error["rule"]


def _with(body: dict[str, object], **changed: object) -> dict[str, object]:
    return {name: value for name, value in {**body, **changed}.items() if value != "gone"}


def test_columns_become_one_record(house: House) -> None:
    answer = house.predictions(COLUMNS)
    assert answer.status_code == 202
    assert answer.json()["items"] == [{"status": 202, "prediction_id": "a"}, {"status": 202, "prediction_id": "b"}]
    (event,) = house.written()
    assert (event.prediction_id, event.times, event.version) == (("a", "b"), (NOON_MS, NOON_MS), "v1")
    assert event.features == {"amount": (1.0, 2.5), "shop": ("x", None)}
    assert str(event.id) == answer.json()["id"]
    assert house.metrics.value("everloop_rows_accepted_total", kind="predictions", model="fraud") == 2


def test_rows_become_columns(house: House) -> None:
    other = {
        "prediction_id": "b",
        "time": NOON_MS,
        "features": {"shop": "x"},
        "score": None,
        "entity_id": "card",
        "status": "error",
    }
    assert house.predictions(_with(ROWS, rows=[ROW, other])).status_code == 202
    (event,) = house.written()
    assert event.features == {"amount": (1.0, None), "shop": (None, "x")}
    assert (event.score, event.entity_id, event.status) == ((0.5, None), ("a", "card"), ("ok", "error"))


def test_a_plain_object_is_one_row(house: House) -> None:
    assert house.predictions({**ROW, "model": "fraud", "version": "v1"}).status_code == 202
    (event,) = house.written()
    assert (event.prediction_id, event.features, event.score) == (("a",), {"amount": (1.0,)}, (0.5,))


def test_a_bootstrap_needs_no_version_and_no_score(house: House) -> None:
    body = _with(COLUMNS, source="bootstrap", version="gone", score="gone", label=[1, None])
    assert house.predictions(body).status_code == 202
    (event,) = house.written()
    assert (event.source, event.version, event.score, event.label) == ("bootstrap", None, None, (1.0, None))


def test_one_bad_row_does_not_cost_the_others(house: House) -> None:
    bad = {**ROW, "prediction_id": "../etc", "score": "hunter2"}
    answer = house.predictions(_with(ROWS, rows=[bad, ROW]))
    assert (answer.status_code, answer.json()["accepted"], answer.json()["refused"]) == (202, 1, 1)
    first, second = answer.json()["items"]
    assert (first["status"], second) == (422, {"status": 202, "prediction_id": "a"})
    assert {error["where"] for error in first["errors"]} == {"rows.0.prediction_id", "rows.0.score"}
    assert "hunter2" not in answer.text
    assert house.written()[0].prediction_id == ("a",)


def test_only_bad_rows_are_a_422(house: House) -> None:
    assert _first(house.predictions(_with(ROWS, rows=[{**ROW, "time": "noon"}]))) == (422, "rows.0.time", "time")
    assert house.written() == []


@pytest.mark.parametrize(
    ("changed", "where", "rule"),
    [
        ({"times": [NOON_MS]}, "body", "unequal_columns"),
        ({"prediction_id": []}, "prediction_id", "too_short"),
        ({"score": "gone"}, "score", "missing"),
        ({"version": "gone"}, "version", "missing"),
        ({"version": 1.5}, "version", "string_type"),
        ({"extra": 1}, "extra", "extra_forbidden"),
        ({"source": "nobody"}, "source", "literal_error"),
        ({"digest": "hunter2"}, "digest", "string_pattern_mismatch"),
        ({"features": {f"f{n}": [1, 2] for n in range(2_001)}}, "features", "too_long"),
        ({"model": 1}, "model", "string_type"),
    ],
)
def test_a_refusal_names_field_and_rule(house: House, changed: dict[str, object], where: str, rule: str) -> None:
    assert _first(house.predictions(_with(COLUMNS, **changed))) == (422, where, rule)
    assert house.written() == []


@pytest.mark.parametrize(
    ("changed", "where", "rule"),
    [
        ({"prediction_id": ["a", "a"]}, "prediction_id.1", "duplicate"),
        ({"prediction_id": ["a", "b/../c"]}, "prediction_id.1", "string_pattern_mismatch"),
        ({"prediction_id": ["a", "x" * 129]}, "prediction_id.1", "string_pattern_mismatch"),
        ({"times": [NOON_MS, "2026-01-01T12:00:00"]}, "times.1", "time_zone"),
        ({"times": [NOON_MS, NOON_MS * 1_000_000]}, "times.1", "less_than_equal"),
        ({"times": [NOON_MS, NOON_MS // 1000]}, "times.1", "greater_than_equal"),
        ({"times": [NOON_MS, True]}, "times.1", "int_type"),
        ({"score": [0.1, True]}, "score.1", "float_type"),
        ({"score": [0.1, "nan"]}, "score.1", "float_type"),
        ({"entity_id": ["a", "b\u202ec"]}, "entity_id.1", "control_character"),
        ({"features": {"amount": [1, [2]]}}, "features.amount.1.float", "float_type"),
        ({"shadow": {"version": "v2", "score": [0.1, "x"]}}, "shadow.score.1", "float_type"),
    ],
)
def test_a_bad_row_among_columns_costs_no_good_one(
    house: House, changed: dict[str, object], where: str, rule: str
) -> None:
    answer = house.predictions(_with(COLUMNS, **changed))
    assert (answer.status_code, answer.json()["accepted"], answer.json()["refused"]) == (202, 1, 1)
    good, bad = answer.json()["items"]
    assert (good, bad["status"]) == ({"status": 202, "prediction_id": "a"}, 422)
    assert (bad["errors"][0]["where"], bad["errors"][0]["rule"]) == (where, rule)
    (event,) = house.written()
    assert (event.prediction_id, event.score, event.features["amount"]) == (("a",), (0.1,), (1.0,))


def test_an_unknown_model_is_not_found_and_makes_no_metric(house: House) -> None:
    assert _first(house.predictions(_with(COLUMNS, model="evil"))) == (404, "model", "unknown_model")
    assert b"evil" not in house.metrics.render()
    assert house.labels(_with(LABELS, model="evil")).status_code == 404


def test_before_it_knows_what_is_applied_the_door_asks_to_be_asked_again() -> None:
    metrics, wall = Metrics(), FakeWall()
    broker = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
    beater = Beater(broker.client(), replica="0", wall=wall, metrics=metrics)
    app = service_app("ingest", metrics=metrics, ready=lambda: None)
    add_routes(
        app, Door(Publisher(LogWriter(broker.client()), metrics, Limits(gather_s=0)), beater.models, wall, metrics)
    )
    with TestClient(app) as client:
        asked = client.post("/v1/predictions", json=COLUMNS)
        assert (*_first(asked), asked.headers["Retry-After"]) == (503, "model", "starting", "1")
        beater.step()
        assert _first(client.post("/v1/predictions", json=COLUMNS)) == (404, "model", "unknown_model")


def test_a_number_that_no_float_holds_is_no_error_of_ours(house: House) -> None:
    body = orjson.dumps(COLUMNS).replace(b"0.1", b"1" + b"0" * 400)
    answer = house.client.post("/v1/predictions", content=body, headers={"content-type": "application/json"})
    assert [item["status"] for item in answer.json()["items"]] == [422, 202]


def test_the_same_request_is_the_same_event_in_the_same_partition(house: House) -> None:
    first, again = house.predictions(COLUMNS), house.predictions(COLUMNS)
    assert first.json()["id"] == again.json()["id"]
    assert len({number for number, _ in places(house.broker, topics.PREDICTIONS)}) == 1
    assert house.predictions(_with(COLUMNS, version="v2")).json()["id"] != first.json()["id"]


def test_the_callers_key_names_the_event(house: House) -> None:
    first = house.predictions(COLUMNS, idempotency_key="order-7")
    assert house.predictions(COLUMNS, idempotency_key="order-7").json() == first.json()
    other = house.predictions(_with(COLUMNS, score=[0.1, 0.3]), idempotency_key="order-7")
    assert _first(other) == (409, "id", "conflicting_duplicate")
    assert [str(event.id) for event in house.written()] == [first.json()["id"]]
    assert _first(house.predictions(COLUMNS, idempotency_key="x" * 201))[0] == 422


RANGE: dict[str, object] = {
    "entity_id": "card-7", "start": NOON_MS, "end": "2026-01-01T13:30:00+01:00", "label": 1, "labelled_at": NOON_MS,
}  # fmt: skip


def test_labels_by_entity_in_each_form_and_a_bad_one_costs_no_good_one(house: House) -> None:
    one = {"model": "fraud", **RANGE}
    bad = {**RANGE, "end": NOON_MS}
    columns = {"model": "fraud", **{name: [value, bad[name]] for name, value in RANGE.items()}}
    rows = {"model": "fraud", "rows": [RANGE, bad]}
    answers = [house.client.post("/v1/labels", json=body) for body in (one, columns, rows)]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    for answer in answers:
        assert answer.json()["items"][0] == {"status": 202, "entity_id": "card-7"}
    for answer in answers[1:]:
        ((error,),) = [item["errors"] for item in answer.json()["items"] if item["status"] == 422]
        assert (error["where"], error["rule"]) == ("rows.1", "time_range")
    events = said(house.broker, topics.LABELS, LabelsLogged)
    half = NOON_MS + 30 * 60_000
    assert {(event.entity_id, event.start, event.end, event.prediction_id) for event in events} == {
        (("card-7",), (NOON_MS,), (half,), ())
    }


@pytest.mark.parametrize(
    ("changed", "where", "rule"),
    [
        ({"start": "gone"}, "start", "missing"),
        ({"start": [1, 2]}, "entity_id", "unequal_columns"),
        ({"label": ["x"]}, "rows.0.label", "float_type"),
        ({"prediction_id": ["a"]}, "entity_id", "extra_forbidden"),
    ],
)
def test_wrong_labels_by_entity_are_refused(house: House, changed: dict[str, object], where: str, rule: str) -> None:
    body = _with({"model": "fraud", **{name: [value] for name, value in RANGE.items()}}, **changed)
    assert _first(house.client.post("/v1/labels", json=body)) == (422, where, rule)


def test_labels_in_each_form(house: House) -> None:
    assert house.labels(LABELS).status_code == 202
    row = {"prediction_id": "b", "label": 0, "labelled_at": "2026-01-01T12:00:00Z"}
    assert house.labels({"model": "fraud", "rows": [row]}).status_code == 202
    assert house.labels({"model": "fraud", **row, "prediction_id": "c"}).status_code == 202
    events = said(house.broker, topics.LABELS, LabelsLogged)
    assert sorted((event.prediction_id[0], event.label[0], event.labelled_at[0]) for event in events) == [
        ("a", 1.0, NOON_MS), ("b", 0.0, NOON_MS), ("c", 0.0, NOON_MS),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "where", "rule"),
    [
        ({"label": [1, 2]}, "prediction_id", "unequal_columns"),
        ({"label": [None]}, "label.0", "float_type"),
        ({"label": [True]}, "label.0", "float_type"),
        ({"labelled_at": "gone"}, "labelled_at", "missing"),
    ],
)
def test_bad_labels(house: House, changed: dict[str, object], where: str, rule: str) -> None:
    assert _first(house.labels(_with(LABELS, **changed))) == (422, where, rule)


def test_of_two_classes_a_label_is_one(house: House) -> None:
    columns = {"model": "fraud", "prediction_id": ["a", "b"], "label": [2, 1], "labelled_at": [NOON_MS, NOON_MS]}
    rows = [{"prediction_id": name, "label": label, "labelled_at": NOON_MS} for name, label in (("c", 0.5), ("d", 0))]
    for body, where in ((columns, "label.0"), ({"model": "fraud", "rows": rows}, "rows.0.label")):
        first, second = house.labels(body).json()["items"]
        assert (first["errors"][0]["where"], first["errors"][0]["rule"]) == (where, "no_class")
        assert second["status"] == 202
    assert [event.label for event in said(house.broker, topics.LABELS, LabelsLogged)] in ([(1,), (0,)], [(0,), (1,)])
    assert _first(house.labels({**columns, "label": [2, 3]})) == (422, "label.0", "no_class")
    assert house.labels({**columns, "model": "price"}).json()["refused"] == 0
    assert house.predictions(_with(COLUMNS, label=[None, 7])).json()["refused"] == 1


def test_a_broker_that_is_gone(house: House) -> None:
    house.fails[0] = True
    answer = house.predictions(COLUMNS)
    assert _first(answer) == (503, "body", "broker")
    assert "retry-after" in answer.headers
    house.fails[0] = False
    assert house.predictions(COLUMNS).status_code == 202


class FullPublisher(Publisher):
    """Has no room for anything."""

    async def publish(self, messages: Sequence[Message], rows: int) -> None:
        raise BacklogError("full")


def test_a_full_backlog_says_when_to_come_again() -> None:
    metrics = Metrics()
    app = service_app("ingest", metrics=metrics, ready=lambda: None)
    log = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()}).client()
    add_routes(app, Door(FullPublisher(LogWriter(log), metrics), lambda: {"fraud"}, FakeWall(), metrics))
    answer = TestClient(app).post("/v1/labels", json=LABELS)
    assert _first(answer) == (429, "body", "backlog")
    assert answer.headers["retry-after"] == "1"
    assert metrics.value("everloop_rows_refused_total", kind="labels", reason="backlog") == 1


def test_what_a_full_backlog_refuses_is_not_held_against_the_next_one() -> None:
    metrics = Metrics()
    app = service_app("ingest", metrics=metrics, ready=lambda: None)
    log = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()}).client()
    add_routes(app, Door(FullPublisher(LogWriter(log), metrics), lambda: {"fraud"}, FakeWall(), metrics))
    client, key = TestClient(app), {"idempotency-key": "k"}
    bodies = (LABELS, _with(LABELS, label=[0]))
    assert [client.post("/v1/labels", json=body, headers=key).status_code for body in bodies] == [429, 429]
