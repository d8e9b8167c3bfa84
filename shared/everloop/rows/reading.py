"""From a record of the topic `predictions` to its rows, whatever form they came in."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from everloop import keys
from everloop.codec import ARROW, STRUCTURED, binary_attributes, build, decode, type_of
from everloop.errors import InvalidError
from everloop.events import Event, PredictionsLogged
from everloop.rows import checked, simd
from everloop.rows.arrow import read_arrow
from everloop.rows.direct import read_direct
from everloop.rows.values import Rows, listed, rows_of

Headers = Sequence[tuple[str, bytes]]
_TYPE: Final = PredictionsLogged.TYPE.encode()
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME: Final = re.compile(
    rb"[1-8][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-5][0-9])"
)
_RARE: Final = frozenset({"ce_correlationid", "ce_causationid", "ce_sequence"})
UNPROVEN: Final = (ValueError, TypeError, LookupError, AttributeError, struct.error, InvalidError)
"""What the fast path raises where it has not proved that this is a record: then `decode` says what it is."""


def read_rows(value: bytes | None, headers: Headers) -> Rows:
    """The rows of a prediction record.

    Raises `InvalidError` as `codec.decode` does (`null_value`, `malformed`, `shape`, `unknown_type`,
    `newer_version`); `shape` as well for an event of another type. It never quotes a value.
    """
    found = read_record(value, headers)
    if not isinstance(found, Rows):
        raise InvalidError("shape", f"{type(found).__name__} is no record of predictions")
    return found


def read_record(value: bytes | None, headers: Headers, *, counting: bool = False) -> Rows | Event:
    """The rows of a prediction record, or the event of any other type. Raises `InvalidError` as `codec.decode` does.

    For who is `counting`, numbers may come as float64 where their producer wrote integers.
    """
    last = dict(headers)
    if value is not None and not _is_arrow(last):
        kind = last.get("ce_type")
        try:
            if kind == _TYPE:
                return checked.record(*_envelope(last), (simd.parsed(value) if counting else None) or _parsed(value))
            if kind is None and is_plain(last):
                return checked.plain(_parsed(value))
        except UNPROVEN:
            pass
    last = {name: raw or b"" for name, raw in headers}  # Kafka has headers without a value
    if value is not None and _is_arrow(last):
        return _arrow(value, last)
    event = decode(value, last.items())
    if not isinstance(event, PredictionsLogged):
        return event
    return rows_of(event, checked.plain_identity(event.model, event.prediction_id[0]) if is_plain(last) else None)


def read_event(value: bytes | None, headers: Headers) -> Event:
    """The event of a record of any form, Arrow too; slower than `read_record`, and raises as that does."""
    last = {name: raw or b"" for name, raw in headers}
    if value is None or not _is_arrow(last):
        return decode(value, last.items())
    return build(PredictionsLogged, binary_attributes(last), _data(_arrow(value, last)))


def kind_of(headers: Headers) -> str | None:
    """The event type that the headers name; None in structured mode, for a plain row, and for what is no text.

    Heartbeats of ours are told apart by it before any JSON is parsed.
    """
    raw = next((raw for name, raw in reversed(headers) if name == "ce_type"), None)
    return raw.decode(errors="replace") if raw is not None else None


def is_plain(last: Mapping[str, bytes]) -> bool:
    """Whether headers, by name, say nothing of CloudEvents: then the value may be a plain row."""
    for name in last:  # as a generator this costs as much as the rest of a small record
        if name[:3] == "ce_":
            return False
    return "content-type" not in last or not last["content-type"].startswith(STRUCTURED)


def _is_arrow(last: Mapping[str, bytes]) -> bool:
    return (last.get("content-type") or b"").startswith(ARROW)


def _parsed(value: bytes) -> dict[str, Any]:
    """A record in JSON. Raises one of `UNPROVEN` for what is none, or has a key twice."""
    data: dict[str, Any] = orjson.loads(value)
    if not keys.are_once(value, keys.count(data)) and keys.has_twice(value):
        raise checked.DoubtError
    return data


def _arrow(value: bytes, last: Mapping[str, bytes]) -> Rows:
    attributes = binary_attributes(last)
    if type_of(attributes) is not PredictionsLogged:
        raise InvalidError("shape", "an Arrow stream carries predictions, and no other type of event")
    try:
        identity, model = _envelope(last)
    except UNPROVEN:
        event = build(Event, attributes, {})
        identity, model = str(event.id), event.model
    found = read_direct(value, identity, model)
    return read_arrow(value, identity, model) if found is None else found


def _data(rows: Rows) -> dict[str, object]:
    """The fields of the event that says the same."""
    same = ("source", "version", "digest", "arm", "epoch", "status")
    listed_ones = {name: getattr(rows, name) for name in ("prediction_id", "entity_id", "times")}
    numbers = {name: getattr(rows, name) for name in ("score", "label", "latency_ms")}
    said = rows.shadow_score
    return {
        **{name: getattr(rows, name) for name in same},
        **{name: None if column is None else list(column) for name, column in listed_ones.items()},
        **{name: None if column is None else listed(column) for name, column in numbers.items()},
        "features": {name: listed(column) for name, column in rows.features.items()},
        "shadow": None if said is None else {"version": rows.shadow_version, "score": listed(said)},
    }


def _envelope(last: Mapping[str, bytes]) -> tuple[str, str]:
    """Id and model of attributes that the contract accepts for certain. Raises one of `UNPROVEN` for others."""
    identity, moment = last["ce_id"], last["ce_time"]
    if not (_UUID.fullmatch(identity) and _TIME.fullmatch(moment) and _RARE.isdisjoint(last)):
        raise checked.DoubtError
    datetime.fromisoformat(moment.decode())
    if not b"".join(last.values()).isascii():
        for name, raw in last.items():
            if name.startswith("ce_"):
                raw.decode()
    return identity.decode(), last["ce_subject"].decode()
