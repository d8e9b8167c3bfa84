"""Golden records: what was once written must decode for ever.

One file per event type and version, named after it: the headers and the value of a Kafka record in binary mode. A new
event type needs one. When a field is added to a type, its present file moves to `golden/older/<type>.<n>.json`, where
it has to decode still, and a new one takes its place.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from everloop.codec import decode, encode
from everloop.events import TYPES, Event

GOLDEN = Path(__file__).parent / "golden"
STRUCTURED = GOLDEN / "structured"
OLDER = GOLDEN / "older"
EVERY_TYPE = pytest.mark.parametrize("name", TYPES)


def read(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Headers and value of a golden record."""
    golden = orjson.loads(path.read_bytes())
    return golden["headers"], golden["value"]


def decoded(headers: dict[str, str], value: object) -> Event:
    """The event in a golden record."""
    return decode(orjson.dumps(value), [(name, text.encode()) for name, text in headers.items()])


def encoded(event: Event, headers: dict[str, str]) -> tuple[dict[str, str], object]:
    """The record of an event that the same service writes at the same time."""
    source = headers["ce_source"].removeprefix("/everloop/")
    recorded = datetime.fromisoformat(headers["ce_recordedtime"])
    value, found = encode(event, source=source, recorded=recorded)
    return {name: text.decode() for name, text in found}, orjson.loads(value)


def test_every_event_type_has_a_golden_record_and_no_record_is_without_a_type() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(TYPES)


@EVERY_TYPE
def test_a_golden_record_decodes_to_its_type(name: str) -> None:
    headers, value = read(GOLDEN / f"{name}.json")
    assert headers["ce_type"] == name
    assert type(decoded(headers, value)) is TYPES[name]


@EVERY_TYPE
def test_a_golden_record_is_written_again_as_it_was(name: str) -> None:
    headers, value = read(GOLDEN / f"{name}.json")
    assert encoded(decoded(headers, value), headers) == (headers, value)


@EVERY_TYPE
def test_what_was_encoded_decodes_to_the_same_event(name: str) -> None:
    headers, value = read(GOLDEN / f"{name}.json")
    event = decoded(headers, value)
    assert decoded(*encoded(event, headers)) == event


@EVERY_TYPE
def test_a_golden_record_is_an_example_of_every_field(name: str) -> None:
    _, value = read(GOLDEN / f"{name}.json")
    assert set(value) == {field for field in TYPES[name].model_fields if field not in Event.model_fields}


@EVERY_TYPE
def test_structured_mode_says_the_same(name: str) -> None:
    headers, value = read(GOLDEN / f"{name}.json")
    attributes = {key.removeprefix("ce_"): text for key, text in headers.items() if key.startswith("ce_")}
    whole = orjson.dumps({**attributes, "datacontenttype": "application/json", "data": value})
    kind = [("content-type", b"application/cloudevents+json; charset=utf-8")]
    assert decode(whole, kind) == decoded(headers, value)


def test_a_golden_record_in_structured_mode_decodes_to_its_type() -> None:
    paths = sorted(STRUCTURED.glob("*.json"))
    assert paths
    for path in paths:
        event = decode(path.read_bytes(), [("content-type", b"application/cloudevents+json")])
        assert path.stem == event.TYPE


def test_older_records_still_decode() -> None:
    for path in sorted(OLDER.glob("*.json")):
        headers, value = read(path)
        assert path.stem.rpartition(".")[0] == decoded(headers, value).TYPE
