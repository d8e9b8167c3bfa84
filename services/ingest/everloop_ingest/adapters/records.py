"""Events as records, and bad records as dead letters."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from everloop import topics
from everloop.codec import encode
from everloop.errors import InvalidError
from everloop.events import DeadLettered, Event
from everloop.runtime.log import Message, Place, Record

SOURCE: Final = "ingest"
KEPT_BYTES: Final = 4 * 1024 * 1024
"""Of the original bytes: with base64 around them they must fit into a record of 8 MiB."""
UNKNOWN: Final = "unknown"
Wall = Callable[[], datetime]


def message(topic: topics.Topic, number: int, event: Event, recorded: datetime) -> Message:
    """Give the record of an event in partition `number`, keyed by model."""
    value, headers = encode(event, source=SOURCE, recorded=recorded)
    return Message(Place(topic.name, number), event.model.encode(), value, headers)


def dead_letter(record: Record, error: InvalidError, stage: str, recorded: datetime) -> Message:
    """Give the dead letter of a record: the same record, the same id."""
    place = record.place
    event = DeadLettered.named(
        f"{stage}/{name_of(record)}", moment(record.appended_ms), UNKNOWN,
        topic=place.topic, partition=place.partition, offset=record.offset, reason=error.reason, stage=stage,
        error=str(error), key=_base64(record.key), value=_base64(record.value),
    )  # fmt: skip
    return message(topics.DLQ, place.partition % topics.DLQ.partitions, event, recorded)


def name_of(record: Record) -> str:
    """Where a record stands, as the root of the ids of what follows from it."""
    return f"{record.place.topic}/{record.place.partition}/{record.offset}"


def moment(milliseconds: int) -> datetime:
    """Give an aware datetime (UTC) of milliseconds since 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _base64(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw[:KEPT_BYTES]).decode()
