"""The OpenAPI document of the front door: bodies and answers, from the shapes that the door itself reads by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from pydantic import BaseModel, Field, JsonValue
from pydantic.json_schema import models_json_schema

from everloop.events import FeedbackLogged, LabelsLogged, PredictionsLogged
from everloop_ingest.adapters.cloud import ARROW, BATCH, JSON, MOST_EVENTS, STRUCTURED, Attributes
from everloop_ingest.domain import reading

Schema = dict[str, JsonValue]
REF: Final = "#/components/schemas/"
DATA: Final = ("Columns", "LabelColumns", "RangeColumns", "FeedbackColumns")
"""What the data of an event may be."""
BINARY: Final[Schema] = {"type": "string", "format": "binary"}
MEANINGS: Final[Mapping[int, str]] = {
    202: "acknowledged by the broker, with a result per row or event",
    400: "not one JSON document in UTF-8, or not an Arrow stream",
    401: "no token, or none that is valid",
    403: "a valid token of another role",
    404: "the model's loop file is not applied",
    408: "the head or the body did not come in time",
    409: "the same id came with another content",
    413: "larger than 8 MiB",
    415: "another content type, or a compressed body",
    422: "a rule is broken: `where` and `rule` say which",
    431: "a head of more than 64 KiB",
    429: "too many rows wait for the broker, or too many wrong tokens: come again after Retry-After",
    503: "the broker does not acknowledge, or the door has just started: send the same again after Retry-After",
}


class PlainRow(reading.About, reading.Row):
    """One prediction as one object."""


class PlainLabel(reading.LabelRow):
    """One label as one object."""

    model: reading.Name


class PlainRange(reading.RangeRow):
    """One label by entity as one object."""

    model: reading.Name


class PlainFeedback(reading.FeedbackRow):
    """One value of feedback as one object."""

    model: reading.Name


class RowError(BaseModel):
    """One thing that is wrong: where, which rule, and what to do about it. It repeats no value."""

    where: str
    rule: str
    fix: str


class Refused(BaseModel):
    """A refused request."""

    errors: list[RowError]


class RowResult(BaseModel):
    """What became of one row. `warnings`: it was taken, and is not what the model's version was made to be asked."""

    status: Annotated[int, Field(ge=202, le=422)]
    prediction_id: str | None = None
    entity_id: str | None = None
    name: str | None = None
    warnings: list[RowError] | None = None
    errors: list[RowError] | None = None


class Accepted(BaseModel):
    """What became of a request or of one event: `id` names its record, `items` are its rows in order."""

    id: str
    accepted: int
    refused: int
    items: list[RowResult]


class EventResult(BaseModel):
    """What became of one event of a batch: the fields of `Accepted`, or `errors`."""

    status: int
    id: str | None = None
    accepted: int | None = None
    refused: int | None = None
    items: list[RowResult] | None = None
    errors: list[RowError] | None = None


class BatchAnswer(BaseModel):
    """What became of a batch; its status is 202 when one event at least was accepted."""

    accepted: int
    refused: int
    items: list[EventResult]
    errors: list[RowError] | None = None


def document() -> Schema:
    """The whole document, OpenAPI 3.1."""
    about = "Takes predictions, labels and feedback. Written by `make docs`; a test holds the door to it."
    paths: Schema = {
        "/v1/predictions": _path("Log predictions", _predictions(), [_KEY, _MODEL], ["Accepted"]),
        "/v1/labels": _path("Log labels", _labels(), [_KEY], ["Accepted"]),
        "/v1/feedback": _path("Log feedback", _feedback(), [_KEY], ["Accepted"]),
        "/v1/events": _path("Log CloudEvents", _events(), _ATTRIBUTES, ["Accepted", "BatchAnswer"]),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Everloop front door", "version": "1", "description": about},
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> Schema:
    shown: Sequence[type[BaseModel]] = (
        reading.Columns, reading.Rows, reading.Row, PlainRow, reading.LabelColumns, reading.LabelRows, reading.LabelRow,
        PlainLabel, reading.RangeColumns, reading.RangeRow, PlainRange, reading.FeedbackColumns, reading.FeedbackRows,
        reading.FeedbackRow, PlainFeedback, Attributes, Accepted, BatchAnswer, Refused,
    )  # fmt: skip
    _, found = models_json_schema([(model, "validation") for model in shown], ref_template=f"{REF}{{model}}")
    schemas: Schema = found["$defs"]
    _inside(schemas, "Rows", "properties", "rows")["items"] = _ref("Row")
    _inside(schemas, "LabelRows", "properties", "rows")["items"] = {"anyOf": [_ref("LabelRow"), _ref("RangeRow")]}
    _inside(schemas, "FeedbackRows", "properties", "rows")["items"] = _ref("FeedbackRow")
    for columns, row in (("RangeColumns", "RangeRow"), ("FeedbackColumns", "FeedbackRow")):
        for name, column in _inside(schemas, columns, "properties").items():
            if isinstance(column, dict) and name != "model":
                column["items"] = _inside(schemas, row, "properties")[name]
    for name in DATA:  # the data of an event says no model: its subject does
        data = dict(_inside(schemas, name))
        data["properties"] = {key: one for key, one in _inside(data, "properties").items() if key != "model"}
        data["required"] = [key for key in _required(data) if key != "model"]
        schemas[f"{name}Data"] = data
    said = _inside(schemas, "Attributes", "properties")
    said["type"] = {
        "enum": [PredictionsLogged.TYPE, LabelsLogged.TYPE, FeedbackLogged.TYPE],
        "description": "what producers may say",
    }
    schemas["Event"] = _event()
    return schemas


def _event() -> Schema:
    data: JsonValue = {"anyOf": [_ref(f"{name}Data") for name in DATA]}
    either: JsonValue = [{"required": ["data"]}, {"required": ["data_base64"]}]
    more: Schema = {"properties": {"data": data, "data_base64": {"type": "string"}}, "anyOf": either}
    return {"allOf": [_ref("Attributes"), more]}


def _path(summary: str, content: Schema, parameters: Sequence[Schema], answers: Sequence[str]) -> Schema:
    good: JsonValue = {"anyOf": [_ref(name) for name in answers]} if len(answers) > 1 else _ref(answers[0])
    responses: Schema = {
        str(status): _response(meaning, good if status == 202 else _bad(answers))  # noqa: PLR2004 -- Accepted
        for status, meaning in MEANINGS.items()
    }
    post: Schema = {
        "summary": summary, "security": [{}, {"token": []}], "parameters": list(parameters),
        "requestBody": {"required": True, "content": content}, "responses": responses,
    }  # fmt: skip
    return {"post": post}


def _bad(answers: Sequence[str]) -> JsonValue:
    refused = _ref("Refused")
    return {"anyOf": [refused, _ref("BatchAnswer")]} if "BatchAnswer" in answers else refused


def _response(meaning: str, schema: JsonValue) -> Schema:
    return {"description": meaning, "content": {JSON: {"schema": schema}}}


def _predictions() -> Schema:
    forms: JsonValue = {"anyOf": [_ref("Columns"), _ref("Rows"), _ref("PlainRow")]}
    return {JSON: {"schema": forms}, ARROW: {"schema": BINARY}}


def _labels() -> Schema:
    return {
        JSON: {
            "schema": {
                "anyOf": [
                    _ref(name) for name in ("LabelColumns", "LabelRows", "PlainLabel", "RangeColumns", "PlainRange")
                ]
            }
        }
    }


def _feedback() -> Schema:
    forms: JsonValue = {"anyOf": [_ref(name) for name in ("FeedbackColumns", "FeedbackRows", "PlainFeedback")]}
    return {JSON: {"schema": forms}}


def _events() -> Schema:
    batch: JsonValue = {"type": "array", "minItems": 1, "maxItems": MOST_EVENTS, "items": _ref("Event")}
    data: JsonValue = {"anyOf": [_ref(f"{name}Data") for name in DATA]}
    return {
        STRUCTURED: {"schema": _ref("Event")}, BATCH: {"schema": batch}, JSON: {"schema": data},
        ARROW: {"schema": BINARY},
    }  # fmt: skip


def _parameter(where: str, name: str, about: str, schema: Schema) -> Schema:
    return {"name": name, "in": where, "required": False, "description": about, "schema": schema}


_KEY: Final = _parameter(
    "header", "Idempotency-Key", "names the request: the same key is the same record; else its content names it",
    {"type": "string", "pattern": "^[ -~]{1,200}$"},
)  # fmt: skip
_MODEL: Final = _parameter(
    "query", "model", "the model, of an Arrow stream alone", {"type": "string", "maxLength": 128}
)
_ATTRIBUTES: Final = tuple(
    _parameter("header", f"ce-{name}", "attribute of an event in binary mode", {"type": "string", "maxLength": 256})
    for name in ("specversion", "id", "source", "type", "subject", "time")
)


def _ref(name: str) -> Schema:
    return {"$ref": f"{REF}{name}"}


def _inside(schema: JsonValue, *path: str) -> Schema:
    for step in path:
        schema = schema[step] if isinstance(schema, dict) else {}
    return schema if isinstance(schema, dict) else {}


def _required(schema: Schema) -> list[JsonValue]:
    found = schema.get("required", [])
    return found if isinstance(found, list) else []
