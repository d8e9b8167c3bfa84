"""Every route asks for its role; no value that anybody sends comes back in a log, an answer, an error or a `repr`."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
import structlog
from fastapi.testclient import TestClient
from httpx import Response
from starlette.routing import Route

from everloop import topics
from everloop.codec import decode
from everloop.docs.settings import classes
from everloop.errors import InvalidError, UsageError
from everloop.events import DeadLettered, Event, FeedbackLogged, LabelsLogged, PredictionsLogged
from everloop.http import App, serve_in_thread, service_app
from everloop.jobs import finish
from everloop.local.tokens import ensure_tokens
from everloop.logs import configure
from everloop.loop import Feedback
from everloop.metrics import Metrics
from everloop.runtime.data import DataService
from everloop.runtime.log import Message, Place, Record
from everloop.runtime.memory import MemoryLog
from everloop.settings import ServiceSettings, variable
from everloop.tokens import ROLES, ROUTES, Role, Tokens, bearer, read_clear
from everloop.topics import ALL, TOPICS
from everloop_ingest.adapters.door import Door, add_routes
from everloop_ingest.adapters.publisher import Limits, Publisher
from everloop_ingest.adapters.routes import RouteFold
from everloop_ingest.adapters.writers import LogWriter
from everloop_serving.adapters.door import build
from everloop_serving.adapters.outbox import Outbox
from tests.unit.ingest.builders import NOON, NOON_MS, FakeWall, said
from tests.unit.serving.builders import Stand, a_plan

ROOT = Path(__file__).parents[2]
TEXT, NUMBER = "cnry-j.doe", 4_111_222_333.25
"""A value that stands nowhere else, as a text that every grammar of ours takes, and as a number."""
FORMS = (TEXT, "4111222333")
NEAR = ("127.0.0.1", 50_000)
JSON = {"content-type": "application/json"}


def shows(text: str | bytes) -> list[str]:
    """The canaries that a text shows."""
    whole = text.decode(errors="replace") if isinstance(text, bytes) else text
    return [form for form in FORMS if form in whole]


@dataclass
class House:
    """Ingest and serving in memory, as one machine's caller sees them, and all that they log."""

    apps: Mapping[str, App]
    clients: Mapping[str, TestClient]
    metrics: Sequence[Metrics]
    clear: Mapping[Role, str]
    out: io.StringIO
    broker: MemoryLog

    def send(self, service: str, path: str, body: bytes, headers: Mapping[str, str], method: str = "POST") -> Response:
        answer: Response = self.clients[service].request(method, path, content=body, headers=dict(headers))
        return answer

    def shown(self) -> list[str]:
        """The canaries in logs and metrics."""
        return shows(self.out.getvalue()) + [one for each in self.metrics for one in shows(each.render())]


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure("test", "0", out=stream)
    yield stream
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def house(out: io.StringIO, tmp_path: Path) -> Iterator[House]:
    hashes, env = ensure_tokens(tmp_path)
    clear = {role: token.get_secret_value() for role, token in read_clear(env).items()}
    broker = MemoryLog({topic.name: topic.partitions for topic in TOPICS.values()})
    metrics = Metrics()
    metrics.know(["fraud"])
    ingest = service_app("ingest", metrics=metrics, ready=lambda: None, tokens=Tokens(hashes))
    publisher = Publisher(LogWriter(broker.client()), metrics, Limits(gather_s=0))
    declared = {"click": Feedback()}
    add_routes(ingest, Door(publisher, lambda: {"fraud"}, FakeWall(), metrics, feedback=lambda _: declared))
    stand = Stand()
    stand.hear(a_plan(1))
    server = stand.server
    outbox = Outbox(server.log, server.metrics)
    serving = build(server, outbox, stand.now, ready=server.awaits, alive=lambda: None, tokens=Tokens(hashes))
    apps = {"ingest": ingest, "serving": serving}
    with TestClient(ingest, client=NEAR) as one, TestClient(serving, client=NEAR) as other:
        yield House(apps, {"ingest": one, "serving": other}, (metrics, server.metrics), clear, out, broker)


# ------------------------------------------------------------------------------------------------------------- routes


def routes(app: App) -> list[tuple[str, str]]:
    """Method and path of every route; those that are called directly are among them."""
    assert all(isinstance(route, Route) for route in app.routes), "no other kind of route is declared"
    found = [(method, route.path) for route in app.routes if isinstance(route, Route) for method in route.methods or ()]
    assert app.direct.keys() <= set(found)
    return found


def test_every_route_declares_its_role_and_no_role_is_without_a_route(house: House) -> None:
    found = {route for app in house.apps.values() for route in routes(app)}
    assert found == set(ROUTES)


@pytest.mark.parametrize(("route", "access"), [(r, a) for r, a in ROUTES.items() if a != "public"])
def test_a_route_refuses_nobody_and_the_wrong_role(house: House, route: tuple[str, str], access: Role) -> None:
    method, form = route
    path = form.replace("{name}", "fraud")
    (service,) = [name for name, app in house.apps.items() if route in routes(app)]
    kind = kind_of(path)
    assert house.send(service, path, b"{}", kind, method).status_code == 401
    assert house.send(service, path, b"{}", {**kind, "authorization": "Bearer x"}, method).status_code == 401
    statuses = {
        role: house.send(service, path, b"{}", {**kind, "authorization": f"Bearer {token}"}, method).status_code
        for role, token in house.clear.items()
    }
    assert statuses == {role: 422 if role == access else 403 for role in ROLES}


@pytest.mark.parametrize("path", [path for (_, path), access in ROUTES.items() if access == "public"])
def test_health_and_metrics_are_for_this_machine_and_for_admin(house: House, path: str) -> None:
    for service, app in house.apps.items():
        assert house.send(service, path, b"", {}, "GET").status_code == 200
        far = TestClient(app, client=("192.0.2.7", 1))
        assert far.get(path).status_code == 401
        assert far.get(path, headers={"authorization": f"Bearer {house.clear['admin']}"}).status_code == 200


def test_a_route_that_nobody_declared_is_closed(house: House) -> None:
    @house.apps["ingest"].get("/v1/secrets")
    def secrets() -> str:
        return TEXT

    answers = [
        house.send("ingest", "/v1/secrets", b"", {"authorization": f"Bearer {token}"}, "GET")
        for token in house.clear.values()
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert not any(shows(answer.text) for answer in answers)


# -------------------------------------------------------------------------------------------------- canaries over HTTP


PREDICTIONS: Mapping[str, object] = {
    "model": "fraud", "version": "v1", "prediction_id": ["a"], "times": [NOON_MS], "entity_id": ["b"],
    "features": {"amount": [1.0], "shop": ["x"]}, "score": [0.5],
}  # fmt: skip
LABELS: Mapping[str, object] = {"model": "fraud", "prediction_id": ["a"], "label": [1], "labelled_at": [NOON_MS]}
FEEDBACK: Mapping[str, object] = {
    "model": "fraud", "prediction_id": ["a"], "name": ["click"], "value": [1], "said_at": [NOON_MS],
}  # fmt: skip
ROWS: Mapping[str, object] = {
    "rows": [{"prediction_id": "a", "entity_id": "b", "time": NOON_MS, "features": {"amount": 1, "shop": "x"}}]
}
EVENT: Mapping[str, object] = {
    "specversion": "1.0", "id": "e1", "source": "/shop", "type": PredictionsLogged.TYPE, "subject": "fraud",
    "time": NOON.isoformat(), "data": {name: value for name, value in PREDICTIONS.items() if name != "model"},
}  # fmt: skip
BODIES = {
    "/v1/predictions": PREDICTIONS, "/v1/labels": LABELS, "/v1/feedback": FEEDBACK, "/v1/events": EVENT,
    "/v1/models/fraud/predict": ROWS,
}  # fmt: skip
CANARIES: Sequence[object] = (TEXT, NUMBER, [TEXT], [NUMBER], {"a": TEXT}, [[TEXT]], [TEXT, TEXT], f"\x1b[31m{TEXT}\n")


def replaced(body: object, canary: object) -> Iterator[object]:
    """The body with the canary in the place of each value in turn, at every depth."""
    yield canary
    if isinstance(body, Mapping):
        for key, value in body.items():
            yield from ({**body, key: inner} for inner in replaced(value, canary))
    elif isinstance(body, list):
        for place, value in enumerate(body):
            yield from ([*body[:place], inner, *body[place + 1 :]] for inner in replaced(value, canary))


def service_of(path: str) -> str:
    return "serving" if path.startswith("/v1/models") else "ingest"


def role_of(path: str) -> Role:
    roles: Mapping[str, Role] = {
        "/v1/predictions": "ingest", "/v1/labels": "labels", "/v1/feedback": "labels", "/v1/events": "events",
    }  # fmt: skip
    return roles.get(path, "scoring")


def kind_of(path: str) -> Mapping[str, str]:
    return {"content-type": "application/cloudevents+json"} if path == "/v1/events" else JSON


def without_receipt(answer: Response) -> str:
    """The answer without the prediction ids of accepted rows: they are what the sender has asked about."""
    return re.sub(r'"prediction_id": ?"[^"]*"', "", answer.text) if answer.is_success else answer.text


@pytest.mark.parametrize("path", BODIES)
def test_no_value_of_a_body_comes_back(house: House, path: str) -> None:
    bodies = [orjson.dumps(body) for canary in CANARIES for body in replaced(BODIES[path], canary)]
    broken = [body[: len(body) // 2] for body in bodies] + [b'{"a": %s}' % TEXT.encode(), TEXT.encode() * 100_000]
    headers = {**kind_of(path), "authorization": f"Bearer {house.clear[role_of(path)]}"}
    answers = [house.send(service_of(path), path, body, headers) for body in (*bodies, *broken)]
    assert [answer.text for answer in answers if shows(without_receipt(answer))] == []
    assert {answer.status_code for answer in answers} >= {400, 422}
    assert any(answer.is_success for answer in answers), "some canaries are taken, and may not show either"
    assert all(answer.status_code < 500 for answer in answers)
    assert house.shown() == []


HEADERS: Sequence[Mapping[str, str]] = (
    {"idempotency-key": TEXT}, {"idempotency-key": TEXT * 30}, {"everloop-wait": TEXT}, {"content-type": TEXT},
    {"content-encoding": TEXT}, {"authorization": TEXT}, {"authorization": f"Bearer {TEXT}"}, {"cookie": TEXT},
    {"authorization": f"Basic {TEXT}"}, {"traceparent": TEXT}, {"x-forwarded-for": TEXT}, {"user-agent": TEXT},
)  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
def test_no_header_query_or_path_comes_back(house: House, path: str) -> None:
    body, right = orjson.dumps(BODIES[path]), f"Bearer {house.clear[role_of(path)]}"
    paths = [path, f"{path}?{TEXT}={TEXT}", f"/{TEXT}", f"/v1/models/{TEXT}/predict", f"{path}/{TEXT}"]
    answers = [
        house.send(service_of(path), each, body, {**kind_of(path), "authorization": right, **headers}, method)
        for each in paths for headers in ({}, *HEADERS) for method in ("POST", "GET", "OPTIONS")
    ]  # fmt: skip
    assert [answer.text for answer in answers if shows(answer.text)] == []
    assert [text for answer in answers for text in map(str, answer.headers.items()) if shows(text)] == []
    assert house.shown() == []


def test_no_token_is_in_an_answer_or_a_log_right_or_wrong(house: House) -> None:
    tokens = [*house.clear.values(), *(f"{token}x" for token in house.clear.values())]
    answers = [
        house.send(service_of(path), path, b"{", {**kind_of(path), "authorization": f"Bearer {token}"})
        for path in BODIES for token in tokens
    ]  # fmt: skip
    said_ = house.out.getvalue() + "".join(answer.text + str(answer.headers) for answer in answers)
    assert {answer.status_code for answer in answers} == {400, 401, 403, 429}
    assert not any(token in said_ for token in house.clear.values())


# ----------------------------------------------------------------------------------------- what fails in a real server


def test_an_error_inside_a_route_shows_no_text_of_its_own(out: io.StringIO) -> None:
    app = service_app("test", metrics=Metrics(), ready=lambda: None)

    @app.post("/v1/labels")
    def explode() -> None:
        raise ValueError(TEXT)

    server = serve_in_thread(app, 0)
    answers = [raw(server.port, request) for request in WIRE]
    server.stop()
    assert answers[0].startswith(b"HTTP/1.1 500")
    assert not any(map(shows, answers))
    assert '"error":"ValueError"' in out.getvalue()
    assert shows(out.getvalue()) == []


WIRE: Sequence[bytes] = (
    b"POST /v1/labels HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    f"{TEXT}\r\n\r\n".encode(),
    f"GET /{TEXT} HTTP/1.1\r\nHost: {TEXT}\r\n{TEXT}\r\n\r\n".encode(),
    f"POST /v1/labels HTTP/1.1\r\nHost: a\r\nContent-Length: {TEXT}\r\n\r\n".encode(),
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + TEXT.encode() * 10_000 + b"\r\n\r\n",
    f"GET /healthz HTTP/1.1\r\nHost: a\r\nUpgrade: {TEXT}\r\nConnection: Upgrade\r\n\r\n".encode(),
)


def raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        if b"Connection: close" not in request:
            connection.shutdown(socket.SHUT_WR)  # the server need not wait for another request
        try:
            return b"".join(iter(lambda: connection.recv(65_536), b""))
        except ConnectionResetError:
            return b""


def test_libraries_that_log_an_error_show_its_kind_alone(out: io.StringIO) -> None:
    async def forgotten() -> None:
        task = asyncio.ensure_future(_raise())
        await asyncio.wait([task])
        del task

    asyncio.run(forgotten())
    error = ValueError(TEXT)
    logging.getLogger("mode").error("Crashed reason=%r", error, exc_info=error)
    lines = [orjson.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["event"], line["error"]) for line in lines] == [
        ("Task exception was never retrieved", "ValueError"), ("Crashed reason=%r", "ValueError"),
    ]  # fmt: skip
    assert shows(out.getvalue()) == []


async def _raise() -> None:
    raise ValueError(TEXT)


@pytest.mark.parametrize("how", ["fail()", "t = threading.Thread(target=fail); t.start(); t.join()"])
def test_an_error_that_nobody_catches_is_a_line_without_its_text(how: str) -> None:
    head = f"import threading\nfrom everloop.logs import configure\n\ndef fail():\n    raise ValueError('{TEXT}')\n\n"
    program = f"{head}configure('test', '0')\n{how}\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    line = orjson.loads(done.stdout)
    assert (line["event"], line["error"], line["where"]) == ("uncaught", "ValueError", "<string>:5 fail")
    assert shows(done.stdout + done.stderr) == []


def test_a_job_that_fails_says_where_and_not_with_which_row(capsys: pytest.CaptureFixture[str]) -> None:
    def work(_: bytes) -> Mapping[str, float]:
        return {"a": float(TEXT)}

    ended = finish("k", work, b"")
    log = capsys.readouterr().err
    assert "ValueError" in log
    assert f"{Path(__file__).name}:" in log
    assert shows(log + ended.error) == []


# ------------------------------------------------------------------------------------------------- canaries over Kafka


def record(place: Place, value: bytes | None, **headers: str) -> Message:
    named = {"content-type": "application/json", "ce_id": "1", "ce_time": NOON.isoformat(), **headers}
    return Message(place, TEXT.encode(), value, tuple((name, text.encode()) for name, text in named.items()))


def bad_records() -> Iterator[Message]:
    """Every kind of bad record, with the canary in it."""
    for topic in (topics.PREDICTIONS, topics.LABELS):
        place, kind = Place(topic.name, 0), topic.events[0].TYPE
        body = PREDICTIONS if topic is topics.PREDICTIONS else LABELS
        yield record(place, None, ce_type=kind)
        yield record(place, TEXT.encode(), ce_type=kind)
        yield record(place, orjson.dumps([TEXT]), ce_type=kind)
        yield record(place, orjson.dumps(body), ce_type=TEXT)
        yield record(place, orjson.dumps(body), ce_type=kind, ce_subject="fraud", ce_sequence=TEXT)
        for canary in CANARIES:
            for changed in replaced(body, canary):
                yield record(place, orjson.dumps(changed), ce_type=kind, ce_subject="fraud")
                whole = {"type": kind, "id": TEXT, "subject": "fraud", "time": TEXT, "data": changed}
                structured = "application/cloudevents+json"
                yield record(place, orjson.dumps(whole), **{"content-type": structured})
                yield Message(place, None, orjson.dumps(changed), ())


def test_no_value_of_a_bad_record_shows_outside_its_dead_letter(out: io.StringIO) -> None:
    broker, metrics = MemoryLog({topic.name: topic.partitions for topic in TOPICS.values()}), Metrics()
    bad = list(bad_records())
    broker.client().publish(bad)
    service = DataService(RouteFold(FakeWall(), metrics), broker.client(), replica="0")
    while service.step():
        pass
    letters = said(broker, topics.DLQ, DeadLettered)
    assert len(letters) == metrics_total(metrics) > 100
    assert [letter.error for letter in letters if shows(letter.error)] == []
    assert [text for letter in letters for text in (repr(letter), str(letter)) if shows(text)] == []
    assert any(shows(base64.b64decode(letter.value or "")) for letter in letters), "the bytes are kept, for repair"
    assert shows(out.getvalue()) + shows(metrics.render()) == []


def metrics_total(metrics: Metrics) -> int:
    lines = metrics.render().decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith("everloop_dead_letters_total{"))


def test_no_error_of_decoding_shows_a_value() -> None:
    errors = [f"{error} {error!r} {error.__cause__!r}" for bad in bad_records() if (error := undecoded(bad))]
    assert len(errors) > 100
    assert [text for text in errors if shows(text)] == []


def undecoded(bad: Message) -> InvalidError | None:
    try:
        decode(bad.value, bad.headers)
    except InvalidError as error:
        return error
    return None


# --------------------------------------------------------------------------------------------- `repr`, errors, settings


def some_events() -> Sequence[Event]:
    shared: dict[str, object] = {"prediction_id": (TEXT,)}
    predicted = PredictionsLogged.named(
        "p", NOON, "fraud", times=(NOON_MS,), entity_id=(TEXT,), features={"f": (TEXT,)}, score=(NUMBER,), **shared
    )
    brought = FeedbackLogged.named("f", NOON, "fraud", name=("click",), value=(NUMBER,), said_at=(NOON_MS,), **shared)
    return (
        predicted,
        LabelsLogged.named("l", NOON, "fraud", label=(NUMBER,), labelled_at=(NOON_MS,), **shared),
        brought,
    )


SHOWN: Sequence[Callable[[object], str]] = (repr, str, lambda one: f"{[one]}")


def test_no_event_or_record_shows_its_rows(tmp_path: Path) -> None:
    place = Place(topics.PREDICTIONS.name, 0)
    kept = Record(place, 7, TEXT.encode(), TEXT.encode(), ((TEXT, TEXT.encode()),))
    hashes, env = ensure_tokens(tmp_path)
    things = (*some_events(), Message(place, TEXT.encode(), TEXT.encode(), ((TEXT, b""),)), kept)
    assert [text for thing in things for show in SHOWN if shows(text := show(thing))] == []
    clear = read_clear(env)
    told = f"{clear!r} {clear} {Tokens(hashes)!r}"
    assert not any(token.get_secret_value() in told for token in clear.values())
    assert bearer(clear["admin"])["Authorization"].endswith(clear["admin"].get_secret_value())


def test_a_refused_event_does_not_quote_what_it_refuses() -> None:
    with pytest.raises(ValueError, match="validation error") as refusal:
        LabelsLogged.named("l", NOON, "fraud", prediction_id=(TEXT,), label=(TEXT,), labelled_at=([NUMBER],))
    assert shows(f"{refusal.value} {refusal.value!r}") == []


SETTINGS = [ServiceSettings, *(kind for service in ALL for kind in classes(service))]


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_no_setting_is_quoted_when_it_is_refused(kind: type[ServiceSettings]) -> None:
    given = [
        (name, text) for name in kind.model_fields for text in (f"{TEXT}\n", f"http://{TEXT}:{TEXT}@host/", f"{TEXT}:0")
    ]
    refusals = [error for name, text in given if (error := refusal_of(kind, name, text))]
    assert len(refusals) > 5
    assert [f"{error!r}" for error in refusals if shows(f"{error!r} {error.__cause__!r}")] == []


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_a_setting_that_is_refused_by_its_class_is_not_quoted_either(kind: type[ServiceSettings]) -> None:
    with pytest.raises(ValueError, match="http_port") as refusal:
        kind.model_validate({"http_port": TEXT})
    assert shows(f"{refusal.value} {refusal.value!r}") == []


def refusal_of(kind: type[ServiceSettings], name: str, text: str) -> UsageError | None:
    try:
        kind.from_environment({variable(name): text})
    except UsageError as error:
        return error
    return None


SECRET = re.compile(r"token|secret|password|credential", re.IGNORECASE)


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_a_setting_holds_a_secret_as_such_or_as_a_path_to_it(kind: type[ServiceSettings]) -> None:
    named = {name: str(info.annotation) for name, info in kind.model_fields.items() if SECRET.search(name)}
    assert "tokens" in named
    assert [name for name, type_ in named.items() if "Path" not in type_ and "SecretStr" not in type_] == []


# ----------------------------------------------------------------------------------------------------- the threat model


@pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda topic: topic.name)
def test_every_topic_has_a_row_in_the_threat_model(topic: topics.Topic) -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{topic.name}` |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:3] == [", ".join(topic.producers), ", ".join(topic.consumers)]
    assert len(cells) == 5
    assert all(cells)


def test_every_route_has_a_row_in_the_threat_model() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z]+) ([^`]+)` \| [^|]+ \| `?(\w+)`? \|", page, re.MULTILINE)
    assert {(method, path): access for method, path, access in rows} == dict(ROUTES)
