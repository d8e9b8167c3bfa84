"""Dead letters as they stand on the topic, and how one is sent once more: the same bytes, the same id."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import UUID

from everloop import topics
from everloop.cli.context import FailedError
from everloop.cli.reading import Reader
from everloop.codec import decode
from everloop.events import DeadLettered, FeedbackLogged
from everloop.logs import strip
from everloop.runtime.log import Log, Message, Place, Record
from everloop.story import moment

if TYPE_CHECKING:
    import httpx
    from pydantic import SecretStr

    from everloop.tokens import Role

DOOR = "ingest.door"
PATHS = {topics.PREDICTIONS.name: "/v1/predictions", topics.LABELS.name: "/v1/labels"}
ROLES: Mapping[str, Role] = {
    "/v1/predictions": "ingest", "/v1/labels": "labels", "/v1/feedback": "labels",
    "/v1/events": "events",
}  # fmt: skip
TIMEOUT_S = 60.0
_FEEDBACK = FeedbackLogged.TYPE.encode()
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '%"')
"""What the HTTP binding of CloudEvents leaves as it is in a header (section 3.1.3.2)."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter, without its bytes: of these there may be gigabytes. `place` and `offset` are its own.

    A record or a request that was refused `times` over has one. `kept` counts its bytes.
    """

    event: DeadLettered
    place: Place
    offset: int
    appended_ms: int
    kept: int | None
    times: int = 1

    @property
    def id(self) -> UUID:
        """Its id."""
        return self.event.id

    @property
    def when(self) -> str:
        """When it was last written."""
        return moment(self.appended_ms)

    @property
    def headers(self) -> Mapping[str, bytes]:
        """The headers that say how to read the value."""
        return {name: base64.b64decode(raw) for name, raw in self.event.headers.items()}

    @property
    def shown_headers(self) -> Mapping[str, str]:
        """The same for the eye: on one line, without escapes."""
        return {strip(name): strip(raw.decode(errors="replace")) for name, raw in self.headers.items()}


def letters(log: Log) -> list[Letter]:
    """Every dead letter, each once, in the order in which they were last written."""
    found: dict[UUID, Letter] = {}
    reader = Reader(log, [topics.DLQ.name])
    for chunk in reader.news():
        for heard in chunk:
            if isinstance(heard.event, DeadLettered):
                before = found.get(heard.event.id)
                found[heard.event.id] = _letter(heard.record, heard.event, before.times + 1 if before else 1)
    reader.close()
    return sorted(found.values(), key=lambda one: (one.appended_ms, one.place, one.offset))


def _letter(record: Record, event: DeadLettered, times: int) -> Letter:
    value = _bytes(event.value)
    bare = event.model_copy(update={"value": None})
    kept = None if value is None else len(value)
    return Letter(bare, record.place, record.offset, record.appended_ms, kept, times)


def value_of(log: Log, letter: Letter) -> bytes:
    """The original bytes, as far as they are kept. Raises `FailedError` where the letter has gone meanwhile."""
    record = log.record_at(letter.place, letter.offset)
    event = decode(record.value, record.headers) if record else None
    value = _bytes(event.value) if isinstance(event, DeadLettered) else None
    if value is None:
        raise FailedError(f"dead letter {letter.id} has no bytes, or is not kept any more")
    return value


def why_not(letter: Letter) -> str | None:
    """Why a letter cannot be replayed; None when it can."""
    event, kept = letter.event, letter.kept
    if event.topic not in PATHS:
        return f"refused: {event.topic} is written by its services alone"
    if kept is None:
        return "refused: the record had no value"
    if event.size is None:
        return "refused: it was written before headers were kept"
    if event.size > kept:
        return f"refused: of {event.size} bytes only the first {kept} are kept"
    return None


def by_door(letter: Letter) -> bool:
    """Whether it was a request, not a record."""
    return letter.event.stage == DOOR


def target(letter: Letter) -> str:
    """Where it would go."""
    return f"POST {path_of(letter)}" if by_door(letter) else f"{letter.event.topic}/{letter.event.partition}"


def path_of(letter: Letter) -> str:
    """The route that takes it."""
    headers = letter.headers
    if headers.get("ce_type") == _FEEDBACK and "ce_specversion" not in headers:
        return "/v1/feedback"  # a body of that route, on a topic that has labels as well
    if "ce_type" in headers or headers.get("content-type", b"").startswith(b"application/cloudevents"):
        return "/v1/events"
    return PATHS[letter.event.topic]


def publish(log: Log, letter: Letter) -> str:
    """Write the record again as it was, into the partition where its readers know its id. Raises `FatalError`."""
    event = letter.event
    place = Place(event.topic, event.partition % log.partitions(event.topic))
    record = Message(place, _bytes(event.key), value_of(log, letter), tuple(letter.headers.items()))
    (offset,) = log.publish([record])
    return f"is {place.topic}/{place.partition}@{offset}"


def send(log: Log, letter: Letter, ingest: str, tokens: Mapping[Role, SecretStr]) -> str:
    """Send the request again, under an id of its own or that of its event. Raises `FatalError` when nobody answers."""
    import httpx

    from everloop.errors import FatalError
    from everloop.tokens import bearer

    path = path_of(letter)
    model = letter.headers.get("ce_subject", b"").decode(errors="replace")
    asked = {"model": model} if model and path == "/v1/predictions" else {}
    headers = {**request_headers(letter, path), **bearer(tokens.get(ROLES[path]))}
    content = value_of(log, letter)
    try:
        answer = httpx.post(
            f"{ingest.rstrip('/')}{path}", content=content, headers=headers, params=asked, timeout=TIMEOUT_S
        )
    except httpx.HTTPError as error:
        raise FatalError(f"{ingest}: no answer ({type(error).__name__}); `everloop status` shows what runs") from error
    return _said(answer)


def request_headers(letter: Letter, path: str) -> Mapping[str, str]:
    """Headers of the request. What is no event is named by its letter, so that a second replay is known."""
    kind = {"content-type": letter.headers.get("content-type", b"application/json").decode("latin-1")}
    if path != "/v1/events":
        return {**kind, "idempotency-key": f"dlq/{letter.id}"}
    told = {name[3:]: quote(raw, safe=_SAFE) for name, raw in letter.headers.items() if name.startswith("ce_")}
    return {**kind, **{f"ce-{name}": text for name, text in told.items()}}


def _said(answer: httpx.Response) -> str:
    import orjson

    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        found = {}
    if answer.is_success:
        return f"accepted {found.get('accepted')}, refused {found.get('refused')}"
    listed: Sequence[Mapping[str, str]] = found.get("errors", [])
    return f"refused again ({answer.status_code}): " + "; ".join(f"{one['where']}: {one['rule']}" for one in listed[:3])


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
