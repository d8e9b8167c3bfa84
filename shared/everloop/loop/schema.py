"""The published JSON Schema of loop files, from which editors complete and check them.

The schema accepts all that the model accepts. The model refuses more: rules between keys (`grace` below `every`), dates
that never come, and what is not supported yet cannot be said in a schema.
"""

from collections.abc import Mapping

import orjson
from pydantic import JsonValue
from pydantic.json_schema import GenerateJsonSchema

from everloop.loop.metrics import METRICS
from everloop.loop.root import Loop

SCHEMA_ID = "https://everloop.io/schema/loop.v1.json"
Schema = dict[str, JsonValue]


class _Untitled(GenerateJsonSchema):
    """Without a title that repeats each key: editors show the description."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - the signature is pydantic's
        """Never."""
        return False


def json_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a loop file."""
    body = Loop.model_json_schema(schema_generator=_Untitled)
    for part in body["$defs"].values():
        part.pop("title", None)
    body["$defs"]["Data"] |= {"minProperties": 1, "maxProperties": 1}
    head = {"$schema": GenerateJsonSchema.schema_dialect, "$id": SCHEMA_ID, "title": "Everloop loop file"}
    return {**head, **{key: value for key, value in body.items() if key != "title"}, "allOf": _metrics_by_task()}


def schema_text() -> str:
    """The schema as it is published in `docs/schema/loop.v1.json`."""
    return orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _metrics_by_task() -> list[JsonValue]:
    """Metrics that suit each task, as conditions that editors understand."""
    conditions: list[JsonValue] = []
    for task, metrics in METRICS.items():
        suited: Schema = {"propertyNames": {"enum": list(metrics)}}
        gate: Schema = {"properties": {"floor": suited, "champion": suited}}
        is_task: Schema = {"properties": {"task": {"const": task}}, "required": ["task"]}
        conditions.append({"if": is_task, "then": {"properties": {"gate": gate}}})
    return conditions


def schema_at(schema: Schema, path: tuple[str | int, ...]) -> Schema:
    """The part of `schema` that describes the value at `path`; empty where nothing does."""
    here = _resolved(schema, schema)
    for step in path:
        here = _resolved(schema, _inside(here, step))
    return here


def _inside(here: Schema, step: str | int) -> Schema:
    properties = here.get("properties", {})
    if isinstance(properties, dict) and str(step) in properties:
        return _mapping(properties[str(step)])
    named = _mapping(here.get("patternProperties"))
    free = here.get("items" if isinstance(step, int) else "additionalProperties")
    return _mapping(next(iter(named.values()), free))


def _resolved(schema: Schema, here: Schema) -> Schema:
    """Follow a reference, and the one choice that is not null; nothing else is needed."""
    choices = here.get("anyOf")
    if isinstance(choices, list):
        here = next((_mapping(one) for one in choices if _mapping(one).get("type") != "null"), {})
    reference = here.get("$ref")
    if isinstance(reference, str):
        return _definition(schema, reference.removeprefix("#/$defs/"))
    return here


def _definition(schema: Schema, name: str) -> Schema:
    """The definition `name` of the schema."""
    return _mapping(_mapping(schema["$defs"])[name])


def _mapping(value: JsonValue) -> Schema:
    return dict(value) if isinstance(value, Mapping) else {}
