"""How many rows a record stands for, and what a record of books says: from headers and bytes, by no code of a service.

The rule, for readable and unreadable records alike: a heartbeat is none; what names prediction ids in a list is as many
rows as ids, right or wrong, and what names none but lists entities as many as these; an Arrow stream is as many as its
batches say, if a record may have so many; anything else is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from everloop.books.streams import streamed_rows
from everloop.runtime.log import Place, Record

HEARTBEATS: Final = frozenset({"io.everloop.heartbeat.sent.v1", "io.everloop.heartbeat.passed.v1"})
BOOKS: Final = "io.everloop.books.kept.v1"
COUNTS: Final = ("counted", "history", "late", "duplicate", "quarantined")
IDS: Final = "prediction_id"
ENTITIES: Final = "entity_id"
ARROW: Final = "application/vnd.apache.arrow.stream"
MOST: Final = 100_000
"""Rows that one record may have."""


def rows_of(record: Record) -> int:
    """Rows of one record of a data topic; one for what nobody can read."""
    kind, data = _opened(record)
    if kind in HEARTBEATS:
        return 0
    if _header(record, "content-type").startswith(ARROW):
        rows = streamed_rows(record.value or b"")
        return 1 if rows is None or rows > MOST else rows
    ids = data.get(IDS) or data.get(ENTITIES) or data.get(IDS)
    return len(ids) if isinstance(ids, list) else 1


def books_of(record: Record) -> tuple[str, Place, int, Mapping[str, int]] | None:
    """Group, place, offset and counts that a record of books says; None for any other record."""
    kind, data = _opened(record)
    if kind != BOOKS:
        return None
    place = Place(str(data["topic"]), _whole(data["partition"]))
    counts = {name: _whole(data[name]) for name in COUNTS}
    return str(data["group"]), place, _whole(data["offset"]), counts


def _opened(record: Record) -> tuple[str, Mapping[str, object]]:
    """The CloudEvents type and the data: from headers and value, or both from the value in structured mode."""
    whole = _object(record.value)
    if not _header(record, "content-type").startswith("application/cloudevents+json"):
        return _header(record, "ce_type"), whole
    data = whole.get("data")
    return str(whole.get("type", "")), data if isinstance(data, dict) else {}


def _header(record: Record, name: str) -> str:
    """The last header of this name, as text."""
    found = [raw for known, raw in record.headers if known == name]
    return bytes(found[-1]).decode(errors="replace") if found else ""


def _object(value: bytes | None) -> Mapping[str, object]:
    try:
        parsed = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("books hold whole numbers")
    return value
