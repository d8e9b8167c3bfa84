"""The front door: four routes. 202 means that the broker has acknowledged every row that is said to be accepted."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal

import orjson
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter, ValidationError

from everloop import topics
from everloop.buckets import partition
from everloop.codec import Headers
from everloop.events import FeedbackLogged, LabelsLogged, PredictionsLogged
from everloop.http import App, Problem, RefusedError, loads, media_type, problems, refuse
from everloop.loop import Feedback
from everloop.metrics import Metrics
from everloop.runtime.log import Message
from everloop.topics import Topic
from everloop_ingest.adapters import cloud, quick
from everloop_ingest.adapters.bodies import (
    Body,
    Judged,
    Read,
    arrow_columns,
    is_one_row,
    read_feedback,
    read_labels,
    read_predictions,
)
from everloop_ingest.adapters.letters import Letters
from everloop_ingest.adapters.publisher import BacklogError, BrokerGoneError, Publisher
from everloop_ingest.adapters.records import Said, Told, Wall, message
from everloop_ingest.domain.reading import Stamp
from everloop_ingest.domain.remembering import Known, Seen
from everloop_ingest.domain.signatures import UNKNOWN, Signatures

ANY: Final = TypeAdapter(dict[str, object])
JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
KEY_HEADER: Final = "idempotency-key"
LONGEST_KEY: Final = 200
RETRY_AFTER_S: Final = "1"
JSON_HEADERS: Final[Headers] = (("content-type", JSON.encode()),)
Kind = Literal["predictions", "labels", "feedback"]
KINDS: Final[Mapping[str, Kind]] = {
    PredictionsLogged.TYPE: "predictions", LabelsLogged.TYPE: "labels", FeedbackLogged.TYPE: "feedback"
}  # fmt: skip
"""Of which kind the rows of an event are, by its type."""


@dataclass(frozen=True, slots=True)
class Door:
    """What the routes need. `models` are those of `loops`, asked for at each request; None before it was read.

    Of one of them `is_binary` says whether its labels are 0 and 1, `signatures` what its versions are made to be asked,
    `feedback` which its loop file declares.
    """

    publisher: Publisher
    models: Callable[[], Collection[str] | None]
    wall: Wall
    metrics: Metrics
    is_binary: Callable[[str], bool] = lambda _: False
    signatures: Callable[[str], Signatures] = lambda _: UNKNOWN
    feedback: Callable[[str], Mapping[str, Feedback]] = lambda _: {}
    seen: Seen = field(default_factory=Seen)
    letters: Letters = field(init=False)

    def __post_init__(self) -> None:
        """The letters have the same wall."""
        object.__setattr__(self, "letters", Letters(self.wall, self.metrics))


@dataclass(frozen=True, slots=True)
class Accepts:
    """What a route takes: media types, how a body is proved to be good, and how it is read where it is not.

    `headers` say how the body of a dead letter is read, where it came as JSON.
    """

    kind: Kind
    topic: Topic
    media: Sequence[str]
    prove: quick.Prove
    read: Read
    headers: Headers = JSON_HEADERS


FEEDBACK_HEADERS: Final[Headers] = (*JSON_HEADERS, ("ce_type", FeedbackLogged.TYPE.encode()))
PREDICTIONS: Final = Accepts("predictions", topics.PREDICTIONS, (JSON, ARROW), quick.predictions, read_predictions)
LABELS: Final = Accepts("labels", topics.LABELS, (JSON,), quick.labels, read_labels)
FEEDBACK: Final = Accepts("feedback", topics.LABELS, (JSON,), quick.feedback, read_feedback, FEEDBACK_HEADERS)


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that is to be written. `digest` is that of its content where its id says nothing of it, else None."""

    topic: Topic
    judged: Judged
    digest: bytes | None
    known: Known

    @property
    def event(self) -> Said:
        """The event."""
        return self.judged.event

    @property
    def kind(self) -> Kind:
        """Of which kind its rows are."""
        return KINDS[self.event.kind if isinstance(self.event, Told) else self.event.TYPE]


def add_routes(app: App, door: Door) -> None:
    """Add `POST /v1/predictions`, `/v1/labels`, `/v1/feedback` and `/v1/events`."""

    async def predictions(request: Request) -> Response:
        return await _accept(request, door, PREDICTIONS)

    async def labels(request: Request) -> Response:
        return await _accept(request, door, LABELS)

    async def feedback(request: Request) -> Response:
        return await _accept(request, door, FEEDBACK)

    async def events(request: Request) -> Response:
        return await _accept_events(request, door)

    answers = {"predictions": predictions, "labels": labels, "feedback": feedback, "events": events}
    for name, answer in answers.items():
        app.add_direct("POST", f"/v1/{name}", answer)


# ------------------------------------------------------------------------------------- predictions, labels and feedback


async def _accept(request: Request, door: Door, kind: Accepts) -> Response:
    headers = kind.headers
    try:
        media = media_type(request, kind.media)
        if media != JSON:
            headers = (("content-type", media.encode()),)
        sent = await _read(request, door, kind, media)
    except RefusedError as error:
        await _keep(door, _refused(door, kind, error, await _body(request, error), headers, request))
        raise
    try:
        await _publish(door, [sent], _letter_of_rows(door, sent))
    except RefusedError as error:
        door.metrics.inc("everloop_rows_refused_total", kind=kind.kind, reason=error.problems[0].rule)
        raise
    return Response(_answer_in_json(sent), 202, media_type=JSON)


async def _read(request: Request, door: Door, kind: Accepts, media: str) -> Sent:
    """The event of a request. Raises `RefusedError`."""
    raw = await request.body()
    if media == JSON:
        return _proved(request, door, kind, raw) or _judged(request, door, kind, raw, _object(raw))
    model = request.query_params.get("model")
    if not model:
        refuse(422, "query.model", "missing", "name the model: POST /v1/predictions?model=NAME")
    _check_model(door, model, "query.model")
    return _judged(request, door, kind, raw, arrow_columns(raw, model))


def _proved(request: Request, door: Door, kind: Accepts, raw: bytes) -> Sent | None:
    """The event of a body that is good throughout, as most are; None for any that has to be looked at closely."""
    parsed = quick.parse(raw)
    if parsed is None:
        return None
    model = parsed.body.get("model")
    _check_model(door, model, "model")
    name, digest = _name(request, model, raw, parsed.body)
    judged = kind.prove(parsed, _stamp(door, name, model))
    return None if judged is None else _remembered(door, kind.topic, judged, digest)


def _judged(request: Request, door: Door, kind: Accepts, raw: bytes, body: Body) -> Sent:
    """The event of a body, each cell of which is looked at."""
    model = body.get("model")
    _check_model(door, model, "model")
    name, digest = _name(request, model, raw, body)
    return _remembered(door, kind.topic, kind.read(body, _stamp(door, name, model)), digest)


def _stamp(door: Door, name: str, model: object) -> Stamp:
    if not isinstance(model, str):
        return Stamp(name, door.wall())
    return Stamp(name, door.wall(), door.is_binary(model), door.signatures(model), door.feedback(model))


def _object(raw: bytes) -> Body:
    try:
        return ANY.validate_python(loads(raw))
    except ValidationError as error:
        raise RefusedError(422, problems(error)) from None


def _check_model(door: Door, model: object, where: str) -> None:
    models = door.models()
    if models is None:
        fix = "it has just started and reads what is applied; try again"
        refuse(503, "model", "starting", fix, Retry_After=RETRY_AFTER_S)
    if isinstance(model, str) and model not in models:
        refuse(404, where, "unknown_model", "apply its loop file first: everloop apply loops/NAME.yaml")


def _name(request: Request, model: object, raw: bytes, body: Body) -> tuple[str, bytes | None]:
    """What the event's id is computed from: the caller's key, the id of a plain row, or the content.

    The same again is the same event. Where the name says nothing of the content, its digest comes with it.
    """
    route: str = request.scope["path"]
    path, key = f"{route}/{model}", request.headers.get(KEY_HEADER)
    digest = sha256(raw)
    if key is None:
        if route == "/v1/predictions" and is_one_row(body):
            return f"{path}/row/{body['prediction_id']}", digest.digest()
        return f"{path}/{digest.hexdigest()}", None
    if not key.isascii() or not key.isprintable() or not 0 < len(key) <= LONGEST_KEY:
        refuse(422, KEY_HEADER, "key", f"use 1 to {LONGEST_KEY} printable ASCII characters")
    return f"{path}/key/{key}", digest.digest()


def _remembered(door: Door, topic: Topic, judged: Judged, digest: bytes | None) -> Sent:
    """Hold an id against what came under it before. Raises `RefusedError` 409."""
    known = Known.NEW if digest is None else door.seen.look(judged.event.id, digest)
    if known is Known.CONFLICT:
        refuse(409, "id", "conflicting_duplicate", "this id came with another content; give each request its own")
    return Sent(topic, judged, digest, known)


# -------------------------------------------------------------------------------------------------------------- events


async def _accept_events(request: Request, door: Door) -> JSONResponse:
    try:
        items, batch = await cloud.items_of(request)
    except RefusedError as error:
        headers = (("content-type", request.headers.get("content-type", "").encode()),)
        await _keep(door, _refused(door, PREDICTIONS, error, await _body(request, error), headers, request))
        raise
    found = [_event(door, item, str(place) if batch else "") for place, item in enumerate(items)]
    sent = [one for one in found if isinstance(one, Sent)]
    letters = [letter for item, one in zip(items, found, strict=True) for letter in _letter(door, item, one)]
    if sent:
        await _publish(door, sent, letters)
    else:
        await _keep(door, letters)
    wrong = [one for one in found if isinstance(one, RefusedError)]
    if not batch:
        if wrong:
            raise wrong[0]
        return JSONResponse(_answer(sent[0]), 202)
    results = [{"status": 202, **_answer(one)} if isinstance(one, Sent) else _result(one) for one in found]
    sums = {"accepted": sum(one.judged.accepted for one in sent), "refused": len(wrong)}
    status, headers_ = (202, {}) if sent else (wrong[0].status, wrong[0].headers)
    errors = {} if sent else {"errors": [_plain(problem) for one in wrong[:5] for problem in one.problems]}
    return JSONResponse({**sums, **errors, "items": results}, status, headers_)


def _event(door: Door, item: cloud.Item, place: str) -> Sent | RefusedError:
    """The event of an item, or why not: one bad item costs no good one."""
    try:
        model = item.attributes.get("subject")
        stamp = _stamp(door, "", model)
        read = cloud.read(item, stamp, lambda model: _check_model(door, model, "subject"))
        return _remembered(door, read.topic, read.judged, read.digest)
    except RefusedError as error:
        door.metrics.inc("everloop_rows_refused_total", kind=_kind_of(item), reason=error.problems[0].rule)
        return error.below(place) if place else error


def _letter(door: Door, item: cloud.Item, found: Sent | RefusedError) -> list[Message]:
    if isinstance(found, Sent):
        return _letter_of_rows(door, found)
    model = _applied(door, item.attributes.get("subject"))
    topic = cloud.topic_of(item)
    return door.letters.letter(topic, found.status, found.problems, item.value, item.headers, model)


# ----------------------------------------------------------------------------------------- writing, and what is refused


async def _publish(door: Door, sent: Sequence[Sent], letters: Sequence[Message]) -> None:
    """Write what the broker has not acknowledged before. The same request goes to the same partition.

    There its readers know its id. Raises `RefusedError`: 429, 503.
    """
    new = [one for one in sent if one.known is not Known.ACKNOWLEDGED]
    records = [_record(door, one) for one in new]
    try:
        if records or letters:
            await door.publisher.publish([*records, *letters], sum(one.judged.accepted for one in new))
    except BacklogError:
        for one in new:
            if one.known is Known.NEW:
                door.seen.forget(one.event.id)
        refuse(429, "body", "backlog", "send it again after the time in Retry-After", Retry_After=RETRY_AFTER_S)
    except BrokerGoneError:
        refuse(503, "body", "broker", "send it again, unchanged: what was kept is known by its id", Retry_After="5")
    for one in new:
        _count(door, one)


def _record(door: Door, one: Sent) -> Message:
    return message(one.topic, partition(str(one.event.id), one.topic.partitions), one.event, door.wall())


def _count(door: Door, one: Sent) -> None:
    kind = one.kind
    if one.digest is not None:
        door.seen.acknowledged(one.event.id, one.digest)
    door.metrics.inc("everloop_rows_accepted_total", one.judged.accepted, kind=kind, model=one.event.model)
    if one.judged.wrong:
        door.metrics.inc("everloop_rows_refused_total", len(one.judged.wrong), kind=kind, reason="shape")
    for unlike in one.judged.unlike:
        rows = one.judged.accepted if unlike.rows is None else len(unlike.rows)
        door.metrics.inc("everloop_signature_warnings_total", rows, model=one.event.model, reason=unlike.rule)


async def _keep(door: Door, letters: Sequence[Message]) -> None:
    """Write letters. The sender is answered whatever comes of it: nobody was promised anything."""
    if letters:
        try:
            await door.publisher.publish(letters, 0)
        except (BacklogError, BrokerGoneError):
            door.metrics.inc(
                "everloop_dead_letters_dropped_total", len(letters), topic=topics.DLQ.name, reason="broker"
            )


def _refused(
    door: Door, kind: Accepts, error: RefusedError, raw: bytes, headers: Headers, request: Request
) -> list[Message]:
    """Count a refused request, and give its letter."""
    door.metrics.inc("everloop_rows_refused_total", kind=kind.kind, reason=error.problems[0].rule)
    asked = request.query_params.get("model")
    told = (*headers, ("ce_subject", asked.encode())) if asked else headers
    return door.letters.letter(kind.topic, error.status, error.problems, raw, told, _applied(door, asked))


async def _body(request: Request, error: RefusedError) -> bytes:
    """The body of a request that was read; of one that is too large there is none."""
    return b"" if error.status in {413, 415} else await request.body()


def _letter_of_rows(door: Door, sent: Sent) -> list[Message]:
    """The letter of the bad rows of a request whose good ones are accepted: a body with these alone."""
    if not sent.judged.wrong:
        return []
    wrong = [problem for each in sent.judged.wrong.values() for problem in each]
    value = json.dumps(sent.judged.refused, separators=(",", ":")).encode()
    headers = FEEDBACK_HEADERS if sent.kind == "feedback" else JSON_HEADERS
    return door.letters.letter(sent.topic, 422, wrong, value, headers, sent.event.model)


def _applied(door: Door, model: object) -> str | None:
    return model if isinstance(model, str) and model in (door.models() or ()) else None


# ------------------------------------------------------------------------------------------------------------- answers


def _answer(sent: Sent) -> dict[str, object]:
    """One result per row that was sent, in order; nothing of a bad row is repeated."""
    judged = sent.judged
    names = iter(_named(judged.event))
    items: list[dict[str, object]] = [
        {"status": 422, "errors": [_plain(problem) for problem in judged.wrong[place]]}
        if place in judged.wrong
        else {"status": 202, **next(names)}
        for place in range(judged.asked)
    ]
    for place, told in judged.warnings.items():
        items[place]["warnings"] = [_plain(problem) for problem in told]
    sums = {"id": str(judged.event.id), "accepted": judged.accepted, "refused": len(judged.wrong)}
    return {**sums, "items": items}


def _named(event: Said) -> Iterator[dict[str, str]]:
    """What rows are called: by predictions, by the entities of labels that name none, by predictions and names."""
    if isinstance(event, LabelsLogged) and event.entity_id is not None:
        return ({"entity_id": name} for name in event.entity_id)
    if isinstance(event, FeedbackLogged):
        pairs = zip(event.prediction_id, event.name, strict=True)
        return ({"prediction_id": prediction, "name": name} for prediction, name in pairs)
    return ({"prediction_id": name} for name in event.prediction_id)


def _answer_in_json(sent: Sent) -> bytes:
    """The same as bytes. Where there is nothing but names to tell, which need no escapes, it is one text at once."""
    judged, event = sent.judged, sent.judged.event
    longer = isinstance(event, FeedbackLogged) or (isinstance(event, LabelsLogged) and event.entity_id is not None)
    if judged.wrong or judged.unlike or longer:
        return orjson.dumps(_answer(sent))
    names = '"},{"status":202,"prediction_id":"'.join(event.prediction_id)
    sums = f'"id":"{judged.event.id}","accepted":{judged.accepted},"refused":0'
    return f'{{{sums},"items":[{{"status":202,"prediction_id":"{names}"}}]}}'.encode()


def _result(error: RefusedError) -> dict[str, object]:
    return {"status": error.status, "errors": [_plain(problem) for problem in error.problems]}


def _plain(problem: Problem) -> Mapping[str, str]:
    return {"where": problem.where, "rule": problem.rule, "fix": problem.fix}


def _kind_of(item: cloud.Item) -> Kind:
    """Of which kind the rows of an event would be; `predictions` for what is of no type of ours."""
    told = item.attributes.get("type")
    return KINDS.get(told, "predictions") if isinstance(told, str) else "predictions"
