"""The front door: two routes. 202 means that the broker has acknowledged every row that is said to be accepted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from everloop import topics
from everloop.buckets import partition
from everloop.events import LabelsLogged, PredictionsLogged
from everloop.http import Problem, RefusedError, problems, read_json, refuse
from everloop.metrics import Metrics
from everloop.topics import Topic
from everloop_ingest.adapters.publisher import BacklogError, BrokerGoneError, Publisher
from everloop_ingest.adapters.records import Wall, message
from everloop_ingest.domain import reading
from everloop_ingest.domain.reading import Stamp

M = TypeVar("M", bound=BaseModel)
E = TypeVar("E", PredictionsLogged, LabelsLogged)
ANY: Final = TypeAdapter(dict[str, object])
KEY_HEADER: Final = "idempotency-key"
LONGEST_KEY: Final = 200
RETRY_AFTER_S: Final = "1"


@dataclass(frozen=True, slots=True)
class Door:
    """What the routes need. `models` are those of `loops`, asked for at each request; None before it was read."""

    publisher: Publisher
    models: Callable[[], Collection[str] | None]
    wall: Wall
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows of a request: the event of the good ones, and what is wrong with each bad one, by its place."""

    event: PredictionsLogged | LabelsLogged
    asked: int
    wrong: dict[int, list[Problem]]


def add_routes(app: FastAPI, door: Door) -> None:
    """Add `POST /v1/predictions` and `POST /v1/labels`."""

    @app.post("/v1/predictions")
    async def predictions(request: Request) -> JSONResponse:
        return await _accept(request, door, topics.PREDICTIONS, read_predictions)

    @app.post("/v1/labels")
    async def labels(request: Request) -> JSONResponse:
        return await _accept(request, door, topics.LABELS, read_labels)


def read_predictions(body: dict[str, object], stamp: Stamp) -> Judged:
    """Columns, rows, or one row. Raises `RefusedError` (422) when nothing of it can be accepted."""
    if "rows" not in body:
        columns = _valid(reading.Columns, _as_columns(body))
        event = _built(lambda: reading.from_columns(columns, stamp))
        return Judged(_scored(event), len(event.prediction_id), {})
    about = _valid(reading.Rows, body)
    rows, wrong = _rows(reading.Row, about.rows)
    return Judged(_scored(_built(lambda: reading.from_rows(about, rows, stamp))), len(about.rows), wrong)


def read_labels(body: dict[str, object], stamp: Stamp) -> Judged:
    """Columns, rows, or one row. Raises as `read_predictions`."""
    if "rows" not in body:
        columns = _valid(reading.LabelColumns, _one_label(body))
        return Judged(_built(lambda: reading.labels_from_columns(columns, stamp)), len(columns.prediction_id), {})
    about = _valid(reading.LabelRows, body)
    rows, wrong = _rows(reading.LabelRow, about.rows)
    event = _built(lambda: reading.labels_from_rows(about.model, rows, stamp))
    return Judged(event, len(about.rows), wrong)


async def _accept(
    request: Request, door: Door, topic: Topic, read: Callable[[dict[str, object], Stamp], Judged]
) -> JSONResponse:
    kind = "predictions" if topic is topics.PREDICTIONS else "labels"
    try:
        judged = await _judge(request, door, read)
        await _publish(door, topic, judged)
    except RefusedError as error:
        door.metrics.inc("everloop_rows_refused_total", kind=kind, reason=error.problems[0].rule)
        raise
    if judged.wrong:
        door.metrics.inc("everloop_rows_refused_total", len(judged.wrong), kind=kind, reason="shape")
    accepted = judged.asked - len(judged.wrong)
    door.metrics.inc("everloop_rows_accepted_total", accepted, kind=kind, model=judged.event.model)
    answer = {"id": str(judged.event.id), "accepted": accepted, "refused": len(judged.wrong), "items": _items(judged)}
    return JSONResponse(answer, 202)


async def _judge(request: Request, door: Door, read: Callable[[dict[str, object], Stamp], Judged]) -> Judged:
    body = await read_json(request, ANY)
    model, models = body.get("model"), door.models()
    if models is None:
        refuse(
            503,
            "model",
            "starting",
            "it has just started and reads what is applied; try again",
            Retry_After=RETRY_AFTER_S,
        )
    if isinstance(model, str) and model not in models:
        refuse(404, "model", "unknown_model", "apply its loop file first: everloop apply loops/NAME.yaml")
    return read(body, Stamp(await _name(request, model), door.wall()))


async def _publish(door: Door, topic: Topic, judged: Judged) -> None:
    """The same request goes to the same partition, where its readers know its id."""
    event = judged.event
    record = message(topic, partition(str(event.id), topic.partitions), event, door.wall())
    try:
        await door.publisher.publish([record], len(event.prediction_id))
    except BacklogError:
        refuse(429, "body", "backlog", "send it again after the time in Retry-After", Retry_After=RETRY_AFTER_S)
    except BrokerGoneError:
        refuse(503, "body", "broker", "send it again, unchanged: what was kept is known by its id", Retry_After="5")


async def _name(request: Request, model: object) -> str:
    """What the event's id is computed from: the caller's key, or the content. The same again is the same event."""
    path, key = f"{request.url.path}/{model}", request.headers.get(KEY_HEADER)
    if key is None:
        return f"{path}/{sha256(await request.body()).hexdigest()}"
    if not key.isascii() or not key.isprintable() or not 0 < len(key) <= LONGEST_KEY:
        refuse(422, KEY_HEADER, "key", f"use 1 to {LONGEST_KEY} printable ASCII characters")
    return f"{path}/key/{key}"


def _items(judged: Judged) -> list[dict[str, object]]:
    """One result per row that was sent, in order; nothing of a bad row is repeated."""
    names = iter(judged.event.prediction_id)
    return [
        {"status": 422, "errors": _plain(judged.wrong[place])}
        if place in judged.wrong
        else {"status": 202, "prediction_id": next(names)}
        for place in range(judged.asked)
    ]


def _plain(found: Sequence[Problem]) -> list[dict[str, str]]:
    return [{"where": item.where, "rule": item.rule, "fix": item.fix} for item in found]


def _rows(shape: type[M], rows: Sequence[dict[str, object]]) -> tuple[list[M], dict[int, list[Problem]]]:
    good: list[M] = []
    wrong: dict[int, list[Problem]] = {}
    for place, row in enumerate(rows):
        try:
            good.append(shape.model_validate(row))
        except ValidationError as error:
            wrong[place] = problems(error, f"rows.{place}")
    if not good:
        raise RefusedError(422, [problem for place in list(wrong)[:5] for problem in wrong[place]])
    return good, wrong


def _valid(shape: type[M], body: object) -> M:
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        raise RefusedError(422, problems(error)) from None


def _built(build: Callable[[], E]) -> E:
    """Rules over all rows: equal lengths, no id twice."""
    try:
        return build()
    except ValidationError as error:
        raise RefusedError(422, problems(error)) from None
    except PydanticCustomError as error:
        raise RefusedError(422, [Problem("prediction_id", error.type, error.message())]) from None


def _scored(event: PredictionsLogged) -> PredictionsLogged:
    lacking = reading.lacks(event)
    if lacking:
        refuse(422, lacking, "missing", "only rows of a bootstrap (source: bootstrap) may be without it")
    return event


def _as_columns(body: dict[str, object]) -> dict[str, object]:
    """A plain object of one row is a request of one row; `time` is another name of the column `times`."""
    if not isinstance(body.get("prediction_id"), str):
        return {("times" if name == "time" and "times" not in body else name): value for name, value in body.items()}
    common = {name: body[name] for name in reading.About.model_fields if name in body}
    about = _valid(reading.About, common)
    row = _valid(reading.Row, {name: value for name, value in body.items() if name not in common})
    given = row.model_dump(exclude={"time", "features"}, exclude_none=True)
    return {
        **about.model_dump(exclude_none=True),
        **{name: [value] for name, value in given.items()},
        "times": [row.time],
        "features": {name: [value] for name, value in row.features.items()},
    }


def _one_label(body: dict[str, object]) -> dict[str, object]:
    if not isinstance(body.get("prediction_id"), str):
        return body
    return {name: value if name == "model" else [value] for name, value in body.items()}
