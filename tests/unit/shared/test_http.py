"""The strict side of HTTP: what is refused, how, and that no value is echoed."""

from __future__ import annotations

import http.client

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter

from everloop.errors import FatalError
from everloop.http import listen, read_json, refuse, serve_in_thread, service_app
from everloop.metrics import Metrics

JSON = {"content-type": "application/json"}
LARGEST = 10_000


class Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    amount: FiniteFloat
    note: str = ""


SHAPE = TypeAdapter(Body)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def app(metrics: Metrics) -> FastAPI:
    built = service_app("test", metrics=metrics, ready=lambda: "no broker yet", largest=LARGEST)

    @built.post("/v1/labels")
    async def echo(request: Request) -> dict[str, float]:
        return {"amount": (await read_json(request, SHAPE)).amount}

    @built.post("/busy")
    async def busy() -> None:
        refuse(429, "body", "backlog", "later", Retry_After="1")

    return built


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=True)


def test_health_readiness_and_metrics(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, {"status": "no broker yet"})
    assert b'everloop_http_requests_total{route="/readyz",status="5xx"} 1.0' in client.get("/metrics").content


def test_a_good_body(client: TestClient) -> None:
    assert client.post("/v1/labels", content=b'{"amount": 1.5}', headers=JSON).json() == {"amount": 1.5}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"amount": NaN}', 400),
        (b'{"amount": Infinity}', 400),
        (b'{"amount": 1e400}', 422),
        (b'{"amount": "nan"}', 422),
        (b'{"amount": true}', 422),
        (b'{"amount": 1, "amount": 2}', 400),
        (b'{"amount": 1, "Amount": 2}', 422),
        (b'{"amount": 1, "note": "\\ud800"}', 400),
        (b'{"amount": 1, "\\ud800\\n": 1}', 400),
        (b'{"amount": 1, "\\u001b\\n": 1}', 422),
        (b"[" * 9_000, 400),
        (b'{"amount": ' + b"7" * 5_000 + b"}", 400),
        (b'\xef\xbb\xbf{"amount": 1}', 400),
        ('{"amount": 1}'.encode("utf-16"), 400),
        (b'{"amount": 1}{}', 400),
        (b"", 400),
        (b"null", 422),
    ],
)
def test_bad_bodies(client: TestClient, body: bytes, status: int) -> None:
    answer = client.post("/v1/labels", content=body, headers=JSON)
    assert answer.status_code == status
    assert set(answer.json()["errors"][0]) == {"where", "rule", "fix"}


def test_no_value_is_echoed(client: TestClient) -> None:
    answer = client.post("/v1/labels", content=b'{"amount": "hunter2"}', headers=JSON)
    assert "hunter2" not in answer.text
    assert answer.json()["errors"][0]["where"] == "amount"


@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=utf-16", ""])
def test_other_media_types(client: TestClient, kind: str) -> None:
    assert client.post("/v1/labels", content=b'{"amount": 1}', headers={"content-type": kind}).status_code == 415


def test_compressed_bodies(client: TestClient) -> None:
    assert client.post("/v1/labels", content=b"x", headers={**JSON, "content-encoding": "gzip"}).status_code == 415


def test_a_large_body_by_header_and_by_stream(client: TestClient) -> None:
    assert client.post("/v1/labels", content=b"x" * (LARGEST + 1), headers=JSON).status_code == 413
    chunks = (b"x" * 1_000 for _ in range(11))
    assert client.post("/v1/labels", content=chunks, headers=JSON).status_code == 413


def test_other_errors_have_the_same_form(client: TestClient) -> None:
    assert client.get("/nowhere").json()["errors"][0]["rule"] == "Not Found"
    assert client.get("/v1/labels").status_code == 405
    busy = client.post("/busy")
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")


def test_unknown_paths_make_one_series(client: TestClient, metrics: Metrics) -> None:
    for number in range(50):
        client.get(f"/{number}")
    assert metrics.value("everloop_http_requests_total", route="other", status="4xx") == 50


def test_it_answers_from_a_thread() -> None:
    server = serve_in_thread(service_app("t", metrics=Metrics(), ready=lambda: None), 0)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/readyz")
    assert connection.getresponse().status == 200
    connection.close()
    server.stop()


def test_a_taken_port_names_the_fix() -> None:
    with listen(0) as taken, pytest.raises(FatalError, match="EVERLOOP_HTTP_PORT"):
        listen(taken.getsockname()[1])
