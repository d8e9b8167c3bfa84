"""Events as records, and bad records as dead letters."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from everloop import topics
from everloop.codec import Headers, encode, envelope
from everloop.errors import InvalidError
from everloop.events import DeadLettered, Event, FeedbackLogged, LabelsLogged, PredictionsLogged
from everloop.runtime.log import Message, Place, Record

SOURCE: Final = "ingest"
KEPT_BYTES: Final = 4 * 1024 * 1024
"""Of the original bytes: with base64 around them they must fit into a record of 8 MiB."""
KEPT_HEADER: Final = 1_024
MOST_KEPT: Final = 32
"""Headers of a record; each name and value is cut at `KEPT_HEADER` bytes."""
UNKNOWN: Final = "unknown"
Wall = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Told:
    """An event of a producer as its record has it: what the envelope needs, and the bytes of its data."""

    kind: str
    id: UUID
    time: datetime
    model: str
    prediction_id: Sequence[str]
    data: bytes


Said = PredictionsLogged | LabelsLogged | FeedbackLogged | Told
"""What a producer has said."""


def renamed(event: Said, identity: UUID, at: datetime) -> Said:
    """The same under the id and the time that its producer has given it."""
    if isinstance(event, Told):
        return replace(event, id=identity, time=at)
    return event.model_copy(update={"id": identity, "time": at})


def message(topic: topics.Topic, number: int, event: Event | Told, recorded: datetime) -> Message:
    """Give the record of an event in partition `number`, keyed by model."""
    if isinstance(event, Told):
        value = event.data
        headers = envelope(event.kind, event.id, event.time, event.model, source=SOURCE, recorded=recorded)
    else:
        value, headers = encode(event, source=SOURCE, recorded=recorded)
    return Message(Place(topic.name, number), event.model.encode(), value, headers)


class Envelope(NamedTuple):
    """What names an event: its type, id, time and model."""

    kind: type[Event]
    identity: UUID
    time: datetime
    model: str


def columns_message(place: Place, said: Envelope, fields: Mapping[str, object], recorded: datetime) -> Message:
    """Give the record of an event whose columns are arrays (NaN for missing), in the bytes of `message`.

    `fields` are all of the event's, in the order of the contract, and are not checked.
    """
    headers = envelope(said.kind.TYPE, said.identity, said.time, said.model, source=SOURCE, recorded=recorded)
    return Message(place, said.model.encode(), orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY), headers)


def dead_letter(record: Record, error: InvalidError, stage: str, recorded: datetime) -> Message:
    """Give the dead letter of a record: the same record, the same id."""
    place = record.place
    event = DeadLettered.named(
        f"{stage}/{name_of(record)}", moment(record.appended_ms), UNKNOWN,
        topic=place.topic, partition=place.partition, offset=record.offset, reason=error.reason, stage=stage,
        error=str(error), key=base64_of(record.key), value=base64_of(record.value),
        size=None if record.value is None else len(record.value), headers=headers_kept(record.headers),
    )  # fmt: skip
    return message(topics.DLQ, place.partition % topics.DLQ.partitions, event, recorded)


def name_of(record: Record) -> str:
    """Where a record stands, as the root of the ids of what follows from it."""
    return f"{record.place.topic}/{record.place.partition}/{record.offset}"


def moment(milliseconds: int) -> datetime:
    """Give an aware datetime (UTC) of milliseconds since 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def headers_kept(headers: Headers) -> dict[str, str]:
    """The headers that say how a value is read, bounded: the others are nobody's to keep. Of a name the last counts."""
    telling = {name: raw for name, raw in headers if name == "content-type" or name.startswith("ce_")}
    kept = [(name[:KEPT_HEADER], raw[:KEPT_HEADER]) for name, raw in telling.items()][:MOST_KEPT]
    return {name: base64.b64encode(raw).decode() for name, raw in kept}


def base64_of(raw: bytes | None) -> str | None:
    """Give the first bytes as text, `KEPT_BYTES` at most; None stays."""
    return None if raw is None else base64.b64encode(raw[:KEPT_BYTES]).decode()
