"""HTTP: `POST /v1/models/{name}/predict`, with health and metrics beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from everloop.errors import EverloopError
from everloop.http import App, Why, read_json, refuse, service_app
from everloop.runtime.log import Message
from everloop.tokens import Tokens
from everloop_serving.adapters.bodies import BODY, BodyError, ByColumns, ByRows
from everloop_serving.adapters.outbox import Outbox
from everloop_serving.handlers import Answer, NoChampionError, Server, StartingError, UnknownModelError

LARGEST_BODY: Final = 4 * 1024 * 1024
LARGEST_RECORD: Final = 7 * 1024 * 1024
"""In bytes; the broker takes 8 MiB with headers."""
WAIT: Final = "everloop-wait"
LOGGED: Final = "logged"
RETRY_S: Final = "5"
SOON_S: Final = "1"


@dataclass(frozen=True, slots=True)
class Door:
    """What a request needs."""

    server: Server
    outbox: Outbox
    now: Callable[[], datetime]

    async def predict(self, name: str, request: Request) -> Response:
        """Answer one request."""
        waits = _waits(request)
        body = await read_json(request, BODY)
        return await run_in_threadpool(self._answer, name, body, waits)

    def _answer(self, name: str, body: ByRows | ByColumns, waits: bool) -> Response:  # noqa: FBT001 -- called in one place
        answers, messages = self._score(name, body)
        if any(len(message.value or b"") > LARGEST_RECORD for message in messages):
            refuse(413, "body", "too_large", "send fewer rows in one request")
        if waits:
            self._publish(messages)
        else:
            self.outbox.put(len(answers), messages)
        return Response(orjson.dumps({"model": name, "rows": answers}), media_type="application/json")

    def _score(self, name: str, body: ByRows | ByColumns) -> tuple[list[Answer], list[Message]]:
        now = self.now()
        try:
            return self.server.score(name, body.to_rows(now), now)
        except BodyError as error:
            refuse(422, "body", "whole_body", str(error))
        except UnknownModelError:
            refuse(404, "model", "unknown_model", "apply its loop file first: everloop apply LOOP")
        except StartingError:
            refuse(503, "model", "starting", "it has just started; try again", Retry_After=SOON_S)
        except NoChampionError:
            fix = "the model has no champion yet; `everloop bootstrap` makes the first one, then try again"
            refuse(503, "model", "no_champion", fix, Retry_After=RETRY_S)

    def _publish(self, messages: Sequence[Message]) -> None:
        try:
            self.server.log.publish(messages)
        except EverloopError:
            refuse(503, "broker", "not_logged", "the broker did not acknowledge; try again", Retry_After=RETRY_S)


def _waits(request: Request) -> bool:
    """Whether the caller wants its rows acknowledged by the broker before the answer."""
    wanted = request.headers.get(WAIT)
    if wanted not in {None, LOGGED}:
        refuse(400, "everloop-wait", "unknown_value", "leave the header out, or give: logged")
    return wanted == LOGGED


def build(
    server: Server,
    outbox: Outbox,
    now: Callable[[], datetime],
    *,
    ready: Why,
    alive: Why,
    tokens: Tokens | None = None,
) -> App:
    """The app. `now` is the default time of rows."""
    door = Door(server, outbox, now)
    app = service_app(
        "Everloop serving", metrics=server.metrics, ready=ready, alive=alive, largest=LARGEST_BODY, tokens=tokens
    )
    app.add_api_route("/v1/models/{name}/predict", door.predict, methods=["POST"], response_model=None)
    return app
