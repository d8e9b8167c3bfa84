"""Bytes to event and back: CloudEvents 1.0 on Kafka in binary mode; structured mode and a plain row are accepted.

Attributes travel as `ce_` headers, the value is the JSON data. Only extensions from the CloudEvents repository are
used: `partitionkey`, `correlationid`, `causationid`, `sequence`, `recordedtime`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import orjson
from pydantic import ValidationError

from everloop import keys
from everloop.errors import InvalidError
from everloop.events import ENVELOPE, TYPES, Event, FeedbackLogged, LabelsLogged, PredictionsLogged, named_id
from everloop.logs import strip

E = TypeVar("E", bound=Event)
Headers = tuple[tuple[str, bytes], ...]
STRUCTURED = b"application/cloudevents+json"
JSON = b"application/json"
ARROW = b"application/vnd.apache.arrow.stream"
"""Rows in Arrow's form, which `everloop.rows` reads; here they are no JSON."""
SPEC = b"1.0"
LONGEST_KEY = 64
_OF_PRODUCERS = frozenset({PredictionsLogged, LabelsLogged, FeedbackLogged})
MOST_DIGITS = 4
"""Of an event's version: longer ones are none."""
_VERSIONS = {name.rpartition(".v")[0]: int(name.rpartition(".v")[2]) for name in sorted(TYPES)}
"""The newest version of each event, by its name without one."""
SEQUENCE_DIGITS = 12
"""`sequence` is zero-padded so that its text sorts as its number (CloudEvents sequence extension)."""


def encode(event: Event, *, source: str, recorded: datetime) -> tuple[bytes, Headers]:
    """Value and headers of `event`, said by `source` and written at `recorded`."""
    data = event.model_dump(mode="json", exclude=set(ENVELOPE), by_alias=True)
    more = {
        "correlationid": str(event.correlation_id) if event.correlation_id else None,
        "causationid": str(event.causation_id) if event.causation_id else None,
        "sequence": f"{event.sequence:0{SEQUENCE_DIGITS}d}" if event.sequence is not None else None,
    }
    headers = envelope(event.TYPE, event.id, event.time, event.model, source=source, recorded=recorded, **more)
    return orjson.dumps(data), headers


def envelope(
    kind: str, identity: UUID, moment: datetime, model: str, *, source: str, recorded: datetime, **more: str | None
) -> Headers:
    """The headers of an event; `more` are attributes that it may have, by their CloudEvents names."""
    attributes: dict[str, str | None] = {
        "id": str(identity),
        "source": f"/everloop/{source}",
        "type": kind,
        "subject": model,
        "time": _text(moment),
        "partitionkey": model,
        "recordedtime": _text(recorded),
        **more,
    }
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items() if value is not None]
    return (("ce_specversion", SPEC), *headers, ("content-type", JSON))


def decode(value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Event:
    """The event in a record.

    Raises `InvalidError` with reason `null_value`, `malformed`, `shape`, `unknown_type` or `newer_version`.
    """
    if value is None:
        raise InvalidError("null_value", "the record has no value; only compacted topics may carry tombstones")
    last = dict(headers)
    structured = last.get("content-type", b"").startswith(STRUCTURED)
    attributes, data = _structured(value) if structured else _binary(value, last)
    if not structured and not attributes and isinstance(data.get("prediction_id"), str):
        attributes, data = plain_prediction(data)
    kind = type_of(attributes)
    if kind in _OF_PRODUCERS and not keys.are_once(value, keys.count(data)) and keys.has_twice(value):
        raise InvalidError("malformed", "an object of the value has a key twice")
    return build(kind, attributes, data)


def binary_attributes(headers: Mapping[str, bytes]) -> dict[str, str]:
    """What the `ce_` headers say, by name. Raises `InvalidError` (`malformed`) where one is not UTF-8."""
    try:
        return {name[3:]: text.decode() for name, text in headers.items() if name.startswith("ce_")}
    except UnicodeDecodeError:
        raise InvalidError("malformed", "a ce_ header is not UTF-8") from None


def type_of(attributes: Mapping[str, str]) -> type[Event]:
    """The class of the event that these attributes name. Raises `InvalidError` (`unknown_type`, `newer_version`)."""
    name = attributes.get("type", "")
    kind = TYPES.get(name)
    if kind is not None:
        return kind
    known = _VERSIONS.get(name.rpartition(".v")[0], 0)
    if known and _is_above(known, name.rpartition(".v")[2]):
        raise InvalidError(
            "newer_version", f"this release knows the event up to version {known}; upgrade, then replay the dead letter"
        )
    raise InvalidError("unknown_type", "ce_type is missing or names no event of this version; see docs/events.md")


def _is_above(known: int, version: str) -> bool:
    return version.isascii() and version.isdecimal() and len(version) <= MOST_DIGITS and int(version) > known


def build(kind: type[E], attributes: Mapping[str, str], data: Mapping[str, object]) -> E:
    """The event of these attributes and data. Raises `InvalidError` (`shape`)."""
    if not ENVELOPE.isdisjoint(data):
        twice = ", ".join(sorted(ENVELOPE & data.keys()))
        raise InvalidError("shape", f"{kind.TYPE}: {twice}: said by attributes, which the data does not repeat")
    try:
        return kind.model_validate({**data, **_envelope(attributes)})
    except ValidationError as error:
        raise InvalidError("shape", f"{kind.TYPE or 'event'}: {explain(error)}") from None


def plain_prediction(row: Mapping[str, object]) -> tuple[dict[str, str], dict[str, object]]:
    """One scored row as a plain JSON object, from a producer that knows no CloudEvents: attributes and columns.

    `{model, prediction_id, time, features: {name: value}, version, score, ...}`: the names of `PredictionsLogged`, each
    with one value; `time` in ms since 1970, or ISO 8601 with a time zone. Its id comes from model and prediction id, so
    a row that is sent again is known. Raises `InvalidError` (`shape`) for a time or a model that is none.
    """
    model, moment = row.get("model"), moment_of(row.get("time"))
    if not isinstance(model, str) or not model:
        raise InvalidError("shape", "a plain row names its `model`, in text")
    if "times" in row:
        raise InvalidError("shape", "a plain row has a `time`, and no `times`")
    attributes = {
        "id": str(named_id(PredictionsLogged.__name__, f"{model}/{row['prediction_id']}")),
        "type": PredictionsLogged.TYPE, "subject": model, "time": _text(moment),
    }  # fmt: skip
    said = {key: value for key, value in row.items() if value is not None and key not in {"model", "time"}}
    columns = {key: _column(key, value) for key, value in said.items()}
    return attributes, {**columns, "times": [round(moment.timestamp() * 1000)]}


def explain(error: ValidationError) -> str:
    """Where and which rule, never the value. Keys are the producer's, so they are shown on one line and short."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(_key, item['loc']))}: {item['type']}" for item in found[:5])


def _key(part: int | str) -> str:
    return strip(str(part)[:LONGEST_KEY])


def loads(value: bytes) -> dict[str, object]:
    """Parse one JSON object. Raises `InvalidError`: `malformed` when it is not JSON, `shape` when it is no object."""
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise InvalidError("malformed", "the value is not one JSON document in UTF-8") from None
    if not isinstance(parsed, dict):
        raise InvalidError("shape", "the value is JSON, but not an object")
    return parsed


def _binary(value: bytes, headers: Mapping[str, bytes]) -> tuple[dict[str, str], dict[str, object]]:
    return binary_attributes(headers), loads(value)


def _structured(value: bytes) -> tuple[dict[str, str], dict[str, object]]:
    whole = loads(value)
    data = whole.pop("data", None)
    if not isinstance(data, dict):
        raise InvalidError("shape", "structured mode: `data` must be a JSON object")
    return {name: text for name, text in whole.items() if isinstance(text, str)}, data


_OF_ALL_ROWS = frozenset({"source", "version", "digest", "arm", "epoch"})
"""Keys of a plain row that a record says once; the others are its columns."""


def _column(key: str, value: object) -> object:
    """A value of a plain row as the field of a record of one row."""
    if key in _OF_ALL_ROWS:
        return value
    if key not in {"features", "shadow"}:
        return [value]
    if not isinstance(value, dict):
        raise InvalidError("shape", f"a plain row has an object as `{key}`")
    return {name: cell if (key, name) == ("shadow", "version") else [cell] for name, cell in value.items()}


def moment_of(value: object) -> datetime:
    """The time of a plain row: ms since 1970, or ISO 8601 with a time zone. Raises `InvalidError` (`shape`)."""
    moment: datetime | None = None
    with suppress(ValueError, OverflowError, OSError):
        if isinstance(value, str):
            said = datetime.fromisoformat(value)
            moment = said.astimezone(UTC) if said.tzinfo else None
        elif isinstance(value, int) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value / 1000, UTC)
    if moment is None:
        raise InvalidError("shape", "`time` of a plain row is ms since 1970, or ISO 8601 with a time zone")
    return moment


def _envelope(attributes: Mapping[str, str]) -> dict[str, object]:
    named = {
        "id": attributes.get("id"),
        "time": attributes.get("time"),
        "model": attributes.get("subject"),
        "correlation_id": attributes.get("correlationid"),
        "causation_id": attributes.get("causationid"),
        "sequence": attributes.get("sequence"),
    }
    return {name: text for name, text in named.items() if text is not None}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
