"""The examples do what they say: against the real front doors in memory, and against a real Kafka."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient

from everloop import topics
from everloop.codec import decode
from everloop.events import AlertRaised, PredictionsLogged
from everloop.http import service_app
from everloop.local import topics_admin
from everloop.metrics import Metrics
from everloop.rows import listed, read_rows
from everloop.runtime.kafka_log import KafkaLog
from everloop.runtime.log import Message, Place, places_of
from everloop.runtime.memory import MemoryLog
from everloop_ingest.adapters.door import Door, add_routes
from everloop_ingest.adapters.publisher import Limits, Publisher
from everloop_ingest.adapters.writers import LogWriter
from everloop_serving.adapters.door import build
from everloop_serving.adapters.outbox import Outbox
from examples import send_arrow, send_http, send_kafka, subscribe_alerts
from tests.docs.pages import ROOT
from tests.unit.ingest.builders import FakeWall
from tests.unit.serving.builders import Stand, a_plan

GOLDEN = orjson.loads((ROOT / "tests" / "contracts" / "golden" / f"{AlertRaised.TYPE}.json").read_bytes())
HEADERS = [(name, text.encode()) for name, text in GOLDEN["headers"].items()]
VALUE = orjson.dumps(GOLDEN["value"])


@dataclass
class Posts:
    """Gives each request to the app that its address names, in memory."""

    apps: Mapping[str, TestClient]

    def __call__(self, url: str, body: Mapping[str, object]) -> dict[str, Any]:
        name, _, path = url.removeprefix("http://").partition("/")
        answer = self.apps[name].post(
            f"/{path}", content=orjson.dumps(body), headers={"content-type": "application/json"}
        )
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def post() -> Iterator[Posts]:
    stand = Stand()
    stand.hear(a_plan(1))
    server = stand.server
    serving = build(server, Outbox(server.log, server.metrics), stand.now, ready=server.awaits, alive=lambda: None)
    metrics = Metrics()
    log = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()}).client()
    ingest = service_app("ingest", metrics=metrics, ready=lambda: None)
    add_routes(
        ingest, Door(Publisher(LogWriter(log), metrics, Limits(gather_s=0)), lambda: {"fraud"}, FakeWall(), metrics)
    )
    with TestClient(serving) as one, TestClient(ingest) as other:
        yield Posts({"serving": one, "ingest": other})


def test_a_payment_is_scored_and_labelled_over_http(post: Posts) -> None:
    answer = send_http.score(post, "http://serving", "fraud", send_http.PAYMENT)
    assert (answer["prediction_id"], answer["arm"], answer["status"]) == ("tx-1001", "champion", "ok")
    assert send_http.label(post, "http://ingest", "fraud", "tx-1001", 0.0) == 1


def test_an_own_server_reports_its_prediction_over_http(post: Posts) -> None:
    row = {**send_http.PAYMENT, "time": "2026-01-05T12:00:00Z", "score": 0.11}
    assert send_http.report(post, "http://ingest", "fraud", "1", row) == 1


def test_what_is_sent_over_kafka_is_a_prediction_event() -> None:
    event = decode(send_kafka.rows(), send_kafka.attributes("fraud"))
    assert isinstance(event, PredictionsLogged)
    assert (event.model, event.version, event.source) == ("fraud", "1", "producer")
    assert topics.PREDICTIONS.name == send_kafka.TOPIC


def test_what_is_sent_in_arrow_says_the_same() -> None:
    read = read_rows(send_arrow.rows(), send_arrow.attributes("fraud"))
    told = read_rows(send_kafka.rows(), send_kafka.attributes("fraud"))
    assert (read.model, read.version, read.prediction_id, read.entity_id) == (
        told.model, told.version, told.prediction_id, told.entity_id,
    )  # fmt: skip
    assert {name: listed(column) for name, column in read.features.items()} == told.features
    assert read.score is not None
    assert listed(read.score) == told.score
    assert topics.PREDICTIONS.name == send_arrow.TOPIC


@dataclass(frozen=True)
class Received:
    """A record as a consumer gives it."""

    headers: list[tuple[str, bytes]]
    value: bytes


def test_an_alert_is_one_sentence() -> None:
    said = subscribe_alerts.sentence(Received(HEADERS, VALUE))
    assert said.startswith("2026-01-06T14:00:00Z warning drift_opened: fraud version 1: drift opened")
    assert topics.ALERTS.name == subscribe_alerts.TOPIC


def run(script: str, *arguments: str) -> str:
    """Run an example as a person does; what it prints."""
    command = [sys.executable, str(ROOT / "examples" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.kafka
def test_the_examples_run_against_a_real_kafka(kafka: str) -> None:
    topics_admin.create(kafka)
    for script in ("send_kafka.py", "send_arrow.py"):
        assert run(script, "--broker", kafka).startswith("sent, offset")
    log = KafkaLog(kafka, client_id="test-examples")
    try:
        log.publish([Message(Place(topics.ALERTS.name, 0), b"fraud", VALUE, tuple(HEADERS))])
        alerts = sum(log.ends(places_of(log, [topics.ALERTS.name])).values())  # of other tests on this broker as well
    finally:
        log.close()
    assert "drift_opened" in run("subscribe_alerts.py", "--broker", kafka, "--most", str(alerts))
