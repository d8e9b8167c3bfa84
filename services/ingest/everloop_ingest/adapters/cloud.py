"""CloudEvents over HTTP: one event in structured or in binary mode, or a batch. Only what producers say is taken.

The HTTP protocol binding of CloudEvents 1.0.2, sections 3.1 (binary), 3.2 (structured) and 3.3 (batched).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Final, Literal
from urllib.parse import unquote_to_bytes
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from everloop import codec, topics
from everloop.codec import Headers
from everloop.errors import InvalidError
from everloop.events import ENVELOPE, FeedbackLogged, LabelsLogged, PredictionsLogged, named_id
from everloop.http import RefusedError, loads, media_type, problems, refuse
from everloop.topics import Topic
from everloop_ingest.adapters import bodies
from everloop_ingest.adapters.bodies import Body, Judged
from everloop_ingest.adapters.records import moment, renamed
from everloop_ingest.domain.reading import Name, Printable, Stamp, Time

JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
ACCEPTED: Final = (STRUCTURED, BATCH)
MOST_EVENTS: Final = 1_000
"""Of a batch: each costs some ten thousandths of a second, in which nobody else is answered."""
Kind = type[PredictionsLogged | LabelsLogged | FeedbackLogged]
TOPIC_OF: Final[Mapping[Kind, Topic]] = {
    PredictionsLogged: topics.PREDICTIONS, LabelsLogged: topics.LABELS, FeedbackLogged: topics.LABELS
}  # fmt: skip
READ: Final[Mapping[Kind, bodies.Read]] = {
    PredictionsLogged: bodies.predictions_of, LabelsLogged: bodies.labels_of, FeedbackLogged: bodies.feedback_of,
}  # fmt: skip
SENT: Final = ", ".join(kind.TYPE for kind in TOPIC_OF)
Identity = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,200}$")]


class Attributes(BaseModel):
    """The attributes of an event that are looked at; extensions may be there. `subject` is the model."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)
    specversion: Literal["1.0"]
    id: Identity
    source: Annotated[Printable, Field(min_length=1)]
    type: Annotated[str, Field(max_length=256)]
    subject: Name
    time: Time | None = None
    datacontenttype: Literal["application/json", "application/vnd.apache.arrow.stream"] | None = None

    @property
    def identity(self) -> UUID:
        """The id if it is a UUID; otherwise one that follows from source and id, which are unique together."""
        try:
            return UUID(self.id)
        except ValueError:
            return named_id("CloudEvent", f"{len(self.source)}/{self.source}/{self.id}")


@dataclass(frozen=True, slots=True)
class Item:
    """One event of a request: its attributes and its data, or the Arrow stream that it has as data.

    `value` and `headers` are the record that would say the same on a topic: what a dead letter keeps.
    """

    attributes: Mapping[str, object]
    data: object
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Read:
    """A good event: where it belongs, its rows, and a digest of what it says."""

    topic: Topic
    judged: Judged
    digest: bytes


async def items_of(request: Request) -> tuple[list[Item], bool]:
    """The events of a request, and whether they came as a batch. Raises `RefusedError`: 400, 415, 422 for a batch."""
    body = await request.body()
    if is_binary(request):
        return [_binary(request, body)], False
    if media_type(request, ACCEPTED) == STRUCTURED:
        return [_structured(loads(body), body)], False
    found = loads(body)
    if not isinstance(found, list):
        refuse(422, "body", "list_type", "a batch is a list of events")
    if not 0 < len(found) <= MOST_EVENTS:
        refuse(422, "body", "too_long" if found else "too_short", f"a batch has 1 to {MOST_EVENTS} events")
    return [_structured(one, _dumped(one)) for one in found], True


def is_binary(request: Request) -> bool:
    """Whether the attributes are in headers. A content type of CloudEvents says that they are not."""
    if request.headers.get("content-type", "").lower().startswith("application/cloudevents"):
        return False
    return "ce-specversion" in request.headers or "ce-type" in request.headers


def topic_of(item: Item) -> Topic:
    """Where an event belongs, whatever else is wrong with it; `predictions` for what is of no type of ours."""
    told = item.attributes.get("type")
    return next((topic for kind, topic in TOPIC_OF.items() if told == kind.TYPE), topics.PREDICTIONS)


def read(item: Item, now: Stamp, check_model: Callable[[str], None]) -> Read:
    """The event of an item. Raises `RefusedError`: 400, 422, or what `check_model` raises."""
    try:
        found = Attributes.model_validate(item.attributes)
    except ValidationError as error:
        raise RefusedError(422, problems(error)) from None
    kind = _kind(found.type)
    check_model(found.subject)
    try:
        data = _data(item, found)
        judged = READ[kind](data, now)
    except RefusedError as error:
        raise error.below("data") from None
    said = moment(found.time) if found.time is not None else now.now
    event = renamed(judged.event, found.identity, said)
    wrong = {place: [one.below("data") for one in each] for place, each in judged.wrong.items()}
    digest = sha256(_dumped([found.type, data], sort_keys=True)).digest()
    return Read(TOPIC_OF[kind], replace(judged, event=event, wrong=wrong, at="data"), digest)


def _kind(name: str) -> Kind:
    """Of the event types, those that a producer may say."""
    found = next((kind for kind in TOPIC_OF if name == kind.TYPE), None)
    if found is None:
        refuse(422, "type", "unknown_type", f"producers send one of {SENT}")
    return found


def _data(item: Item, found: Attributes) -> Body:
    """Columns, with the model among them, as `/v1/predictions` and `/v1/labels` read them."""
    if isinstance(item.data, bytes):
        if found.type != PredictionsLogged.TYPE:
            refuse(422, "body", "media_type", "an Arrow stream carries predictions, and no other type of event")
        return bodies.arrow_columns(item.data, found.subject)
    if not isinstance(item.data, dict):
        refuse(422, "body", "dict_type", "`data` is a JSON object of columns")
    if not ENVELOPE.isdisjoint(item.data):
        refuse(422, "body", "repeated", f"{', '.join(sorted(ENVELOPE & item.data.keys()))}: said by attributes alone")
    return {**item.data, "model": found.subject}


def _structured(whole: object, value: bytes) -> Item:
    headers = (("content-type", STRUCTURED.encode()),)
    if not isinstance(whole, dict):
        return Item({}, None, value, headers)
    attributes = {name: text for name, text in whole.items() if name not in {"data", "data_base64"}}
    data: object = whole.get("data")
    if "data_base64" in whole:
        data = _from_base64(whole["data_base64"], attributes)
    return Item(attributes, data, value, headers)


def _from_base64(text: object, attributes: Mapping[str, object]) -> object:
    """Bytes of an Arrow stream, or what they are as JSON; None for what is neither, which the reading refuses."""
    try:
        raw = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
        return raw if attributes.get("datacontenttype") == ARROW else loads(raw)
    except (binascii.Error, ValueError, RefusedError):
        return None


def _binary(request: Request, body: bytes) -> Item:
    """Attributes are headers `ce-NAME`, texts percent-encoded (section 3.1.3.2)."""
    kind = media_type(request, (JSON, ARROW))
    told = [(name[3:], unquote_to_bytes(text)) for name, text in _ce(request.headers.items())]
    headers = (*((f"ce_{name}", raw) for name, raw in told), ("content-type", kind.encode()))
    try:
        attributes: dict[str, object] = dict(codec.binary_attributes(dict(headers)))
    except InvalidError:
        refuse(400, "headers", "encoding", "ce- headers are percent-encoded UTF-8")
    attributes["datacontenttype"] = kind
    return Item(attributes, body if kind == ARROW else loads(body), body, headers)


def _ce(headers: Iterable[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    return [(name, text) for name, text in headers if name.startswith("ce-")]


def _dumped(value: object, *, sort_keys: bool = False) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=sort_keys).encode()
