"""`everloop dlq`: what is listed, what is shown, and what goes out again."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import orjson
import pytest
from typer.testing import Result

from everloop import topics
from everloop.codec import encode
from everloop.events import DeadLettered, LoopApplied, PredictionsLogged
from everloop.http import serve_in_thread, service_app
from everloop.metrics import Metrics
from everloop.rows import rows_of, write_rows
from everloop.runtime.data import DataService
from everloop.runtime.log import Message, Place
from everloop_ingest.adapters.door import Door, add_routes
from everloop_ingest.adapters.publisher import Limits, Publisher
from everloop_ingest.adapters.routes import RouteFold
from everloop_ingest.adapters.writers import LogWriter
from tests.builders import NOON, a_loop
from tests.unit.cli.turns import Stack, a_stack, refusal
from tests.unit.ingest.builders import NOON_MS, FakeWall, said

SECRET = "j.doe"
PLACE = Place(topics.PREDICTIONS.name, 2)
COLUMNS: dict[str, object] = {
    "version": "v1", "prediction_id": ["a"], "times": [NOON_MS], "features": {"amount": [1.0]}, "score": [0.5],
}  # fmt: skip


def routed(stack: Stack, *records: Message) -> Stack:
    """The records, and what the first room of ingest says of them."""
    stack.broker.client().publish(records)
    service = DataService(RouteFold(FakeWall(), Metrics()), stack.broker.client(), replica="0")
    while service.step():
        pass
    return stack


def a_record(value: bytes, **headers: str) -> Message:
    return Message(PLACE, b"key", value, tuple((name, text.encode()) for name, text in headers.items()))


TORN = a_record(b'{"who": "%s"' % SECRET.encode(), ce_type=PredictionsLogged.TYPE, ce_id="x", ce_subject="fraud")


def listed(stack: Stack, *words: str) -> list[dict[str, object]]:
    result = stack.run("dlq", "list", "--json", *words)
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = orjson.loads(result.stdout)
    return found


def test_a_letter_is_listed_once_with_reason_and_place() -> None:
    stack = routed(a_stack(), TORN)
    (letter,) = listed(stack)
    assert (letter["reason"], letter["stage"], letter["topic"]) == ("malformed", "ingest.route", PLACE.topic)
    assert (letter["partition"], letter["offset"], letter["times"]) == (2, 0, 1)
    record = stack.broker.records[Place(topics.DLQ.name, 2)][0]
    stack.broker.append(Message(record.place, record.key, record.value, record.headers))
    assert [one["times"] for one in listed(stack)] == [2]
    table = stack.run("dlq", "list").stdout.splitlines()
    assert table[0].split() == ["WHEN", "ID", "REASON", "STAGE", "FROM", "MODEL", "TIMES", "BYTES", "WHERE"]
    assert "predictions/2@0" in table[1]


def test_what_is_listed_can_be_chosen() -> None:
    stack = routed(a_stack(), TORN, a_record(b"{}", ce_type="nobody"), a_record(b"[1]", ce_type="nobody"))
    assert [one["reason"] for one in listed(stack)] == ["malformed", "unknown_type", "shape"]
    assert [one["reason"] for one in listed(stack, "--limit", "1")] == ["shape"]
    assert [one["reason"] for one in listed(stack, "--reason", "malformed")] == ["malformed"]
    assert len(listed(stack, "--model", "unknown")) == 3
    assert listed(stack, "--model", "fraud") == []


def test_bytes_are_shown_with_raw_alone() -> None:
    stack = routed(a_stack(), TORN)
    name = str(listed(stack)[0]["id"])
    shown = stack.run("dlq", "show", name[:8])
    assert "reason: malformed" in shown.stdout
    assert "ce_subject: fraud" in shown.stdout
    for words in (("list",), ("list", "--json"), ("show", name), ("show", name, "--json"), ("replay", name)):
        assert SECRET not in stack.run("dlq", *words).output
    assert stack.run("dlq", "show", name, "--raw").stdout_bytes == TORN.value


def test_headers_are_shown_on_one_line_without_escapes() -> None:
    stack = routed(a_stack(), a_record(b"{", ce_type=PredictionsLogged.TYPE, ce_subject="\x1b[31mevil\nid: 7"))
    shown = stack.run("dlq", "show", str(listed(stack)[0]["id"])).stdout
    assert "\x1b" not in shown
    assert [line for line in shown.splitlines() if line.startswith("id: ")] == [f"id: {listed(stack)[0]['id']}"]


def test_a_letter_is_named_by_how_its_id_begins() -> None:
    stack = routed(a_stack(), *[a_record(b"%d" % number) for number in range(40)])
    assert "no dead letter 'zz'" in refusal(stack.run("dlq", "show", "zz"), 2)
    assert "dead letters begin with" in refusal(stack.run("dlq", "show", ambiguous(stack)), 2)
    assert "say which" in refusal(stack.run("dlq", "replay"), 2)


def ambiguous(stack: Stack) -> str:
    """A digit with which several ids begin."""
    first = [str(one["id"])[0] for one in listed(stack)]
    return max(first, key=first.count)


def test_a_replay_writes_nothing_until_it_is_told_to() -> None:
    stack = routed(a_stack(), TORN)
    result = stack.run("dlq", "replay", "--reason", "malformed")
    assert result.exit_code == 0
    assert f"would go to {PLACE.topic}/2, {len(TORN.value or b'')} bytes" in result.stdout
    assert "--yes" in result.stderr
    assert stack.on(topics.PREDICTIONS) == [0, 0, 1, 0]


def test_a_record_goes_back_where_it_stood_as_it_was() -> None:
    """What an older release refused, and is a record to the one that runs now, is read with its own id."""
    event = PredictionsLogged.named("p", NOON, "fraud", **COLUMNS)
    value, headers = encode(event, source="shop", recorded=NOON)
    letter = DeadLettered.named(
        "old", NOON, "unknown", topic=PLACE.topic, partition=2, offset=7, reason="shape", stage="ingest.route",
        error="e", key=base64.b64encode(b"key").decode(), value=base64.b64encode(value).decode(), size=len(value),
        headers={name: base64.b64encode(raw).decode() for name, raw in headers},
    )  # fmt: skip
    stack = a_stack()
    stack.say(topics.DLQ, letter)
    result = stack.run("dlq", "replay", str(letter.id), "--yes")
    assert (result.exit_code, result.stdout.split("  ")[1].strip()) == (0, f"is {PLACE.topic}/2@0")
    (record,) = stack.broker.records[PLACE]
    assert (record.key, record.value, dict(record.headers)) == (b"key", value, dict(headers))
    assert said(stack.broker, topics.PREDICTIONS, PredictionsLogged) == [event]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"topic": topics.DRIFT.name}, "written by its services alone"),
        ({"value": None}, "had no value"),
        ({"size": None}, "before headers were kept"),
        ({"size": 9}, "of 9 bytes only the first 2 are kept"),
    ],
)
def test_what_cannot_be_replayed_says_why(changed: dict[str, object], why: str) -> None:
    stack = a_stack()
    given: dict[str, object] = {"topic": PLACE.topic, "value": "e30=", "size": 2, **changed}
    letter = DeadLettered.named(
        "x", NOON, "unknown", partition=0, offset=0, reason="shape", stage="ingest.route", error="e", **given
    )
    stack.say(topics.DLQ, letter)
    result = stack.run("dlq", "replay", "--reason", "shape", "--yes")
    assert result.exit_code == 1
    assert why in result.stdout
    assert "1 of 1 dead letters were not taken" in result.stderr
    assert stack.on(topics.PREDICTIONS) == [0] * topics.PARTITIONS


def test_other_events_are_no_letters() -> None:
    stack = a_stack()
    applied = LoopApplied.named("x", NOON, "fraud", loop=a_loop().to_payload(), digest="0" * 64)
    stack.write(topics.DLQ, applied, "fraud")
    assert listed(stack) == []


# ----------------------------------------------------------------------------------------------- through the front door


@dataclass
class Served:
    """A front door that listens, and the models that are applied."""

    stack: Stack
    url: str
    models: set[str]

    def post(self, path: str, content: bytes, kind: str, **headers: str) -> int:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        answer = httpx.post(f"{self.url}{path}", content=content, headers={"content-type": kind, **named})
        return answer.status_code

    def replay(self, reason: str = "unknown_model") -> Result:
        return self.stack.run("dlq", "replay", "--reason", reason, "--yes", "--ingest", self.url)


@contextmanager
def served() -> Iterator[Served]:
    stack, metrics, models = a_stack(), Metrics(), set[str]()
    app = service_app("ingest", metrics=metrics, ready=lambda: None)
    publisher = Publisher(LogWriter(stack.broker.client()), metrics, Limits(gather_s=0))
    add_routes(app, Door(publisher, lambda: models, FakeWall(), metrics))
    server = serve_in_thread(app, 0)
    try:
        yield Served(stack, f"http://127.0.0.1:{server.port}", models)
    finally:
        server.stop()


def test_requests_go_through_the_door_again_and_a_second_replay_is_known() -> None:
    attributes = {"specversion": "1.0", "type": PredictionsLogged.TYPE, "subject": "fraud", "source": "/shop"}
    event = {**attributes, "id": "no uuid", "data": {**COLUMNS, "prediction_id": ["b"]}}
    binary = {f"ce_{name}": text for name, text in {**attributes, "id": "c", "source": "%E2%82%AC shop"}.items()}
    with served() as door:
        assert door.post("/v1/predictions", orjson.dumps({"model": "fraud", **COLUMNS}), "application/json") == 404
        assert door.post("/v1/events", orjson.dumps(event), "application/cloudevents+json") == 404
        data = orjson.dumps({**COLUMNS, "prediction_id": ["c"]})
        assert door.post("/v1/events", data, "application/json", **binary) == 404
        assert "refused again (404)" in door.replay().stdout
        door.models.add("fraud")
        first, again = door.replay(), door.replay()
        assert (first.exit_code, again.exit_code) == (0, 0), first.output
        assert first.stdout == again.stdout
        assert first.stdout.count("accepted 1, refused 0") == 3
        written = said(door.stack.broker, topics.PREDICTIONS, PredictionsLogged)
    assert sorted(event.prediction_id[0] for event in written) == ["a", "b", "c"]


def test_an_arrow_body_is_sent_with_its_model() -> None:
    rows = rows_of(PredictionsLogged.named("p", NOON, "fraud", **COLUMNS))
    value, _ = write_rows(rows, source="test", now=NOON)
    with served() as door:
        assert door.post("/v1/predictions?model=fraud", value, "application/vnd.apache.arrow.stream") == 404
        door.models.add("fraud")
        assert "accepted 1, refused 0" in door.replay().stdout


def test_a_door_that_does_not_answer() -> None:
    with served() as door:
        door.post("/v1/labels", b"{", "application/json")
    result = door.stack.run("dlq", "replay", "--reason", "malformed", "--yes", "--ingest", "http://127.0.0.1:9")
    assert "no answer" in refusal(result, 3)
