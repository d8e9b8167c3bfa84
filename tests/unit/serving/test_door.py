"""The HTTP side: forms of a body, refusals that echo nothing, and when a row is on the log."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from fastapi.testclient import TestClient

from everloop import events as e
from everloop.errors import FatalError
from everloop.runtime.memory import Effect, Moment
from everloop_serving.adapters import bodies
from everloop_serving.adapters.door import build
from everloop_serving.adapters.outbox import Outbox
from tests.builders import NOON
from tests.unit.serving.builders import NOON_MS, Stand, a_plan

PATH = "/v1/models/fraud/predict"
LOGGED = {"Everloop-Wait": "logged"}


@dataclass
class Front:
    """A stand with its door and an outbox that the test empties by hand."""

    stand: Stand = field(default_factory=Stand)
    most_bytes: int = 1_000_000

    def __post_init__(self) -> None:
        server = self.stand.server
        self.outbox = Outbox(server.log, server.metrics, most_bytes=self.most_bytes)
        app = build(server, self.outbox, self.stand.now, ready=server.awaits, alive=lambda: None)
        self.http = TestClient(app)

    def dropped(self, reason: str) -> float:
        return self.stand.server.metrics.value("everloop_rows_refused_total", kind="predictions", reason=reason)


@pytest.fixture
def front() -> Front:
    found = Front()
    found.stand.hear(a_plan(1))
    return found


def test_rows_are_answered_one_by_one(front: Front) -> None:
    body = {"rows": [{"features": {"amount": 1}, "prediction_id": "a"}, {"features": {"amount": 2.5}}]}
    answer = front.http.post(PATH, json=body, headers=LOGGED)
    assert answer.status_code == 200
    first, second = answer.json()["rows"]
    assert first == {
        "prediction_id": "a", "score": 0.1, "arm": "champion", "version": "1", "epoch": 1, "status": "ok"
    }  # fmt: skip
    assert len(second["prediction_id"]) == 36
    (event,) = front.stand.logged()
    assert event.features == {"amount": (1.0, 2.5)}
    assert event.times == (NOON_MS, NOON_MS)
    assert event.entity_id is None


@pytest.mark.parametrize(("columns", "time"), [("columns", "time"), ("features", "times")])
def test_columns_with_ids_entities_and_times(front: Front, columns: str, time: str) -> None:
    body = {
        columns: {"amount": [1, None], "country": ["nl", 3], "vip": [True, False]},
        "prediction_id": ["a", "b"], "entity_id": ["x", "y"], time: [5, "1970-01-01T00:00:01+00:00"],
    }  # fmt: skip
    assert front.http.post(PATH, json=body, headers=LOGGED).status_code == 200
    (event,) = front.stand.logged()
    assert event.features == {"amount": (1.0, None), "country": ("nl", 3.0), "vip": (True, False)}
    assert type(event.features["vip"][0]) is bool
    assert (event.prediction_id, event.entity_id, event.times) == (("a", "b"), ("x", "y"), (5, 1000))


def test_a_feature_that_a_row_lacks_is_null(front: Front) -> None:
    rows = [{"features": {"amount": 1}}, {"features": {"country": "nl"}}]
    front.http.post(PATH, json={"rows": rows}, headers=LOGGED)
    (event,) = front.stand.logged()
    assert event.features == {"amount": (1.0, None), "country": (None, "nl")}


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"rows": []},
        {"rows": [{"features": {}}]},
        {"rows": [{"amount": 1}]},
        {"rows": [{"features": {"amount": 1}}], "columns": {"amount": [1]}},
        {"rows": [{"features": {"amount": [1]}}]},
        {"rows": [{"features": {"amount": 10**400}}]},
        {"rows": [{"features": {"amount": "secret" * 1000}}]},
        {"rows": [{"features": {"amount": 1}, "prediction_id": ""}]},
        {"rows": [{"features": {"amount": 1}, "prediction_id": 7}]},
        {"rows": [{"features": {"amount": 1}, "time": "yesterday"}]},
        {"rows": [{"features": {"amount": 1}, "time": "2026-01-01T00:00:00"}]},
        {"rows": [{"features": {"amount": 1}, "time": True}]},
        {"rows": [{"features": {"amount": 1}, "time": -1}]},
        {"rows": [{"features": {"amount": 1}, "entity_id": "x"}, {"features": {"amount": 1}}]},
        {"rows": [{"features": {"amount": 1}, "prediction_id": "a"}] * 2},
        {"columns": {"amount": []}},
        {"columns": {"amount": [1, 2], "country": ["nl"]}},
        {"columns": {"amount": [1]}, "prediction_id": ["a", "b"]},
        {"columns": {"amount": [1]}, "score": [1]},
        {"columns": {f"c{number}": [0] * 1000 for number in range(501)}},
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_and_nothing_is_logged(front: Front, body: object) -> None:
    answer = front.http.post(PATH, json=body, headers=LOGGED)
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert "secret" not in answer.text
    assert front.stand.logged() == []


def test_numbers_that_json_cannot_hold_are_refused(front: Front) -> None:
    for number in ("NaN", "1e999"):
        content = f'{{"columns": {{"amount": [{number}]}}}}'
        answer = front.http.post(PATH, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}


def test_unknown_models_are_404_and_models_without_a_champion_503(front: Front) -> None:
    body = {"columns": {"amount": [1]}}
    assert front.http.post("/v1/models/other/predict", json=body).status_code == 404
    front.stand.say(e.LoopApplied.named("loop", NOON, "other", loop={}, digest=""))
    front.stand.server.step()
    answer = front.http.post("/v1/models/other/predict", json=body)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.json()["errors"][0]["rule"] == "no_champion"


def test_before_it_has_read_what_is_applied_it_asks_to_be_asked_again() -> None:
    front = Front()
    answer = front.http.post(PATH, json={"columns": {"amount": [1]}})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["errors"][0]["rule"] == "starting"
    front.stand.server.step()
    assert front.http.post(PATH, json={"columns": {"amount": [1]}}).status_code == 404


def test_an_unknown_wish_is_refused(front: Front) -> None:
    answer = front.http.post(PATH, json={"columns": {"amount": [1]}}, headers={"Everloop-Wait": "forever"})
    assert answer.status_code == 400


def test_without_the_wish_rows_are_logged_behind_the_answer(front: Front) -> None:
    assert front.http.post(PATH, json={"columns": {"amount": [1]}}).status_code == 200
    assert front.stand.logged() == []
    assert front.stand.server.metrics.value("everloop_backlog_rows") == 1
    assert front.outbox.send()
    assert len(front.stand.logged()) == 1
    assert front.stand.server.metrics.value("everloop_backlog_rows") == 0


def test_a_full_outbox_drops_with_a_count_and_still_answers() -> None:
    front = Front(most_bytes=1_000)
    front.stand.hear(a_plan(1))
    for _ in range(5):
        assert front.http.post(PATH, json={"columns": {"amount": [1]}}).status_code == 200
    assert 0 < front.dropped("backlog") < 5
    assert front.outbox.send()
    assert len(front.stand.logged()) + front.dropped("backlog") == 5


def test_without_a_broker_those_who_wait_are_told_and_the_others_answered(front: Front) -> None:
    front.stand.server.log.hook = no_broker  # type: ignore[attr-defined]  # the log in memory has it
    body = {"columns": {"amount": [1]}}
    answer = front.http.post(PATH, json=body, headers=LOGGED)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert front.http.post(PATH, json=body).status_code == 200
    assert front.outbox.send()
    assert front.dropped("broker") == 1


def test_health_and_metrics_are_on_the_same_port(front: Front) -> None:
    front.http.post(PATH, json={"columns": {"amount": [1]}})
    assert front.http.get("/healthz").status_code == 200
    assert front.http.get("/readyz").status_code == 200
    assert "everloop_plan_epoch" in front.http.get("/metrics").text
    front.stand.shelf.loading = {"9"}
    front.stand.hear(e.TrafficPlanned.model_validate({**a_plan(2, champion="9").model_dump()}))
    assert front.http.get("/readyz").status_code == 200  # the old champion serves meanwhile


def test_it_says_which_models_it_waits_for() -> None:
    front = Front()
    front.stand.shelf.loading = {"1"}
    front.stand.hear(a_plan(1))
    answer = front.http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "the models of fraud for epoch 1")


def test_the_rest_is_sent_when_the_outbox_closes(front: Front) -> None:
    front.outbox.start()
    front.http.post(PATH, json={"columns": {"amount": [1]}})
    front.outbox.close()
    assert len(front.stand.logged()) == 1


def test_limits_are_those_of_the_readme() -> None:
    assert (bodies.MOST_ROWS, bodies.MOST_CELLS) == (10_000, 500_000)


def no_broker(effect: Effect, moment: Moment, detail: str) -> None:
    """Nothing can be written."""
    if effect == "publish":
        raise FatalError("gone")
