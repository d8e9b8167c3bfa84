"""The HTTP side of every service: health, readiness, metrics; strict bodies; errors that never echo a value.

A body is read by `read_json`, not by FastAPI's own parameters: it refuses duplicate keys, NaN, wrong content types and
compression, and answers with location and rule (traps A1 to A4).
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from everloop.connections import Connection, Patience
from everloop.errors import FatalError
from everloop.guard import Guard
from everloop.logs import strip
from everloop.metrics import CONTENT_TYPE, Metrics
from everloop.tokens import Tokens

T = TypeVar("T")
Why = Callable[[], str | None]
"""Says what is wrong; None when nothing is."""

LARGEST_BODY: Final = 8 * 1024 * 1024
SHOWN_ERRORS: Final = 20
LONGEST_KEY: Final = 64
SPARE: Final = 64
"""Connections beyond those that stay: they make room for themselves, where one of the others waits for its client."""
_NO_TELEMETRY: Final[TelemetryConfig] = {
    "tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False,
}  # fmt: skip
"""FastAPI's own would send query strings and texts of errors to wherever a variable of the environment says."""
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request: where, which rule, and what to do about it."""

    where: str
    rule: str
    fix: str = ""

    def below(self, at: str) -> Problem:
        """The same of a part: `body` of it is the part itself."""
        return Problem(at if self.where == "body" else f"{at}.{self.where}", self.rule, self.fix)


class RefusedError(Exception):
    """A request that is answered with a status and problems."""

    def __init__(self, status: int, problems: Sequence[Problem], headers: dict[str, str] | None = None) -> None:
        """`headers` are added to the answer, such as `Retry-After`."""
        super().__init__(f"{status}")
        self.status = status
        self.problems = tuple(problems)
        self.headers = headers or {}

    def below(self, at: str) -> RefusedError:
        """The same of a part of the request."""
        return RefusedError(self.status, [problem.below(at) for problem in self.problems], self.headers)


def refuse(status: int, where: str, rule: str, fix: str = "", **headers: str) -> NoReturn:
    """Raise `RefusedError` with one problem; header names are given with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    raise RefusedError(status, [Problem(where, rule, fix)], named)


class App(FastAPI):
    """An app with endpoints that `Limits` calls by itself.

    What lies between is FastAPI's and Starlette's way to an endpoint, which costs as much as many a small request.
    """

    def __init__(self, title: str) -> None:
        """No documents of its own, no telemetry."""
        super().__init__(title=title, docs_url=None, redoc_url=None, openapi_url=None, telemetry=_NO_TELEMETRY)
        self.direct: Final[dict[tuple[str, str], ASGIApp]] = {}

    def add_direct(self, method: str, path: str, answer: Callable[[Request], Awaitable[Response]]) -> None:
        """Answer requests of this method and exact path; to other methods the answer is 405, as for any route."""
        self.direct[method, path] = endpoint = Direct(answer)
        self.router.routes.append(Route(path, endpoint, methods=[method]))


@dataclass(frozen=True, slots=True)
class Direct:
    """An endpoint that reads the request and makes the answer itself."""

    answer: Callable[[Request], Awaitable[Response]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what it raises is answered as everywhere else."""
        request = Request(scope, receive, send)
        try:
            response = await self.answer(request)
        except RefusedError as error:
            response = _refused(request, error)
        except ClientDisconnect as error:
            response = _gone(request, error)
        await response(scope, receive, send)


def service_app(
    title: str,
    *,
    metrics: Metrics,
    ready: Why,
    alive: Why = lambda: None,
    largest: int = LARGEST_BODY,
    tokens: Tokens | None = None,
) -> App:
    """Build the app with `/healthz`, `/readyz`, `/metrics` and the limits; `largest` body in bytes.

    With `tokens` a request must show one of the role that its route has in `everloop.tokens.ROUTES`.
    """
    app = App(title)
    guard = Guard(tokens) if tokens else None
    app.add_middleware(Limits, largest=largest, metrics=metrics, guard=guard, direct=app.direct)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _plain_error)
    app.add_exception_handler(ClientDisconnect, _gone)

    @app.get("/healthz")
    def healthz() -> Response:
        return _status(alive())

    @app.get("/readyz")
    def readyz() -> Response:
        return _status(ready() or (tokens.wrong if tokens else None))

    @app.get("/metrics")
    def show_metrics() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return app


def at_end(app: FastAPI, close: Callable[[], Awaitable[None]]) -> None:
    """Wait for `close` once the server has answered its last request."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await close()

    app.router.lifespan_context = lifespan


async def read_json(request: Request, shape: TypeAdapter[T]) -> T:
    """Read and validate a body. Raises `RefusedError`: 415, 400 (no JSON), 413 (from `Limits`), 422 (rule broken)."""
    media_type(request, ("application/json",))
    parsed = loads(await request.body())
    try:
        return shape.validate_python(parsed)
    except ValidationError as error:
        raise RefusedError(422, problems(error)) from None


def media_type(request: Request, accepted: Sequence[str]) -> str:
    """Which of the accepted media types a request names. Raises `RefusedError` 415 that names them all."""
    kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    if kind.strip() not in accepted or charset not in {"", "charset=utf-8"}:
        refuse(415, "content-type", "media_type", f"send {' or '.join(accepted)}, texts in UTF-8")
    return kind.strip()


def problems(error: ValidationError, at: str = "") -> list[Problem]:
    """Locations and rules of a validation error, below `at`. Keys of the sender are shown on one line and short."""
    found = error.errors(include_url=False, include_input=False)[:SHOWN_ERRORS]
    return [Problem(location(at, item["loc"]), item["type"], item["msg"]) for item in found]


def location(at: str, path: Sequence[int | str]) -> str:
    """Where in a body, below `at`, on one line and short; `body` for the whole."""
    return ".".join(strip(str(part))[:LONGEST_KEY] for part in ((at, *path) if at else path)) or "body"


def loads(body: bytes) -> object:
    """Parse one JSON document in UTF-8. `RefusedError` 400 for NaN, duplicate keys, a BOM, or anything else."""
    try:
        parsed: object = json.loads(body.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
        if _SURROGATE.search(body):
            json.dumps(parsed, ensure_ascii=False).encode()  # half a pair can be escaped in JSON, but not written
    except UnicodeError:
        refuse(400, "body", "encoding", "send UTF-8 without a byte order mark and without halves of surrogate pairs")
    except (ValueError, RecursionError):
        refuse(400, "body", "json", "send one JSON document, without NaN or Infinity and not deeply nested")
    return parsed


class Limits:
    """ASGI middleware: asks the guard, bounds the body by header and by stream, and counts requests."""

    def __init__(
        self, app: ASGIApp, *, largest: int, metrics: Metrics, guard: Guard | None = None,
        direct: Mapping[tuple[str, str], ASGIApp] | None = None,
    ) -> None:  # fmt: skip
        """`largest` in bytes; without a guard everybody may pass. `direct` are endpoints by method and path."""
        self.app: Final = app
        self.direct: Final = {} if direct is None else direct
        self.largest: Final = largest
        self.metrics: Final = metrics
        self.guard: Final = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401, 403, 404, 429 (the guard), 413 (too large) or 415 (compressed)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = await self._answer(scope, receive, send)
        route = _route(str(scope["path"]))
        self.metrics.inc("everloop_http_requests_total", route=route, status=f"{status // 100}xx")
        self.metrics.observe("everloop_http_seconds", time.perf_counter() - started, route=route)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        statuses = [500]

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(int(message["status"]))
            await send(message)

        reply = self._by_guard(scope) or self._by_header(dict(scope["headers"]))
        if reply is None:
            app = self.direct.get((scope["method"], scope["path"]), self.app)
            await app(scope, _Counted(receive, self.largest), noting)
        else:
            await reply(scope, receive, noting)
        return statuses[-1]

    def _by_guard(self, scope: Scope) -> Response | None:
        if self.guard is None:
            return None
        peer = (scope.get("client") or ("unknown",))[0]
        found = self.guard.refusal(scope["method"], scope["path"], peer, scope["headers"])
        if found is None:
            return None
        return _problem_response(found.status, [Problem("request", found.rule, found.fix)], found.headers)

    def _by_header(self, headers: dict[bytes, bytes]) -> Response | None:
        if headers.get(b"content-encoding", b"identity") != b"identity":
            return _problem_response(415, [Problem("content-encoding", "compressed", "send the body uncompressed")])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > self.largest:  # noqa: PLR2004 -- of digits
            return _problem_response(413, [_too_large(self.largest)], {"Connection": "close"})
        return None


class _Counted:
    """Counts the bytes that really come."""

    def __init__(self, receive: Receive, largest: int) -> None:
        self.receive: Final = receive
        self.largest: Final = largest
        self.seen = 0

    async def __call__(self) -> Message:
        message = await self.receive()
        self.seen += len(message.get("body", b""))
        if self.seen > self.largest:
            raise RefusedError(413, [_too_large(self.largest)], {"Connection": "close"})
        return message


class Serving:
    """An HTTP server in a thread of its own."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        """See `serve_in_thread`."""
        self._server: Final = server
        self.port: Final = port
        self.thread: threading.Thread | None = None

    def stop(self, timeout_s: float = 5.0) -> None:
        """Finish open requests and end."""
        self._server.should_exit = True
        if self.thread:
            self.thread.join(timeout_s)


def serve_in_thread(app: ASGIApp, port: int, host: str = "127.0.0.1", patience: Patience | None = None) -> Serving:
    """Listen now, answer from a daemon thread. `port` 0 takes a free one. Raises `FatalError` when it is taken."""
    listening = listen(port, host)
    server = uvicorn.Server(config(app, patience or Patience()))
    serving = Serving(server, listening.getsockname()[1])
    serving.thread = threading.Thread(target=server.run, args=([listening],), daemon=True, name="http")
    serving.thread.start()
    return serving


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Give a listening socket. Raises `FatalError` when the port is taken."""
    try:
        return socket.create_server((host, port), backlog=256)
    except OSError as error:
        message = f"cannot listen on {host}:{port}: {error.strerror}; choose another EVERLOOP_HTTP_PORT"
        raise FatalError(message) from error


def config(app: ASGIApp, patience: Patience) -> uvicorn.Config:
    """Give the settings of every server of ours: no access log, bounded connections."""
    connection: Any = partial(Connection, patience=patience)  # uvicorn calls what it declares as a class
    return uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_keep_alive=15, http=connection,
        timeout_graceful_shutdown=5, lifespan="auto", ws="none", limit_concurrency=patience.most + SPARE,
        proxy_headers=False,  # a peer is who is at the other end: nobody becomes another by a header
    )  # fmt: skip


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        refuse(400, "body", "duplicate_key", "give each key of an object once")
    return found


def _no_constant(_: str) -> NoReturn:
    refuse(400, "body", "not_finite", "send finite numbers, or null where there is none")


def _too_large(largest: int) -> Problem:
    return Problem("body", "too_large", f"send at most {largest} bytes in one request")


def _route(path: str) -> str:
    return "/v1/models" if path.startswith("/v1/models/") else path


def _status(wrong: str | None) -> Response:
    return JSONResponse({"status": "ok"} if wrong is None else {"status": wrong}, 200 if wrong is None else 503)


def _problem_response(status: int, found: Sequence[Problem], headers: dict[str, str] | None = None) -> Response:
    plain = [{"where": item.where, "rule": item.rule, "fix": item.fix} for item in found]
    return JSONResponse({"errors": plain}, status, headers)


def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        raise error
    return _problem_response(error.status, error.problems, error.headers)


def _gone(_: Request, __: Exception) -> Response:
    """Whoever asked has hung up in the middle of the body: nobody hears this, and it is no error of ours."""
    return _problem_response(400, [Problem("body", "disconnected", "send the whole body")])


def _plain_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return _problem_response(error.status_code, [Problem("request", error.detail)], dict(error.headers or {}))
