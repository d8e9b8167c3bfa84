"""JSON Schemas of events and their parts, as `components/schemas` of one document; each stands in it once.

pydantic writes draft 2020-12, AsyncAPI reads draft 07. Only keywords that mean the same in both are used, which a test
holds; references lead to `components`, so that no `$defs` are left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import CoreSchema

from everloop.codec import SEQUENCE_DIGITS
from everloop.docs.events import ENVELOPE_ROWS, describe, parts
from everloop.docs.text import one_line
from everloop.events import ENVELOPE, TYPES, Event

Schema = dict[str, Any]

PLACE: Final = "#/components/schemas/"
ATTRIBUTES: Final = "CloudEvent"
"""Name of the schema of what all events have as headers."""
WHOLE: Final = "Event"
"""Ends the name of an event that travels inside another: its attributes are fields there."""
RULES: Final[Mapping[str, Schema]] = {
    "ce_specversion": {"const": "1.0"},
    "ce_id": {"format": "uuid"},
    "ce_source": {"format": "uri-reference"},
    "ce_time": {"format": "date-time"},
    "ce_recordedtime": {"format": "date-time"},
    "ce_correlationid": {"format": "uuid"},
    "ce_causationid": {"format": "uuid"},
    "ce_sequence": {"pattern": f"^[0-9]{{{SEQUENCE_DIGITS}}}$"},
}
REQUIRED: Final = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time")
"""What CloudEvents asks for, and what `decode` does."""


class _Bare(GenerateJsonSchema):
    """Without a title for every field, which says its name again."""

    def field_title_should_be_set(self, schema: CoreSchema | Any) -> bool:  # noqa: ANN401, ARG002 -- as pydantic's
        return False


def ref(name: str) -> Schema:
    """Where a schema is used."""
    return {"$ref": f"{PLACE}{name}"}


def attributes() -> Schema:
    """The headers that every event has."""
    properties = {name: {"type": "string", "description": says, **RULES.get(name, {})} for name, says in ENVELOPE_ROWS}
    about = "Attributes of CloudEvents 1.0 as headers of a Kafka record (binary mode)."
    return {"type": "object", "description": about, "properties": properties, "required": list(REQUIRED)}


def schemas() -> dict[str, Schema]:
    """Every schema by name: attributes, the data of each event, the parts of events, and events inside events."""
    kinds = {kind.__name__: kind for kind in TYPES.values()}
    _, found = models_json_schema(
        [(kind, "validation") for kind in kinds.values()], ref_template=f"{PLACE}{{model}}", schema_generator=_Bare
    )
    known: dict[str, Schema] = found["$defs"]
    for kind in (*kinds.values(), *parts()):
        _describe(kind, known[kind.__name__])
    carried = [name for name in kinds if _place(name) in orjson.dumps(known)]
    for name in carried:
        known = orjson.loads(orjson.dumps(known).replace(_place(name), _place(f"{name}{WHOLE}")))
    data = {name: _data(schema) if name in kinds else schema for name, schema in known.items()}
    whole = {f"{name}{WHOLE}": {**known[name], "title": f"{name}{WHOLE}"} for name in carried}
    return {ATTRIBUTES: attributes(), **dict(sorted((data | whole).items()))}


def _place(name: str) -> bytes:
    return orjson.dumps(f"{PLACE}{name}")


def _describe(kind: type[BaseModel], schema: Schema) -> None:
    """A field that is nothing but a reference is described where it leads: beside `$ref` draft 07 reads nothing."""
    schema["description"] = one_line(kind.__doc__)
    for name, inner in schema["properties"].items():
        if "$ref" not in inner and not (issubclass(kind, Event) and name in ENVELOPE):
            inner["description"] = describe(kind, name)


def _data(schema: Schema) -> Schema:
    """An event without what travels as attributes."""
    properties = {name: inner for name, inner in schema["properties"].items() if name not in ENVELOPE}
    required = [name for name in schema["required"] if name not in ENVELOPE]
    return {**schema, "properties": properties, "required": required}
