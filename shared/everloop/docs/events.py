"""`docs/events.md`: per event its meaning, topic, fields and golden example."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from everloop.codec import SEQUENCE_DIGITS
from everloop.docs.forms import forms
from everloop.docs.glossary import GLOSSARY
from everloop.docs.text import fenced, one_line, page, pretty, table
from everloop.events import ENVELOPE, TYPES, Event
from everloop.topics import TOPICS

Golden = Mapping[str, Any]
"""One golden record: `headers` (binary mode) and `value`."""

ENVELOPE_ROWS = (
    ("ce_specversion", "`1.0`"),
    ("ce_id", "id of the event, a UUID computed from its cause: a retry says the same event"),
    ("ce_source", "`/everloop/<service>`, or the producer's own"),
    ("ce_type", "type of the event; its last part is its version"),
    ("ce_subject", "the model; `*` stands for all of them"),
    ("ce_time", "when it was decided, on the model's clock (RFC 3339)"),
    ("ce_partitionkey", "the model"),
    ("ce_recordedtime", "when it was written, on the machine's clock; it decides nothing"),
    ("ce_correlationid", "the turn of the loop, if the event belongs to one"),
    ("ce_causationid", "id of the direct input, if there is one"),
    ("ce_sequence", f"in journals: place in the model's journal from 1, {SEQUENCE_DIGITS} digits with leading zeros"),
    ("content-type", "`application/json`; predictions may come in [other forms](#forms-of-predictions)"),
)

INTRODUCTION = """\
Events are [CloudEvents 1.0](https://github.com/cloudevents/spec) on Kafka. We write binary mode: attributes as headers,
JSON data as value. Structured mode (`content-type: application/cloudevents+json`) is accepted. Times inside the data
are event times: integer milliseconds since 1970 (UTC), or RFC 3339 where a decision says so. Unknown fields are
refused: a producer that has more to say puts it into `features`.

The types are written in [`events.py`](../shared/everloop/events.py), the topics in [topics.md](topics.md). Each example
is a golden record of `tests/contracts/golden/`: it must decode for ever. The same for programs, with a JSON Schema of
every event: [asyncapi.yaml](asyncapi.yaml)."""


def events_page(golden: Mapping[str, Golden]) -> str:
    """The whole page."""
    contents = "\n".join(f"- [`{name}`](#{anchor(name)})" for name in TYPES)
    envelope = table(("header", "meaning"), ((f"`{name}`", meaning) for name, meaning in ENVELOPE_ROWS))
    kinds = [_event(kind, golden.get(name)) for name, kind in TYPES.items()]
    return page("Events", INTRODUCTION, "## Attributes", envelope, forms(), "## Types", contents, *kinds, *_parts())


def anchor(title: str) -> str:
    """The anchor that a Markdown renderer gives to a heading."""
    return re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")


def _event(kind: type[Event], example: Golden | None) -> str:
    topics = ", ".join(
        f"[`{name}`](topics.md#{anchor(name)})" for name, topic in TOPICS.items() if kind in topic.events
    )
    parts = [f"### {kind.TYPE}", one_line(kind.__doc__), f"`{kind.__name__}`, on {topics}.", _fields(kind)]
    return "\n\n".join([*parts, *([fenced("json", pretty(example))] if example else [])])


def _fields(kind: type[BaseModel]) -> str:
    return table(("field", "type", "required", "meaning"), _rows(kind))


def _rows(kind: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    for name, info in kind.model_fields.items():
        if name not in ENVELOPE or not issubclass(kind, Event):
            required = "yes" if info.is_required() else "no"
            yield f"`{name}`", type_name(info.annotation), required, describe(kind, name)


def describe(kind: type[BaseModel], name: str) -> str:
    """What a field means: as written beside it, else as in the glossary for this class, else for this name."""
    written = kind.model_fields[name].description
    return written or GLOSSARY.get(f"{kind.__name__}.{name}") or GLOSSARY.get(name) or ""


def type_name(annotation: Any) -> str:  # noqa: ANN401 -- whatever Python takes for a type
    """A type in the words of JSON; a part of ours links to its section."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(inner[0])
    if origin is typing.Literal:
        return " \\| ".join(f"`{value}`" for value in inner).replace("\\|", "|")
    if origin is tuple:
        return f"list of {type_name(inner[0])}"
    if origin is not None and issubclass_safe(origin, Mapping):
        return f"object of {type_name(inner[1])}"
    if inner:
        return " or ".join(type_name(one) for one in inner)
    return _plain(annotation)


def issubclass_safe(kind: object, parent: type) -> bool:
    """`issubclass` that says no for what is no class."""
    return isinstance(kind, type) and issubclass(kind, parent)


def _plain(kind: object) -> str:
    if issubclass_safe(kind, BaseModel):
        name = getattr(kind, "__name__", "")
        return f"[{name}](#{anchor(getattr(kind, 'TYPE', '') or name)})"
    values = getattr(kind, "__members__", None)
    if values:
        return " | ".join(f"`{one.value}`" for one in values.values())
    names = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "NoneType": "null"}
    known = getattr(kind, "__name__", str(kind))
    return names.get(
        known, {"datetime": "time", "AwareDatetime": "time"}.get(known, "any JSON" if "Json" in known else known)
    )


def _parts() -> Iterator[str]:
    """The values that events are made of."""
    yield "## Parts"
    for part in parts():
        yield "\n\n".join([f"### {part.__name__}", one_line(part.__doc__), _fields(part)])


def parts() -> list[type[BaseModel]]:
    """Every class of ours that is inside an event and no event itself, by name."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = list(TYPES.values())
    while waiting:
        one = waiting.pop()
        if issubclass_safe(one, BaseModel):
            if one not in found:
                found.add(one)
                waiting += [info.annotation for info in one.model_fields.values()]
        else:
            waiting += [inner for inner in typing.get_args(one) if not isinstance(inner, str)]
    return sorted((one for one in found if not issubclass(one, Event)), key=lambda one: one.__name__)
