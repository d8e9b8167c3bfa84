"""Over HTTP: to the real front door, and to a server that answers whatever a test wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from everloop import topics
from everloop.client import Client, Stats
from everloop.client.batches import Batch
from everloop.client.over_http import HttpTransport
from everloop.client.sending import Accepted, Later, Refused
from everloop.events import FeedbackLogged, LabelsLogged, PredictionsLogged
from everloop.http import serve_in_thread, service_app
from everloop.loop import Feedback
from everloop.metrics import Metrics
from everloop.runtime.memory import MemoryLog
from everloop_ingest.adapters.door import Door, add_routes
from everloop_ingest.adapters.publisher import Limits, Publisher
from everloop_ingest.adapters.writers import LogWriter
from examples import sdk_fastapi, sdk_log
from tests.unit.client.fakes import FAST, ROW
from tests.unit.ingest.builders import NOON_MS, FakeWall, said


@dataclass
class House:
    """The real front door on a log in memory, behind a real socket."""

    url: str
    broker: MemoryLog


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    broker = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
    metrics = Metrics()
    app = service_app("ingest", metrics=metrics, ready=lambda: None)
    publisher = Publisher(LogWriter(broker.client()), metrics, Limits(gather_s=0))
    declared = {"click": Feedback(), "revenue": Feedback(least=0)}
    add_routes(app, Door(publisher, lambda: {"fraud"}, FakeWall(), metrics, feedback=lambda _: declared))
    serving = serve_in_thread(app, 0)
    yield House(f"http://127.0.0.1:{serving.port}", broker)
    serving.stop()


def test_the_front_door_takes_what_is_logged_and_a_bad_row_costs_no_other(house: House) -> None:
    with Client(house.url, model="fraud", version="1", limits=FAST, tokens={}) as client:
        client.log_predictions([ROW, {"amount": 1.0}], [0.1, 0.2], prediction_id=["a", "b"], entity_id="card-7")
        client.log_predictions([{"amount": [1, 2]}, ROW], 0.5, prediction_id=["bad", "c"])
        client.log_labels(["a", "b"], [0, 1], labelled_at=NOON_MS)
        client.log_predictions(ROW, 0.5, model="nobody")
    assert client.stats() == Stats(sent=5, refused=2)
    told = [one for event in said(house.broker, topics.PREDICTIONS, PredictionsLogged) for one in event.prediction_id]
    assert sorted(told) == ["a", "b", "c"]
    (labels,) = said(house.broker, topics.LABELS, LabelsLogged)
    assert (labels.label, labels.labelled_at) == ((0.0, 1.0), (NOON_MS, NOON_MS))


def test_feedback_arrives_and_what_is_not_declared_costs_no_other(house: House) -> None:
    with Client(house.url, model="fraud", limits=FAST, tokens={}) as client:
        client.log_feedback(["a", "b", "c"], ["revenue", "tips", "revenue"], [12.9, 1, -1], said_at=NOON_MS)
        client.log_feedback("a", "click", 1)
    assert client.stats() == Stats(sent=2, refused=2)
    told = [row for one in said(house.broker, topics.LABELS, FeedbackLogged)
            for row in zip(one.prediction_id, one.name, one.value, strict=True)]  # fmt: skip
    assert sorted(told) == [("a", "click", 1.0), ("a", "revenue", 12.9)]


def test_the_example_logs_predictions_and_their_labels(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk_log, "SPILL", tmp_path)
    with sdk_log.connect(house.url) as client:
        sdk_log.log(client)
    assert client.stats() == Stats(sent=4)


def test_the_example_of_a_server_logs_what_it_answers(house: House) -> None:
    with Client(house.url, model="fraud", version="1", limits=FAST, tokens={}) as client:
        server = TestClient(sdk_fastapi.serve(client))
        answer = server.post("/predict", json={"features": {"amount": 80.0, "country": "DE"}, "entity_id": "card-9"})
    assert answer.json() == {"score": 0.34}
    told = said(house.broker, topics.PREDICTIONS, PredictionsLogged)
    (mine,) = [event for event in told if event.prediction_id == (answer.headers["x-prediction-id"],)]
    assert (mine.score, mine.entity_id) == ((0.34,), ("card-9",))


@dataclass
class Script:
    """Answers in turn: status, headers and body; nothing but the end of the connection for 0."""

    answers: list[tuple[int, Mapping[str, str], bytes]]
    asked: list[tuple[str, str, str | None, bytes]] = field(default_factory=list)
    connections: int = 0


@pytest.fixture
def script() -> Script:
    return Script([])


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            script.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            script.asked.append((self.path, self.headers["Idempotency-Key"], self.headers["Authorization"], body))
            status, headers, answer = script.answers.pop(0)
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            if headers.get("X-Then") == "close":
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/base/"
    server.shutdown()
    server.server_close()


def a_transport(url: str) -> HttpTransport:
    tokens = {"ingest": SecretStr("in"), "labels": SecretStr("la")}
    return HttpTransport(url, tokens, 5.0)  # type: ignore[arg-type]  # roles


PREDICTIONS = Batch("id-1", "predictions", "fraud", 2, 1, orjson.dumps({
    "version": "1", "prediction_id": ["a", "b"], "times": [1, 2], "features": {"x": [1, 2]}, "score": [0.1, 0.2],
}))  # fmt: skip
LABELS = Batch(
    "id-2", "labels", "fraud", 1, 1, orjson.dumps({"prediction_id": ["a"], "label": [1], "labelled_at": [1]})
)
OK: tuple[int, Mapping[str, str], bytes] = (202, {}, b'{"accepted":2,"refused":0,"items":[]}')


def send(url: str, batch: Batch = PREDICTIONS) -> object:
    transport = a_transport(url)
    try:
        return transport.send(batch)
    finally:
        transport.close()


def test_a_request_has_columns_a_key_and_the_token_of_its_role(script: Script, url: str) -> None:
    script.answers += [OK, OK]
    assert (send(url), send(url, LABELS)) == (Accepted(), Accepted())
    (first, key, token, body), (second, other, label_token, _) = script.asked
    assert (first, key, token) == ("/base/v1/predictions", "id-1", "Bearer in")
    assert (second, other, label_token) == ("/base/v1/labels", "id-2", "Bearer la")
    assert orjson.loads(body) == {"model": "fraud", **orjson.loads(PREDICTIONS.body)}


def test_columns_that_are_refused_come_once_more_as_rows(script: Script, url: str) -> None:
    items = [{"status": 202}, {"status": 422, "errors": [{"rule": "shape"}]}]
    script.answers += [(422, {}, b"{}"), (202, {}, orjson.dumps({"accepted": 1, "refused": 1, "items": items}))]
    assert send(url) == Accepted(1, "the front door says shape")
    assert [key for _, key, _, _ in script.asked] == ["id-1", "id-1/rows"]
    assert [row["prediction_id"] for row in orjson.loads(script.asked[1][3])["rows"]] == ["a", "b"]


@pytest.mark.parametrize("status", [401, 403, 404, 409, 415])
def test_other_refusals_are_for_ever_and_say_the_rule(script: Script, url: str, status: int) -> None:
    script.answers += [(status, {}, b'{"errors":[{"where":"model","rule":"unknown_model","fix":"..."}]}')]
    assert send(url) == Refused(f"the front door answers {status} unknown_model")


def test_one_row_that_is_refused_is_not_sent_again(script: Script, url: str) -> None:
    script.answers += [(422, {}, b"no JSON")]
    assert send(url, LABELS) == Refused("the front door answers 422")


@pytest.mark.parametrize(
    ("status", "headers", "after_s"),
    [(429, {"Retry-After": "7"}, 7.0), (503, {"Retry-After": "5"}, 5.0), (503, {"Retry-After": "soon"}, None),
     (500, {}, None), (502, {}, None), (408, {}, None)],
)  # fmt: skip
def test_not_now_is_tried_again_after_the_time_that_was_asked_for(
    script: Script, url: str, status: int, headers: Mapping[str, str], after_s: float | None
) -> None:
    script.answers += [(status, headers, b"")]
    assert send(url) == Later(f"the front door answers {status}", after_s)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"refused":"x"}', b'{"refused":1,"items":[{"status":422}]}'])
def test_a_202_that_cannot_be_read_is_one_all_the_same(script: Script, url: str, body: bytes) -> None:
    script.answers += [(202, {}, body)]
    assert send(url) == Accepted()


def test_nobody_there_is_tried_again() -> None:
    assert send("http://127.0.0.1:9") == Later("the front door does not answer: ConnectionRefusedError")


def test_a_connection_that_ends_before_the_answer_is_tried_again_later(script: Script, url: str) -> None:
    script.answers += [(0, {}, b"")]
    assert send(url) == Later("the front door does not answer: RemoteDisconnected")


def test_a_connection_stays_open_and_one_that_was_closed_meanwhile_is_made_anew(script: Script, url: str) -> None:
    script.answers += [OK, (202, {"X-Then": "close"}, b"{}"), OK]
    transport = a_transport(url)
    assert [transport.send(PREDICTIONS) for _ in range(3)] == [Accepted()] * 3
    transport.close()
    assert script.connections == 2
    assert len(script.asked) == 3
