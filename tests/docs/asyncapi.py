"""The AsyncAPI document as tests read it: from the file, by the rules of YAML 1.2; and validators of its schemas."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, cast

from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7, DRAFT202012

from everloop.loop.places import read_document
from tests.docs.pages import text_of

Json = dict[str, Any]
URI: Final = "urn:everloop:asyncapi"
DRAFTS: Final = {"draft-07": (Draft7Validator, DRAFT7), "2020-12": (Draft202012Validator, DRAFT202012)}

MAX_BYTES = 1 << 20
"""Of the document, which has every event with its schema; a loop file is much smaller."""


def read(text: str) -> Json:
    """The document as JSON values. No key may stand in it twice."""
    found = read_document(text, largest=MAX_BYTES)
    assert found.repeated == []
    return cast("Json", found.value)


@cache
def described() -> Json:
    """The document of the repository."""
    return read(text_of("docs/asyncapi.yaml"))


def validator(document: Json, pointer: str, draft: str = "2020-12") -> Validator:
    """What checks an instance against the schema at a pointer, as a draft of JSON Schema reads it."""
    kind, specification = DRAFTS[draft]
    registry: Registry[Any] = Registry().with_resource(URI, specification.create_resource(document))
    return kind({"$ref": f"{URI}#{pointer}"}, registry=registry, format_checker=FormatChecker())


def resolve(document: Json, reference: str) -> object:
    """What a `$ref` leads to. Raises `KeyError` when it leads nowhere."""
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(part: object) -> Iterator[str]:
    """Every `$ref` in a part of a document."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        part = list(part.values())
    for inner in part if isinstance(part, list) else ():
        yield from references(inner)
