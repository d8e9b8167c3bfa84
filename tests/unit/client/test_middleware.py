"""One line for FastAPI: what passes is left as it is, what is understood is logged, and no request fails for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.testclient import TestClient

from everloop.client import Client, EverloopMiddleware, Prediction, Stats
from everloop.client.reading import read_common
from tests.unit.client.fakes import FakeDoor, a_client

FEATURES = {"amount": 12.5, "country": "CH"}


def an_app(client: Client, **more: object) -> FastAPI:
    app = FastAPI()
    app.add_middleware(EverloopMiddleware, client=client, **more)  # type: ignore[arg-type]  # options

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        body = await request.json()
        if "rows" in body:
            return JSONResponse({"rows": [{"score": 0.1 * place} for place, _ in enumerate(body["rows"])]})
        return JSONResponse({"score": 0.25})

    @app.post("/named")
    async def named(request: Request) -> Response:
        await request.body()
        return JSONResponse({"score": 0.5}, headers={"X-Prediction-Id": "of-the-app"})

    @app.post("/fails")
    async def fails(request: Request) -> Response:
        await request.body()
        return JSONResponse({"score": 0.5}, 400)

    @app.post("/unread")
    def unread() -> Response:
        return JSONResponse({"score": 0.5})

    @app.post("/stream")
    async def stream(request: Request) -> Response:
        await request.body()
        return StreamingResponse(iter([b"data: 1\n\n", b"data: 2\n\n"]), media_type="text/event-stream")

    @app.post("/raises")
    def raises() -> Response:
        raise ZeroDivisionError

    return app


class Stand:
    """An app with the middleware, and what arrives."""

    def __init__(self) -> None:
        self.door = FakeDoor()
        self.client = a_client(self.door)

    def app(self, **more: object) -> TestClient:
        return TestClient(an_app(self.client, **more), raise_server_exceptions=False)

    def rows(self) -> list[dict[str, Any]]:
        """Everything that was logged."""
        self.client.close()
        return [orjson.loads(batch.body) for batch in self.door.got]


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.client.close()


def test_one_row_is_logged_with_the_id_that_the_answer_shows(stand: Stand) -> None:
    answer = stand.app().post("/predict", json={"features": FEATURES, "entity_id": "card-7"})
    assert answer.json() == {"score": 0.25}
    (logged,) = stand.rows()
    assert logged["prediction_id"] == [answer.headers["x-prediction-id"]]
    assert (logged["features"], logged["score"]) == ({"amount": [12.5], "country": ["CH"]}, [0.25])
    assert (logged["entity_id"], logged["version"]) == (["card-7"], "1")
    assert min(logged["latency_ms"]) > 0


def test_many_rows_are_numbered_below_the_id_of_the_request(stand: Stand) -> None:
    body = {"rows": [{"features": FEATURES}] * 2}
    answer = stand.app().post("/predict", json=body, headers={"x-prediction-id": "mine"})
    assert answer.headers["x-prediction-id"] == "mine"
    assert stand.rows()[0]["prediction_id"] == ["mine.0", "mine.1"]


def test_an_id_of_the_app_or_of_a_row_counts_first(stand: Stand) -> None:
    app = stand.app()
    assert app.post("/named", json={"features": FEATURES}).headers["x-prediction-id"] == "of-the-app"
    app.post("/predict", json={"features": FEATURES, "prediction_id": "of-the-row"})
    logged = [one for row in stand.rows() for one in row["prediction_id"]]
    assert logged == ["of-the-app", "of-the-row"]


@pytest.mark.parametrize(
    ("path", "body"),
    [("/fails", {"features": FEATURES}), ("/stream", {"features": FEATURES}), ("/raises", {"features": FEATURES}),
     ("/unread", {"features": FEATURES}),
     ("/predict", {"something": 1}), ("/predict", ["features"]), ("/nowhere", {"features": FEATURES})],
)  # fmt: skip
def test_what_is_no_prediction_is_not_logged(stand: Stand, path: str, body: object) -> None:
    stand.app().post(path, json=body)
    assert stand.rows() == []
    assert stand.client.stats() == Stats()


def test_a_stream_passes_in_its_parts(stand: Stand) -> None:
    with stand.app().stream("POST", "/stream", json={"features": FEATURES}) as answer:
        assert list(answer.iter_raw()) == [b"data: 1\n\n", b"data: 2\n\n"]


def test_bodies_are_bounded(stand: Stand) -> None:
    answer = stand.app(most_bytes=100).post("/predict", json={"features": {"text": "x" * 200}})
    assert answer.json() == {"score": 0.25}
    assert stand.rows() == []


def test_only_the_paths_that_were_named_are_looked_at_and_the_header_can_be_left_out(stand: Stand) -> None:
    answer = stand.app(paths={"/named"}, id_header=None).post("/predict", json={"features": FEATURES})
    assert "x-prediction-id" not in answer.headers
    assert stand.rows() == []


def test_a_read_of_ones_own_says_what_to_log(stand: Stand) -> None:
    def read(request: object, response: object) -> Prediction | None:
        assert isinstance(request, dict)
        assert isinstance(response, dict)
        return Prediction(request["x"], response["score"], "own", version="7", latency_ms=3)

    stand.app(read=read).post("/predict", json={"x": {"a": 1}})
    (logged,) = stand.rows()
    assert (logged["version"], logged["prediction_id"], logged["latency_ms"]) == ("7", ["own"], [3])


def test_a_read_that_fails_fails_no_request(stand: Stand) -> None:
    def read(_: object, __: object) -> Prediction | None:
        raise ZeroDivisionError

    assert stand.app(read=read).post("/predict", json={"features": FEATURES}).status_code == 200
    assert stand.rows() == []
    assert stand.client.stats().refused == 1


def test_a_server_that_starts_sends_what_was_left(tmp_path: Path) -> None:
    door = FakeDoor(shut=True)
    with a_client(door, spill=tmp_path) as client:
        client.log_predictions(FEATURES, 0.5)
    door.shut = False
    with a_client(door, spill=tmp_path) as client, TestClient(an_app(client)):
        pass
    assert client.stats().recovered == 1


@pytest.mark.parametrize(
    ("request_", "response", "wanted"),
    [
        ({"features": {"a": 1}}, {"score": 1}, Prediction([{"a": 1}], [1])),
        (
            {"instances": [{"a": 1}, {"a": 2}]},
            {"predictions": [0.1, 0.2]},
            Prediction([{"a": 1}, {"a": 2}], [0.1, 0.2]),
        ),
        ({"dataframe_records": [{"a": 1}]}, {"predictions": [1]}, Prediction([{"a": 1}], [1])),
        (
            {"rows": [{"prediction_id": "p", "time": 5, "features": {"a": 1}}]},
            {"version": "3", "arm": "candidate", "rows": [{"score": 0.5}]},
            Prediction([{"a": 1}], [0.5], ["p"], time=[5], version="3", arm="candidate"),
        ),
        ({"rows": [{"a": 1}, {"a": 1}]}, {"rows": [{"score": 1, "version": "1"}, {"score": 1, "version": "2"}]}, None),
        ({"instances": [[1, 2]]}, {"predictions": [0.1]}, None),
        ({"instances": [{"a": 1}]}, {"predictions": [[0.1, 0.9]]}, None),
        ({"instances": [{"a": 1}]}, {"predictions": [0.1, 0.9]}, None),
        ({"instances": []}, {"predictions": []}, None),
        ({"features": {"a": 1}}, {"label": "cat"}, None),
        ("text", {"score": 1}, None),
    ],
)
def test_the_forms_that_are_understood(request_: object, response: object, wanted: Prediction | None) -> None:
    assert read_common(request_, response) == wanted
